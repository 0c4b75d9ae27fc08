"""An endpoint is asked with patience, and its trouble is told without its key."""

from __future__ import annotations

import email.utils
import threading
import time
from typing import Any

import pytest

from steelyard.inference.endpoint import Endpoint
from steelyard.lib.errors import UserError
from tests.chat_server import ChatServer

KEY = "sk-very-secret"
QUESTION = [{"role": "user", "content": "Hello?"}]


def _ask(url: str, **more: Any) -> str:
    settings = {"attempts": 4, "first_wait": 0.02, **more}
    return Endpoint(url, "some-model", KEY, **settings).chat(
        QUESTION, temperature=0.5, max_new_tokens=9, seed=7
    )


def _trouble(url: str, **more: Any) -> UserError:
    with pytest.raises(UserError) as caught:
        _ask(url, **more)
    assert url in caught.value.message
    assert KEY not in caught.value.message
    return caught.value


def test_it_works(server: ChatServer) -> None:
    assert _ask(server.url) == "Hello."
    assert server.asked == [
        {
            "model": "some-model",
            "messages": QUESTION,
            "temperature": 0.5,
            "max_tokens": 9,
            "seed": 7,
        }
    ]
    assert server.keys == [f"Bearer {KEY}"]


def test_a_slash_at_the_end_of_the_url_does_no_harm(server: ChatServer) -> None:
    assert _ask(f"{server.url}/") == "Hello."


def test_the_key_is_not_shown() -> None:
    endpoint = Endpoint("http://localhost:1/v1", "m", KEY)
    assert KEY not in repr(endpoint)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_passes_by_itself_is_waited_out(server: ChatServer, status: int) -> None:
    server.reply = lambda body, number: "Here." if number == 2 else (status, {}, {})
    assert _ask(server.url) == "Here."
    assert len(server.asked) == 3


def test_the_waits_are_bounded(server: ChatServer) -> None:
    server.reply = lambda body, number: (503, {}, {"error": {"message": "overloaded"}})
    error = _trouble(server.url)
    assert error.code == "endpoint_unreachable"
    assert "503 overloaded" in error.message
    assert len(server.asked) == 4


@pytest.mark.parametrize("as_date", [False, True])
def test_it_comes_back_when_the_server_says(server: ChatServer, as_date: bool) -> None:
    # a date has whole seconds only
    value = email.utils.formatdate(time.time() + 2, usegmt=True) if as_date else "0.6"
    server.reply = lambda body, number: "Here." if number else (429, {"Retry-After": value}, {})
    start = time.monotonic()
    assert _ask(server.url, first_wait=0.0) == "Here."
    assert 0.5 < time.monotonic() - start < 30


def test_nobody_listens() -> None:
    error = _trouble("http://127.0.0.1:9/v1", attempts=2)
    assert error.code == "endpoint_unreachable"
    assert "ConnectError" in error.message


def test_it_takes_too_long(server: ChatServer) -> None:
    asked_enough = threading.Event()
    server.reply = lambda body, number: str(asked_enough.wait(60))
    error = _trouble(server.url, attempts=1, timeout=0.1)
    asked_enough.set()
    assert error.code == "endpoint_unreachable"
    assert "Timeout" in error.message


@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_key_is_not_tried_twice(server: ChatServer, status: int) -> None:
    said = {"error": {"message": f"Incorrect API key provided: {KEY}"}}
    server.reply = lambda body, number: (status, {}, said)
    error = _trouble(server.url)
    assert error.code == "endpoint_refused"
    assert "Incorrect API key" in error.message
    assert len(server.asked) == 1


def test_an_unknown_model(server: ChatServer) -> None:
    server.reply = lambda body, number: (404, {}, {"error": {"message": "no such model"}})
    error = _trouble(server.url)
    assert error.code == "endpoint_unknown_model"
    assert "some-model" in error.message


def test_a_wrong_path(server: ChatServer) -> None:
    assert _trouble(server.url.removesuffix("/v1")).code == "endpoint_unknown_model"


def test_a_question_it_does_not_take(server: ChatServer) -> None:
    server.reply = lambda body, number: (400, {}, {"error": {"message": "context is 10 tokens"}})
    error = _trouble(server.url)
    assert error.code == "endpoint_rejected"
    assert "context is 10 tokens" in error.message


@pytest.mark.parametrize("body", ["<html>Welcome</html>", {"choices": []}, [1], {"error": None}])
def test_an_answer_that_is_no_completion(server: ChatServer, body: Any) -> None:
    server.reply = lambda asked, number: (200, {}, body)
    assert _trouble(server.url).code == "endpoint_garbled"


def test_a_server_that_calls_the_limit_otherwise(server: ChatServer) -> None:
    def reply(body: dict[str, Any], number: int) -> Any:
        if "max_tokens" in body:
            return 400, {}, {"error": {"message": "Use 'max_completion_tokens' instead."}}
        return "Here."

    server.reply = reply
    endpoint = Endpoint(server.url, "some-model")
    for _ in range(2):
        assert endpoint.chat(QUESTION, temperature=0, max_new_tokens=9) == "Here."
    assert [body.get("max_completion_tokens") for body in server.asked] == [None, 9, 9]


@pytest.mark.parametrize("key", ["sk-\n1", "sk-é"])
def test_a_key_that_cannot_be_one(key: str) -> None:
    with pytest.raises(UserError) as caught:
        Endpoint("http://localhost:1/v1", "m", key)
    assert caught.value.code == "endpoint_refused"
    assert key not in caught.value.message


def test_a_url_that_cannot_be_asked() -> None:
    assert _trouble("ftp://somewhere/v1", attempts=1).code == "endpoint_unreachable"


def test_waiting_ends_when_the_run_is_stopped(server: ChatServer) -> None:
    server.reply = lambda body, number: (503, {"Retry-After": "30"}, {})
    start = time.monotonic()
    with pytest.raises(UserError):
        Endpoint(server.url, "m").chat(QUESTION, temperature=0, max_new_tokens=9, stop=lambda: True)
    assert time.monotonic() - start < 25


def test_what_a_database_refuses_is_left_out(server: ChatServer) -> None:
    server.reply = lambda body, number: " a\x00b\ud83dc "
    assert _ask(server.url) == "ab?c"
