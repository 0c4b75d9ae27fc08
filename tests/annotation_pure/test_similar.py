"""Near duplicates: found as by comparing every text with every other."""

from __future__ import annotations

import random

import numpy as np
import pytest

from annotation.similar import ALIKE, grams, groups, jaccard

WORDS = [f"word{n}" for n in range(400)]


def corpus(seed: int) -> list[str]:
    """A hundred texts, and copies of half of them with up to four words changed."""
    say = random.Random(seed)
    texts = [" ".join(say.choices(WORDS, k=say.randint(3, 60))) for _ in range(100)]
    for text in texts[:50]:
        words = text.split()
        for _ in range(say.randint(0, 4)):
            words[say.randrange(len(words))] = say.choice(WORDS)
        texts.append(" ".join(words))
    say.shuffle(texts)
    return texts


def by_brute_force(texts: list[str]) -> list[set[str]]:
    sets = [grams(text) for text in texts]
    found = [{n} for n in range(len(texts))]
    for one in range(len(texts)):
        for other in range(one):
            if jaccard(sets[one], sets[other]) >= ALIKE and found[one] is not found[other]:
                found[one] |= found[other]
                for place in found[other]:
                    found[place] = found[one]
    return [{texts[place] for place in group} for group in found]


def as_sets(texts: list[str]) -> list[set[str]]:
    first = groups(texts)
    return [{t for t, f in zip(texts, first, strict=True) if f == mine} for mine in first]


@pytest.mark.parametrize("seed", range(4))
def test_groups_are_those_of_comparing_all_with_all(seed: int) -> None:
    texts = corpus(seed)
    assert as_sets(texts) == by_brute_force(texts)


def test_order_does_not_matter() -> None:
    texts = corpus(9)
    there = dict(zip(texts, map(frozenset, as_sets(texts)), strict=True))
    turned = texts[::-1]
    assert dict(zip(turned, map(frozenset, as_sets(turned)), strict=True)) == there


def test_case_spacing_and_punctuation_say_nothing() -> None:
    assert groups(["What is it?", "  what\nIS it", "What was it?"]).tolist() == [0, 0, 2]


def test_a_text_without_words_is_like_others_without() -> None:
    assert groups(["", "?!", "a"]).tolist() == [0, 0, 2]
    assert groups([]).tolist() == []
    assert groups([""]).dtype == np.int64
