"""Prompts that say nearly the same thing. Pure: no database, no clock, no chance.

Two texts are near duplicates where the word 5-grams of what they say, once case, punctuation and
spacing are taken off, overlap by at least ``ALIKE`` (Jaccard). Candidates are found by MinHash in
bands and each is then measured, so that nothing is grouped by a hash's accident.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Iterable, Iterator

import numpy as np

ALIKE = 0.7
N_WORDS = 5
_BANDS, _ROWS = 40, 4
"""At a similarity of 0.7 these miss a pair in 60 000; above it still fewer."""
_PRIME = np.uint64((1 << 31) - 1)
_WORD = re.compile(r"\w+")


def grams(text: str) -> np.ndarray:
    """The word 5-grams of a text as sorted 31-bit numbers, int64; a text of fewer words is one gram
    of all of them."""
    words = _WORD.findall(unicodedata.normalize("NFKC", text).casefold())
    last = max(len(words) - N_WORDS, 0)
    said = {" ".join(words[at : at + N_WORDS]) for at in range(last + 1)}
    return np.unique(np.array([zlib.crc32(gram.encode()) >> 1 for gram in said], dtype=np.int64))


def jaccard(one: np.ndarray, other: np.ndarray) -> float:
    """Shared grams by all grams, 0 to 1."""
    both = len(np.intersect1d(one, other, assume_unique=True))
    return both / (len(one) + len(other) - both)


def groups(texts: Iterable[str]) -> np.ndarray:
    """For each text the place of the first text of its group, shape (texts,).

    Near duplicates share a group, and so do texts that a chain of them connects. The same groups in
    whatever order the texts come.
    """
    sets = [grams(text) for text in texts]
    first = np.arange(len(sets))

    def root(at: int) -> int:
        while first[at] != at:
            first[at] = first[first[at]]
            at = int(first[at])
        return at

    for places in _candidates(sets):
        for n, one in enumerate(places):
            for other in places[n + 1 :]:
                low, high = sorted((root(one), root(other)))
                if low != high and jaccard(sets[one], sets[other]) >= ALIKE:
                    first[high] = low
    return np.array([root(at) for at in range(len(sets))], dtype=np.int64)


def _candidates(sets: list[np.ndarray]) -> Iterator[list[int]]:
    """Places whose signatures agree in a whole band, one band after another."""
    signatures = np.empty((len(sets), _BANDS * _ROWS), dtype=np.uint32)
    for at, numbers in enumerate(sets):
        signatures[at] = _signature(numbers)
    for band in range(_BANDS):
        part = np.ascontiguousarray(signatures[:, band * _ROWS : (band + 1) * _ROWS])
        _, bucket = np.unique(part, axis=0, return_inverse=True)
        order = np.argsort(bucket, kind="stable")
        cuts = np.flatnonzero(np.diff(bucket[order])) + 1
        yield from (run.tolist() for run in np.split(order, cuts) if len(run) > 1)


def _signature(numbers: np.ndarray) -> np.ndarray:
    """The least of each of 160 hashes over the grams, uint32. Both factors are below 2^31, so
    nothing overflows 64 bits."""
    hashed = (numbers.astype(np.uint64) * _FACTORS[:, None] + _TERMS[:, None]) % _PRIME
    return hashed.min(axis=1).astype(np.uint32)


def _drawn(name: str) -> np.ndarray:
    numbers = [zlib.crc32(f"{name} {n}".encode()) >> 1 for n in range(_BANDS * _ROWS)]
    return np.array(numbers, dtype=np.uint64)


_FACTORS, _TERMS = _drawn("factor") | np.uint64(1), _drawn("term")
