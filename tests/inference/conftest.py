"""Models and an HTTP endpoint, small but real."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chat_server import ChatServer


@pytest.fixture(scope="session")
def lm(tiny_lm: Path) -> Any:
    """The tiny language model, loaded: (model, tokenizer)."""
    from steelyard.inference.text import load_causal_lm

    return load_causal_lm(str(tiny_lm))


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer() as running:
        yield running
