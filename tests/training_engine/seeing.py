"""Rows about pictures for tests of the engine."""

from __future__ import annotations

import io
from typing import Any

from steelyard.lib.engine import Stop
from steelyard.lib.hashing import sha256_hex
from steelyard.lib.records import PreferenceRecord
from steelyard.lib.rundir import RunDir
from tests.tiny_vision import painted
from tests.training_engine.rows import make_record
from training.engine.__main__ import train

COLOURS = ["red", "green", "blue", "white", "black", "yellow"]


def packed(colour: str, size: tuple[int, int] = (60, 30)) -> bytes:
    data = io.BytesIO()
    painted(colour, size).save(data, "PNG")
    return data.getvalue()


def seen(number: int, *media: bytes, **more: Any) -> PreferenceRecord:
    """A question about a picture: its colour is the better answer."""
    colour = COLOURS[number % len(COLOURS)]
    values: dict[str, Any] = {
        "prompt": [{"role": "user", "content": "What is in the picture?"}],
        "chosen": f"It is {colour}.",
        "rejected": f"It is {COLOURS[(number + 1) % len(COLOURS)]}, I think.",
        "prompt_media": [sha256_hex(one) for one in media or (packed(colour),)],
    }
    return make_record(number, **{**values, **more})


def go(rundir: RunDir) -> dict[str, Any]:
    """Train in this process; the result."""
    train(rundir, Stop(rundir))
    result = rundir.result()
    assert result is not None
    return result
