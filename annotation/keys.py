"""Content identity of prompts, outputs and pairs: the same things have the same keys anywhere."""

from __future__ import annotations

from typing import Any

from steelyard.lib.hashing import digest_of


def prompt_key(messages: list[dict[str, Any]]) -> str:
    return digest_of(messages)


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
