"""Content identity of prompts, outputs and pairs: the same things have the same keys anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from steelyard.lib.hashing import digest_of, sha256_hex


def prompt_key(messages: list[dict[str, Any]], media: Sequence[str] = ()) -> str:
    """Of what was asked.

    Args:
        media: SHA-256 of the files that it is asked about, in order.
    """
    if not media:
        return _digest(messages)
    return _digest({"messages": messages, "media": list(media)})


def output_key(
    *, model: str, text: str, media: str, seed: int | None, parameters: dict[str, Any]
) -> str:
    """Of what was answered and how it was made.

    Args:
        model: the model version's name.
        media: SHA-256 of the file, empty for text.
    """
    said = {"model": model, "text": text, "media": media, "seed": seed, "parameters": parameters}
    # numbers in parameters are written in more than one way
    return digest_of(said) if parameters else _digest(said)


def pair_key(prompt: str, output_a: str, output_b: str) -> str:
    """Of three keys; the caller gives the outputs in canonical order, the smaller key first."""
    return _digest([prompt, output_a, output_b])


def set_key(prompt: str, outputs: Sequence[str]) -> str:
    """Of a prompt's key and those of the outputs to be ranked, in whatever order."""
    return _digest([prompt, sorted(outputs)])


def _digest(value: Any) -> str:
    """:func:`digest_of` for texts, whole numbers and what holds them, several times quicker; what
    is anything else is left to it."""
    try:
        return sha256_hex(orjson.dumps(value, option=_EXACT))
    except TypeError:
        return digest_of(value)


_EXACT = orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_SUBCLASS | orjson.OPT_PASSTHROUGH_DATACLASS
