"""So many requests a minute, counted for all processes in one place."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from django.test import Client

from steelyard.accounts.services import create_token
from steelyard.web import limits

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _in_one_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a test takes, its requests are of the same minute; of one that is far off, since
    tests beside it count tokens of their own databases by the same numbers in the same place."""
    begun = (time.time() // limits.WINDOW + 10**6) * limits.WINDOW
    clock = SimpleNamespace(time=lambda: begun + limits.WINDOW / 2, monotonic=lambda: 1000.0)
    monkeypatch.setattr(limits, "time", clock)
    monkeypatch.setattr(limits, "_asleep_until", 0.0)
    # a counter that is slow on a busy machine is one that counts
    monkeypatch.setattr(limits, "_server", _patient)


@cache
def _patient(url: str) -> redis.Redis:
    plain = url.replace("redis+socket://", "unix://", 1)
    return redis.Redis.from_url(plain, socket_timeout=60, socket_connect_timeout=60)


def bearer(user: Any, address: str) -> Client:
    _, key = create_token(user=user, name="t")
    return Client(headers={"Authorization": f"Bearer {key}"}, REMOTE_ADDR=address)


def test_a_token_that_asks_too_much_waits(owner: Any, settings: Any) -> None:
    settings.REQUESTS_OF_TOKEN = 3
    client, other = bearer(owner, "192.0.2.1"), bearer(owner, "192.0.2.1")
    assert [client.get("/api/v1/me").status_code for _ in range(4)] == [200, 200, 200, 429]
    answer = client.get("/api/v1/me")
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "throttled"
    assert 0 < int(answer["Retry-After"]) <= 60
    assert other.get("/api/v1/me").status_code == 200


def test_so_does_an_address_whoever_asks_from_there(owner: Any, settings: Any) -> None:
    settings.REQUESTS_OF_ADDRESS = 3
    first, second = bearer(owner, "192.0.2.2"), bearer(owner, "192.0.2.2")
    stranger = Client(headers={"Authorization": "Bearer nonsense"}, REMOTE_ADDR="192.0.2.2")
    assert first.get("/api/v1/me").status_code == 200
    assert stranger.get("/api/v1/me").status_code == 401
    assert second.get("/api/v1/me").status_code == 200
    assert second.get("/api/v1/me").status_code == 429
    assert stranger.get("/api/v1/me").status_code == 429
    assert bearer(owner, "192.0.2.3").get("/api/v1/me").status_code == 200


def test_zero_is_no_limit(owner: Any, settings: Any) -> None:
    settings.REQUESTS_OF_TOKEN = settings.REQUESTS_OF_ADDRESS = 0
    client = bearer(owner, "192.0.2.4")
    assert {client.get("/api/v1/me").status_code for _ in range(20)} == {200}


def test_without_a_counter_nobody_is_kept_out_or_held_up(
    owner: Any, settings: Any, monkeypatch: Any
) -> None:
    asked: list[object] = []

    def count(*args: Any, real: Any = limits._count) -> Any:
        asked.append(args)
        return real(*args)

    monkeypatch.setattr(limits, "_count", count)
    settings.LIMITS_URL = "unix:///nowhere/valkey.sock"
    settings.REQUESTS_OF_TOKEN = 1
    client = bearer(owner, "192.0.2.5")
    assert {client.get("/api/v1/me").status_code for _ in range(20)} == {200}
    assert len(asked) == 1


def test_counting_costs_a_labeller_little(settings: Any) -> None:
    """A fifth of a millisecond beside requests of several, or what a slower machine takes for a
    few bare questions; where others are at work on the same cores, the quick tenth tells what it
    costs."""
    names = {"token:test": 10**9, "address:test": 10**9}
    limits.wait_for(names)

    def is_little() -> bool:
        bare = quick_tenth(limits._server(settings.LIMITS_URL).ping)
        return quick_tenth(lambda: limits.wait_for(names)) < max(0.0003, 4 * bare)

    # a neighbour that begins between the two measurements slows only the second
    assert any(is_little() for _ in range(10))


def quick_tenth(work: Callable[[], object]) -> float:
    took = []
    for _ in range(300):
        started = time.perf_counter()
        work()
        took.append(time.perf_counter() - started)
    return sorted(took)[30]
