"""What two versions of a project differ in, row by row."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from steelyard.registry.kept import Content
from steelyard.registry.models import DatasetVersion
from steelyard.registry.rows import Rows

KINDS = ("added", "removed", "relabelled", "changed")
"""``relabelled`` rows have another outcome or winner; ``changed`` ones the same, but other votes,
agreement, strength, weight or split."""
_VERDICT = ("outcome", "chosen_side")
_REST = ("split", "agreement", "strength", "weight")


@dataclass(frozen=True)
class Difference:
    old: DatasetVersion
    new: DatasetVersion
    places: dict[str, np.ndarray]
    """By kind, the places of the rows in their version, shape (rows, 2): old and new, -1 where it
    has none."""
    same: int

    @property
    def counts(self) -> dict[str, int]:
        return {**{kind: len(self.places[kind]) for kind in KINDS}, "same": self.same}

    def rows(self, kind: str, start: int, stop: int) -> list[dict[str, Any]]:
        """Each with ``old`` and ``new``: the row there, None where it is not."""
        places = self.places[kind][start:stop]
        sides = {}
        for at, version in ((0, self.old), (1, self.new)):
            wanted = [int(place) for place in places[:, at] if place >= 0]
            sides[at] = iter(Rows(version).at(wanted) if wanted else [])
        return [
            {
                "old": next(sides[0]) if old >= 0 else None,
                "new": next(sides[1]) if new >= 0 else None,
            }
            for old, new in places
        ]


def compare(old: DatasetVersion, new: DatasetVersion) -> Difference:
    """Rows are the same where they are of one pair; of one vote where a row is a vote, and of one
    side where ties are there twice. The next page of the same difference asks the files no more."""
    return Difference(old, new, *_compared(Content(old), Content(new)))


@lru_cache(maxsize=16)
def _compared(of_old: Content, of_new: Content) -> tuple[dict[str, np.ndarray], int]:
    """Places by kind, and how many rows are the same."""
    old, new = of_old.version, of_new.version
    tables = [_table(version) for version in (old, new)]
    several = any(version.recipe.get("projects") for version in (old, new))
    keys = _keys(tables[0], old, several), _keys(tables[1], new, several)
    _, places_old, places_new = np.intersect1d(
        keys[0], keys[1], assume_unique=True, return_indices=True
    )
    order = np.argsort(places_new)
    both = np.stack([places_old[order], places_new[order]], axis=1)
    relabelled = _differ(tables, _VERDICT, both)
    changed = (_differ(tables, _REST, both) | _other_votes(tables, both)) & ~relabelled
    alone = [np.ones(len(key), dtype=bool) for key in keys]
    alone[0][places_old] = False
    alone[1][places_new] = False
    removed, added = (np.flatnonzero(one) for one in alone)
    places = {
        "added": np.stack([np.full(len(added), -1), added], axis=1),
        "removed": np.stack([removed, np.full(len(removed), -1)], axis=1),
        "relabelled": both[relabelled],
        "changed": both[changed],
    }
    return places, int((~relabelled & ~changed).sum())


def _table(version: DatasetVersion) -> pa.Table:
    columns = ["pair", *_VERDICT, *_REST, "votes.list.element.judgment"]
    if version.recipe.get("projects"):
        columns.append("project")
    return Rows(version).columns(columns).combine_chunks()


def _keys(table: pa.Table, version: DatasetVersion, several: bool) -> np.ndarray:
    """
    Args:
        several: whether one of the two versions is of several projects, of which two may have the
            same pair.
    """
    parts = [table["pair"]]
    if several:
        alone = pa.repeat(pa.scalar(version.project.slug, pa.string()), len(table))
        parts.append(table["project"] if "project" in table.column_names else alone)
    if version.recipe.get("aggregation") == "per_vote":
        votes = pc.struct_field(pc.list_element(table["votes"], 0), "judgment")
        parts.append(votes)
    if version.recipe.get("ties") == "half":
        parts.append(pc.if_else(pc.less(table["weight"], 1.0), table["chosen_side"], ""))
    joined = parts[0] if len(parts) == 1 else pc.binary_join_element_wise(*parts, "/")
    return np.array(joined.to_pylist(), dtype=np.str_).astype(np.bytes_)


def _differ(tables: list[pa.Table], names: tuple[str, ...], both: np.ndarray) -> np.ndarray:
    found = np.zeros(len(both), dtype=bool)
    for name in names:
        old, new = (table[name].take(pa.array(both[:, at])) for at, table in enumerate(tables))
        found |= pc.not_equal(old, new).to_numpy().astype(bool)
    return found


def _other_votes(tables: list[pa.Table], both: np.ndarray) -> np.ndarray:
    """Whether the votes behind a row are other ones."""
    said = []
    for at, table in enumerate(tables):
        votes = table["votes"].take(pa.array(both[:, at])).combine_chunks()
        ids = pc.struct_field(pc.list_flatten(votes), "judgment")
        kind = pa.list_(pa.string())
        lengths = pc.list_value_length(votes).to_numpy(zero_copy_only=False)
        ends = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
        lists = pa.ListArray.from_arrays(ends, ids, type=kind)
        said.append(pc.binary_join(lists, " "))
    return pc.not_equal(*said).to_numpy(zero_copy_only=False).astype(bool)
