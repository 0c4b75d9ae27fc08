"""Content identity of prompts, outputs and pairs: the same things have the same keys anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from steelyard.lib.hashing import digest_of


def prompt_key(messages: list[dict[str, Any]], media: Sequence[str] = ()) -> str:
    """Of what was asked.

    Args:
        media: SHA-256 of the files that it is asked about, in order.
    """
    if not media:
        return digest_of(messages)
    return digest_of({"messages": messages, "media": list(media)})


def output_key(
    *, model: str, text: str, media: str, seed: int | None, parameters: dict[str, Any]
) -> str:
    """Of what was answered and how it was made.

    Args:
        model: the model version's name.
        media: SHA-256 of the file, empty for text.
    """
    return digest_of(
        {"model": model, "text": text, "media": media, "seed": seed, "parameters": parameters}
    )


def pair_key(prompt: str, output_a: str, output_b: str) -> str:
    """Of three keys; the caller gives the outputs in canonical order, the smaller key first."""
    return digest_of([prompt, output_a, output_b])


def set_key(prompt: str, outputs: Sequence[str]) -> str:
    """Of a prompt's key and those of the outputs to be ranked, in whatever order."""
    return digest_of([prompt, sorted(outputs)])
