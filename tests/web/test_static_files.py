from __future__ import annotations

import warnings

from django.core.wsgi import get_wsgi_application
from django.test import Client


def test_the_start_has_nothing_to_complain_of_and_files_are_served() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        get_wsgi_application()
    response = Client().get("/static/css/app.css")
    assert response.status_code == 200
    assert b"--paper" in b"".join(response)
