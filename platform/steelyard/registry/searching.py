"""Rows of a version that meet a filter; only the columns that it speaks of are read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from steelyard.registry.kept import Content
from steelyard.registry.models import DatasetVersion
from steelyard.registry.rows import Rows

OUTCOMES = ("win", "tie", "both_bad")
_TEXTS = ("chosen", "rejected")
_PROMPT = "prompt.list.element.content"
_WHY = "rationales.list.element.text"
_TERM = re.compile(r"""["“„]([^"”“]+)["”“]|(\S+)""")


@dataclass(frozen=True)
class RowFilter:
    """What is empty or None asks nothing."""

    q: str = ""
    """Words that are all in the prompt, the answers and the rationales together, in whatever case
    and order; those in quotes stand together."""
    split: str = ""
    category: str | None = None
    model: str = ""
    outcome: str = ""
    agreement: float | None = None
    """At most so much of the votes agree, 0 to 1."""

    def __bool__(self) -> bool:
        return self != RowFilter()


class Found(Sequence[dict[str, Any]]):
    """The rows at some places, as a paginator wants them."""

    def __init__(self, version: DatasetVersion, places: np.ndarray) -> None:
        self._rows, self.places = Rows(version), places

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, key: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, key: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, key: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        if isinstance(key, int):
            return self._rows.at([int(self.places[key])])[0]
        return self._rows.at(self.places[key].tolist())


def search(version: DatasetVersion, asked: RowFilter) -> Sequence[dict[str, Any]]:
    """The rows in their order. The next page of the same search asks the files no more."""
    if not asked:
        return Rows(version)
    return Found(version, _places(Content(version), asked))


def choices(version: DatasetVersion) -> dict[str, list[str]]:
    """The categories and models of the rows."""
    return _choices(Content(version))


@lru_cache(maxsize=64)
def _choices(key: Content) -> dict[str, list[str]]:
    table = Rows(key.version).columns(["category", "chosen_model", "rejected_model"])
    seen = {name: set(pc.unique(table[name]).to_pylist()) for name in table.column_names}
    return {
        "categories": sorted(seen["category"]),
        "models": sorted(seen["chosen_model"] | seen["rejected_model"]),
    }


@lru_cache(maxsize=64)
def _places(key: Content, asked: RowFilter) -> np.ndarray:
    found, start = [], 0
    for batch in Rows(key.version).batches(_columns(asked)):
        found.append(start + np.flatnonzero(_mask(batch, asked)))
        start += batch.num_rows
    return np.concatenate(found).astype(np.uint32) if found else np.zeros(0, dtype=np.uint32)


def _columns(asked: RowFilter) -> list[str]:
    names = [name for name in ("split", "outcome", "agreement") if getattr(asked, name)]
    if asked.agreement is not None and "agreement" not in names:
        names.append("agreement")
    if asked.category is not None:
        names.append("category")
    if asked.model:
        names += ["chosen_model", "rejected_model"]
    if asked.q:
        names += [_PROMPT, *_TEXTS, _WHY]
    return names


def _mask(batch: pa.RecordBatch, asked: RowFilter) -> np.ndarray:
    mask = np.ones(batch.num_rows, dtype=bool)
    for name in ("split", "category", "outcome"):
        if (value := getattr(asked, name)) not in ("", None) or (
            name == "category" and value is not None
        ):
            mask &= _array(pc.equal(batch.column(name), value))
    if asked.model:
        by = [
            pc.equal(batch.column(name), asked.model) for name in ("chosen_model", "rejected_model")
        ]
        mask &= _array(pc.or_(*by))
    if asked.agreement is not None:
        mask &= _array(pc.less_equal(batch.column("agreement"), asked.agreement))
    for words in _terms(asked.q):
        places = np.flatnonzero(mask)
        if not len(places):
            break
        left = batch if len(places) == len(mask) else batch.take(pa.array(places))
        mask[places] = _says(left, words)
    return mask


def _terms(asked: str) -> list[str]:
    """``sea "of salt"`` → sea, of salt; a quote that nothing ends is a sign like any other."""
    return [quoted or word for quoted, word in _TERM.findall(asked)]


def _says(batch: pa.RecordBatch, words: str) -> np.ndarray:
    found = np.zeros(batch.num_rows, dtype=bool)
    for name in _TEXTS:
        found |= _array(pc.match_substring(batch.column(name), words, ignore_case=True))
    for name, leaf in (("prompt", "content"), ("rationales", "text")):
        column = batch.column(name)
        text = pc.struct_field(pc.list_flatten(column), leaf)
        hit = _array(pc.match_substring(text, words, ignore_case=True))
        parents = pc.list_parent_indices(column).to_numpy(zero_copy_only=False)
        found[parents[hit]] = True
    return found


def _array(values: pa.Array) -> np.ndarray:
    return values.to_numpy(zero_copy_only=False).astype(bool)
