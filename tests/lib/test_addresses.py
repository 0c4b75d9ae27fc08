"""Whom the server may be made to talk to."""

from __future__ import annotations

import pytest

from steelyard.inference.endpoint import Endpoint
from steelyard.lib.addresses import NotAllowed, reachable
from steelyard.lib.errors import UserError
from tests.chat_server import ChatServer


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("127.0.0.1", []),
        ("localhost", ["10.0.0.0/8"]),
        ("10.1.2.3", ["127.0.0.1"]),
        ("192.168.1.1", ["192.168.2.0/24"]),
        ("::ffff:127.0.0.1", []),
        ("169.254.169.254", ["*"]),
        ("::ffff:169.254.169.254", ["*"]),
    ],
)
def test_private_addresses_are_refused(host: str, allowed: list[str]) -> None:
    with pytest.raises(NotAllowed):
        reachable(host, 80, allowed)


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("127.0.0.1", ["*"]),
        ("localhost", ["localhost"]),
        ("10.1.2.3", ["10.0.0.0/8"]),
        ("::ffff:127.0.0.1", ["127.0.0.1"]),
        ("1.1.1.1", []),
    ],
)
def test_public_ones_and_those_that_the_operator_allows_are_not(
    host: str, allowed: list[str]
) -> None:
    assert reachable(host, 80, allowed)


def test_an_endpoint_in_a_private_network_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEELYARD_PRIVATE_ENDPOINTS", "10.0.0.0/8")
    with ChatServer() as server, pytest.raises(UserError) as caught:
        Endpoint(server.url, "m", "sk-1").chat([], temperature=0, max_new_tokens=4)
    assert caught.value.code == "private_address"
    assert "STEELYARD_PRIVATE_ENDPOINTS" in caught.value.message
    assert server.asked == []


def test_nobody_follows_where_an_endpoint_leads_on() -> None:
    with (
        ChatServer() as inner,
        ChatServer(lambda body, number: (307, {"Location": inner.url}, "")) as server,
        pytest.raises(UserError, match="nobody follows"),
    ):
        Endpoint(server.url, "m", "sk-1").chat([], temperature=0, max_new_tokens=4)
    assert inner.asked == []
