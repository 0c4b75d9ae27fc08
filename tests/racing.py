"""Several things at once, each with a database connection of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from django.db import connection

from steelyard.lib.errors import UserError


def at_once(*todo: Callable[[], Any]) -> list[Any]:
    """Every call in a thread with a connection of its own; results or errors in that order."""
    results: list[Any] = [None] * len(todo)
    barrier = threading.Barrier(len(todo))

    def work(place: int, call: Callable[[], Any]) -> None:
        barrier.wait()
        try:
            results[place] = call()
        except UserError as error:
            results[place] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=item) for item in enumerate(todo)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(180)
    return results
