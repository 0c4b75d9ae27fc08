from __future__ import annotations

import gzip
import warnings

from django.core.wsgi import get_wsgi_application
from django.templatetags.static import static
from django.test import Client

PACKED = {"HTTP_ACCEPT_ENCODING": "gzip, deflate"}


def test_the_start_has_nothing_to_complain_of_and_files_are_served() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        get_wsgi_application()
    response = Client().get("/static/css/app.css")
    assert response.status_code == 200
    assert b"--paper" in b"".join(response)


def test_an_address_names_the_state_of_the_files_and_is_kept_for_ever() -> None:
    address = static("css/app.css")
    assert address.startswith("/static-")
    response = Client().get(address)
    assert "immutable" in response["Cache-Control"]
    assert b"--paper" in b"".join(response)
    older = Client().get("/static-0123456789ab/css/app.css")
    assert (older.status_code, older["Cache-Control"]) == (200, "no-cache")
    assert Client().get("/static-0123456789ab/css/none.css").status_code != 200


def test_text_is_served_compressed_and_can_be_asked_for_as_it_is() -> None:
    packed = Client().get(static("css/app.css"), **PACKED)
    body = b"".join(packed)
    assert packed["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in packed["Vary"]
    assert int(packed["Content-Length"]) == len(body)
    plain = Client().get(static("css/app.css"))
    assert not plain.has_header("Content-Encoding")
    assert gzip.decompress(body) == b"".join(plain)


def test_a_file_that_has_not_changed_is_not_sent_again() -> None:
    first = Client().get(static("js/label.js"), **PACKED)
    again = Client().get(static("js/label.js"), HTTP_IF_NONE_MATCH=first["ETag"], **PACKED)
    assert again.status_code == 304
