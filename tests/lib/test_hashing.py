"""Numbers that are drawn for many keys at once are those that are drawn for each."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from steelyard.lib.hashing import stable_int, stable_ints


@given(st.integers(), st.lists(st.binary(min_size=1, max_size=4)))
def test_many_numbers_are_those_of_each(seed: int, keys: list[bytes]) -> None:
    last = [key.hex() for key in keys]
    drawn = stable_ints(("split", seed), [key.encode() for key in last])
    assert drawn == [stable_int("split", seed, key) for key in last]
