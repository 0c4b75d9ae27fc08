"""BM25: which passages of a collection a query is about, by the words that both have."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

K1, B = 0.9, 0.4
"""As is usual for conversational search."""
_WORD = re.compile(r"\w+")


def words_of(text: str) -> list[str]:
    return _WORD.findall(text.lower())


class Index:
    """An inverted index of a collection; a passage's number is its place."""

    def __init__(self, passages: Sequence[str]) -> None:
        postings: dict[str, tuple[list[int], list[int]]] = {}
        lengths = np.zeros(len(passages))
        for place, passage in enumerate(passages):
            words = words_of(passage)
            lengths[place] = len(words)
            for word, times in Counter(words).items():
                places, counts = postings.setdefault(word, ([], []))
                places.append(place)
                counts.append(times)
        mean = float(lengths.mean()) if len(passages) else 0.0
        self._norm = K1 * (1 - B + B * lengths / mean) if mean else lengths
        self._size = len(passages)
        self._postings = {
            word: (np.array(places), np.array(counts, dtype=float))
            for word, (places, counts) in postings.items()
        }

    def scores(self, query: str) -> np.ndarray:
        """Of each passage; 0 where it has no word of the query. A word said twice counts twice."""
        found = np.zeros(self._size)
        for word in words_of(query):
            if word not in self._postings:
                continue
            places, counts = self._postings[word]
            rare = np.log1p((self._size - places.size + 0.5) / (places.size + 0.5))
            found[places] += rare * counts * (K1 + 1) / (counts + self._norm[places])
        return found

    def best(self, query: str, most: int) -> list[tuple[int, float]]:
        """Place and score of the best, the earlier first where two are even; none without a word
        of the query."""
        found = self.scores(query)
        order = np.lexsort((np.arange(self._size), -found))[:most]
        return [(int(place), float(found[place])) for place in order if found[place] > 0]
