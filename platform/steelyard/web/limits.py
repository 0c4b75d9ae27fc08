"""Counting requests for rate limits, in a Redis or Valkey that all web processes share.

A limit protects the others from one who asks too much; it is no part of what must hold. So where
the counter cannot be reached, requests pass, and the log says so.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from functools import cache

import redis
from django.conf import settings

logger = logging.getLogger(__name__)

WINDOW = 60
"""seconds"""
_REST = 10.0
"""seconds without asking a counter that did not answer, so that its absence slows nobody down"""
_asleep_until = 0.0


def wait_for(limits: Mapping[str, int]) -> float:
    """Count one request of everybody it is counted for, and say for how many seconds they must
    wait; 0 where they need not.

    Args:
        limits: who, and how many requests a minute they have; 0 for as many as they like.
    """
    global _asleep_until
    counted = {who: limit for who, limit in limits.items() if limit}
    if not counted or not settings.LIMITS_URL or time.monotonic() < _asleep_until:
        return 0.0
    now = time.time()
    try:
        counts = _count(list(counted), int(now // WINDOW))
    except redis.RedisError as error:
        _asleep_until = time.monotonic() + _REST
        logger.warning("requests are not counted, so nobody is limited: %s", error)
        return 0.0
    over = any(n > limit for n, limit in zip(counts, counted.values(), strict=True))
    return WINDOW - now % WINDOW if over else 0.0


def _count(names: list[str], window: int) -> list[int]:
    """One round trip, and a second for the first request of a minute: on the labelling path a tenth
    of a millisecond counts."""
    server = _server(settings.LIMITS_URL)
    keys = [f"steelyard-limit:{name}:{window}" for name in names]
    pipeline = server.pipeline(transaction=False)
    for key in keys:
        pipeline.incr(key)
    counts = pipeline.execute()
    for key, count in zip(keys, counts, strict=True):
        if count == 1:
            server.expire(key, 2 * WINDOW)
    return counts


@cache
def _server(url: str) -> redis.Redis:
    plain = url.replace("redis+socket://", "unix://", 1)
    return redis.Redis.from_url(plain, socket_timeout=1, socket_connect_timeout=1)
