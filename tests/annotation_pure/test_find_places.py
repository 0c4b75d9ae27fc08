"""Rows find one another by their keys, whatever numbers and bytes those are."""

from __future__ import annotations

import numpy as np
import pytest

from annotation.freezing.select import Pairs, places_of


@pytest.mark.parametrize("pks", [[7, 3, 5], [10**12, 3, 5], [4]])
def test_primary_keys_are_found_close_by_and_far_apart(pks: list[int]) -> None:
    wanted = np.array([*reversed(pks), 1, 6, 10**13, *pks])
    expected = [pks.index(pk) if pk in pks else -1 for pk in wanted.tolist()]
    assert places_of(np.array(pks), wanted).tolist() == expected
    assert places_of(np.array(pks), wanted[:0]).tolist() == []
    assert places_of(np.zeros(0, np.int64), wanted).tolist() == [-1] * len(wanted)


@pytest.mark.parametrize("alike", [0, 8, 31])
def test_pairs_stand_in_the_order_of_their_keys_though_these_begin_alike(alike: int) -> None:
    drawn = np.random.default_rng(0)
    keys = [bytes(alike) + drawn.bytes(32 - alike) for _ in range(20)]
    nothing = np.arange(len(keys))
    columns = dict.fromkeys(Pairs.__dataclass_fields__, nothing)
    pairs = Pairs(**{**columns, "key": np.array(keys, "V32")}).sorted()
    assert [key.tobytes() for key in pairs.key] == sorted(keys)
