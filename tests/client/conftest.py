"""The client before a server of the test's own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from steelyard.accounts.services import create_token
from steelyard.runs import supervisor
from steelyard_client import Client, Project


@pytest.fixture(autouse=True)
def _nobody_signed_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whoever runs the tests may have signed in somewhere."""
    for name in ("STEELYARD_URL", "STEELYARD_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))


@pytest.fixture
def client_of(live_server: Any) -> Iterator[Callable[..., Client]]:
    """A client of somebody, with a token of theirs."""
    made: list[Client] = []

    def make(user: Any, **options: Any) -> Client:
        _, key = create_token(user=user, name="client")
        made.append(Client(live_server.url, key, **options))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def mine(client_of: Callable[..., Client], owner: Any, project: Any) -> Project:
    """The project, as its owner's client has it."""
    return client_of(owner).project(project.slug)


@pytest.fixture
def working(live_server: Any) -> Iterator[threading.Event]:
    """Runs go on beside the test, as the worker lets them, until this is set."""
    over = threading.Event()

    def work() -> None:
        try:
            while not over.wait(0.2):
                supervisor.reconcile()
        finally:
            connection.close()

    worker = threading.Thread(target=work)
    worker.start()
    yield over
    over.set()
    worker.join()
