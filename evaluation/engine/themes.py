"""What reasons are about: texts to themes by TF-IDF and non-negative matrix factorisation (Lee and
Seung 2001). Pure NumPy, the same for the same texts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FEWEST = 10
"""Texts under which there are no themes."""
TERMS = 2000
_WORD = re.compile(r"[^\W\d_]{3,}")
_COMMONEST = """
    the and that this with for was are but not its has have had from they their them which
    than then there would could should because while also very more most only both one other
    answer answers response responses better worse prefer first second who what when where how
    his her into does did can will just about between over such some any all each being been
    were der die das und ist nicht mit ein eine auch aber als
"""
_COMMON = frozenset(_COMMONEST.split())


@dataclass(frozen=True)
class Theme:
    words: list[str]
    """What its texts have in common, the most telling first."""
    texts: list[int]
    """Places of the texts that are most of all about it, the clearest first."""


def themes(texts: Sequence[str], number: int = 8, rounds: int = 150) -> list[Theme]:
    """At most so many themes, the largest first; a text with no telling word is in none."""
    told = [Counter(w for w in _WORD.findall(text.lower()) if w not in _COMMON) for text in texts]
    spread = Counter(word for one in told for word in one)
    kept = [word for word, n in spread.most_common(TERMS) if 2 <= n <= max(2, 0.6 * len(texts))]
    if len(texts) < FEWEST or len(kept) < 2:
        return []
    kept.sort()
    at = {word: place for place, word in enumerate(kept)}
    table = np.zeros((len(texts), len(kept)))
    for row, one in enumerate(told):
        for word, n in one.items():
            if word in at:
                table[row, at[word]] = 1.0 + np.log(n)
    table *= np.log((1 + len(texts)) / (1 + np.array([spread[word] for word in kept]))) + 1.0
    length = np.linalg.norm(table, axis=1, keepdims=True)
    table /= np.where(length > 0, length, 1.0)
    number = min(number, len(kept), len(texts) // 3)
    rng = np.random.default_rng(0)
    of_text, of_word = (
        rng.random(shape) * np.sqrt(table.mean() / number) + 1e-6
        for shape in ((len(texts), number), (number, len(kept)))
    )
    for _ in range(rounds):
        of_word *= (of_text.T @ table) / (of_text.T @ of_text @ of_word + 1e-12)
        of_text *= (table @ of_word.T) / (of_text @ (of_word @ of_word.T) + 1e-12)
    of_text = of_text * np.linalg.norm(of_word, axis=1)
    best, clear = of_text.argmax(axis=1), of_text.max(axis=1)
    found = []
    for theme in range(number):
        mine = np.flatnonzero((best == theme) & (length[:, 0] > 0) & (clear > 1e-6))
        if mine.size:
            words = [kept[place] for place in np.argsort(-of_word[theme], kind="stable")[:6]]
            found.append(Theme(words, mine[np.argsort(-clear[mine], kind="stable")].tolist()))
    return sorted(found, key=lambda one: (-len(one.texts), one.words))
