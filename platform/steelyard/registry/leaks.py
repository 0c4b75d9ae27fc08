"""Prompts that are tested on although one that says the same, but for case, spaces and punctuation,
is trained on: the split is drawn by the hash of what a prompt says to the letter."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from steelyard.registry.models import DatasetVersion
from steelyard.registry.rows import Rows

# signs that change what is asked stay: # of C#, % of 5%, - of -5
_PASSED_OVER = r"""[\s\pZ.,;:!?'"“”‘’«»…¿¡()\[\]]+"""
_COLUMNS = ("prompt_key", "prompt.list.element.content", "prompt_media", "split")


def leaks(version: DatasetVersion) -> int:
    """Of a version, a batch at a time: some 20 bytes a row stay in memory."""
    said, keys, test = [], [], []
    for batch in Rows(version).batches(_COLUMNS):
        media = pc.binary_join(batch.column("prompt_media"), " ")
        texts = pc.binary_join_element_wise(_contents(batch.column("prompt")), media, " ")
        said.append(hashes(texts))
        keys.append(_hashed(batch.column("prompt_key").to_pylist()))
        test.append(pc.equal(batch.column("split"), "test").to_numpy(zero_copy_only=False))
    if not said:
        return 0
    return in_both(np.concatenate(said), np.concatenate(keys), np.concatenate(test))


def hashes(texts: pa.Array) -> np.ndarray:
    """What is left of each text without case, spaces and punctuation, as a number of 64 bits that
    holds within this process; 0 where nothing is left. Shape (texts,)."""
    plain = pc.replace_substring_regex(
        pc.utf8_lower(pc.utf8_normalize(texts, form="NFKC")), pattern=_PASSED_OVER, replacement=" "
    )
    return _hashed(pc.utf8_trim(plain, characters=" ").to_pylist())


def in_both(said: np.ndarray, keys: np.ndarray, test: np.ndarray) -> int:
    """How many of the prompts that are tested on say the same as one that is trained on. Pure.

    Args:
        said: what :func:`hashes` gives, an entry a row.
        keys: which prompt it is.
        test: whether the row is tested on.
    """
    leaking = test & (said != 0) & np.isin(said, np.unique(said[~test]))
    return len(np.unique(keys[leaking]))


def _contents(prompts: pa.ListArray) -> pa.Array:
    """All messages of each prompt as one text."""
    lengths = pc.list_value_length(prompts).to_numpy(zero_copy_only=False)
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
    contents = pc.struct_field(prompts.flatten(), "content")
    return pc.binary_join(pa.ListArray.from_arrays(offsets, contents), " ")


def _hashed(texts: Iterable[str]) -> np.ndarray:
    return np.array([hash(text) if text else 0 for text in texts], dtype=np.int64)
