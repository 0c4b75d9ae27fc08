"""Keys are the hashes of canonical JSON, by whatever way they are made."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.keys import output_key, pair_key, prompt_key, set_key
from steelyard.lib.hashing import digest_of

TEXT = st.text(st.characters(codec="utf-8"), max_size=30)
MESSAGES = st.lists(st.fixed_dictionaries({"role": TEXT, "content": TEXT}), max_size=3)
PARAMETERS = st.dictionaries(TEXT, st.floats(allow_nan=False, allow_infinity=False), max_size=2)


@given(MESSAGES, st.lists(TEXT, max_size=2))
def test_of_prompts_and_pairs(messages: list[dict[str, str]], media: list[str]) -> None:
    said = {"messages": messages, "media": media} if media else messages
    assert prompt_key(messages, media) == digest_of(said)
    assert set_key("p", media) == digest_of(["p", sorted(media)])
    assert pair_key("p", "a", "b") == digest_of(["p", "a", "b"])


@given(TEXT, TEXT, st.none() | st.integers(-(2**63), 2**63 - 1), PARAMETERS)
def test_of_outputs(model: str, text: str, seed: int | None, parameters: dict[str, Any]) -> None:
    made = {"model": model, "text": text, "media": "", "seed": seed, "parameters": parameters}
    assert output_key(**made) == digest_of(made)


def test_half_a_character_has_no_key() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        prompt_key([{"role": "user", "content": "\ud800"}])
