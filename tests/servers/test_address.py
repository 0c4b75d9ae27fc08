from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator

import pytest

from steelyard.servers.address import Address
from steelyard.servers.process import ServerError
from tests.ports import free_port


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_this_machine_only_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOST", raising=False)
    monkeypatch.delenv("PORT", raising=False)
    assert Address.from_environment().url == "http://127.0.0.1:8000/"


@pytest.mark.parametrize("port", ["", "http", "0", "70000", "-1", "80.5"])
def test_a_port_that_is_none_is_refused_by_name(port: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", port)
    if not port:
        assert Address.from_environment().port == 8000
        return
    with pytest.raises(ServerError, match="PORT is"):
        Address.from_environment()


def test_a_taken_port_names_who_has_it_and_what_to_set(taken: int) -> None:
    with pytest.raises(ServerError) as error:
        Address("127.0.0.1", taken).check_free()
    assert f"Port {taken} on 127.0.0.1 is taken by" in str(error.value)
    assert f"pid {os.getpid()}" in str(error.value)
    # the next one, unless somebody else listens there
    advised = re.search(r"PORT=(\d+)", str(error.value))
    assert advised is not None
    assert taken < int(advised[1]) < taken + 50


def test_a_free_port_is_accepted() -> None:
    Address("127.0.0.1", free_port()).check_free()


@pytest.mark.parametrize(
    ("host", "advice"), [("nowhere.invalid", "cannot resolve"), ("192.0.2.7", "not an address")]
)
def test_a_host_that_is_not_ours_is_refused_with_advice(host: str, advice: str) -> None:
    with pytest.raises(ServerError, match=advice):
        Address(host, 8000).check_free()


def test_every_network_is_opened_by_a_local_name() -> None:
    assert Address("0.0.0.0", 8000).url == "http://127.0.0.1:8000/"
    assert Address("::", 8000).url == "http://[::1]:8000/"
    assert Address("::1", 8000).bind == "[::1]:8000"
