"""Whom an arena lets meet, which battles are not blind, and which voters it doubts."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from evaluation.engine import given_away, matching, outliers
from steelyard.lib.hashing import stable_uniform

NAMES = ["SmolLM2-135M-Instruct", "base", "Qwen3-0.6B"]


def test_pairs_that_have_met_least_come_most_and_all_come() -> None:
    met = {(1, 2): 9, (1, 3): 0, (2, 3): 0}
    table = dict(matching.probabilities([3, 1, 2], met))
    assert sum(table.values()) == pytest.approx(1)
    assert table[1, 2] == pytest.approx(0.2 / 3 + 0.8 * 0.01 / 2.01)
    assert table[1, 3] == table[2, 3] > 0.4


def test_draws_follow_their_probabilities_and_the_seed() -> None:
    met = {(1, 2): 1}
    drawn = [matching.draw([1, 2, 3], met, stable_uniform(0, n)) for n in range(4000)]
    for pair, probability in matching.probabilities([1, 2, 3], met):
        share = np.mean([(match.first, match.second) == pair for match in drawn])
        assert share == pytest.approx(probability, abs=0.03)
    assert {match.probability for match in drawn} == set(
        dict(matching.probabilities([1, 2, 3], met)).values()
    )


def test_over_an_arena_all_pairs_meet_about_as_often() -> None:
    met: dict[tuple[int, int], int] = dict.fromkeys(combinations(range(6), 2), 0)
    for n in range(300):
        match = matching.draw(range(6), met, stable_uniform("even", n))
        met[match.first, match.second] += 1
    assert max(met.values()) - min(met.values()) <= 12, "even draws alone would spread by 20"


@pytest.mark.parametrize(
    "answer",
    [
        "I am SmolLM2 135M instruct, here to help.",
        "As qwen3-0.6b I would say no.",
        "My name is Base.",
        "I'm ChatGPT, and I cannot do that.",
        "I am GPT-3.5, a model.",
        "I was trained by the team at Google DeepMind.",
        "I am a large language model. I was created by OpenAI.",
        "Ich bin ein Sprachmodell, entwickelt von Mistral AI.",
        "我是通义千问",
        "As an AI language model developed by Anthropic, I cannot.",
    ],
)
def test_an_answer_that_says_who_wrote_it_is_found(answer: str) -> None:
    assert given_away.given_away(answer, question="Who are you?", names=NAMES)


@pytest.mark.parametrize(
    "answer",
    [
        "The base of the triangle is 3.",
        "ChatGPT was made by OpenAI in 2022.",
        "Llamas live in the Andes. I am fond of them.",
        "I am sure that Paris is the capital. Google it.",
        "I am keen on meta analysis; this is by google maps.",
        "A claude glass was developed by painters.",
        "",
    ],
)
def test_an_answer_about_models_gives_nobody_away(answer: str) -> None:
    assert not given_away.given_away(answer, question="Tell me.", names=NAMES)


def test_a_name_that_the_question_has_proves_nothing_but_saying_to_be_it_does() -> None:
    asked = {"question": "What is Qwen3-0.6B?", "names": NAMES}
    assert not given_away.given_away("Qwen3-0.6B is a small model.", **asked)
    assert given_away.given_away("I am Qwen3-0.6B.", **asked) == ["I am Qwen3-0.6B"]


def crowd(
    rng: np.random.Generator, people: int, votes: int, odd: str = ""
) -> tuple[np.ndarray, ...]:
    """Votes of people on 4 models, the first of them odd in the way said."""
    strength = np.array([1.5, 0.8, 0.2, -0.6])
    who = np.repeat(np.arange(people), votes)
    pairs = np.array(list(combinations(range(4), 2)))
    i, j = pairs[rng.integers(len(pairs), size=who.size)].T
    won = rng.random(who.size) < 1 / (1 + np.exp(strength[j] - strength[i]))
    left = rng.random(who.size) < 0.5
    mine = who == 0
    if odd == "first":
        won = np.where(mine, left ^ (rng.random(who.size) < 0.05), won)
    elif odd == "coin":
        won = np.where(mine, rng.random(who.size) < 0.5, won)
    elif odd == "opposite":
        won = np.where(mine, ~won, won)
    return who, i, j, won, left


@pytest.mark.parametrize(("odd", "votes"), [("first", 25), ("opposite", 40), ("coin", 300)])
def test_a_voter_who_heeds_no_answer_is_flagged_and_nobody_else(odd: str, votes: int) -> None:
    rng = np.random.default_rng(3)
    found = outliers.voters(*crowd(rng, 20, votes, odd))
    assert found[0].voter == 0
    assert found[0].flagged
    assert [v.voter for v in found if v.flagged] == [0]
    assert found[0].agree < found[0].expected


def test_among_voters_alike_a_flag_comes_in_no_more_than_5_percent_of_arenas() -> None:
    rng = np.random.default_rng(0)
    wrong = [
        any(v.flagged for v in outliers.voters(*crowd(rng, people, votes)))
        for people, votes in [(3, 60), (12, 25)] * 150
    ]
    assert np.mean(wrong) <= 0.05


def test_votes_on_which_others_have_said_little_are_not_looked_at() -> None:
    one = outliers.voters([1] * 30, [0] * 30, [1] * 30, [True] * 30, [True] * 30)
    assert (one[0].looked_at, one[0].log_e, one[0].flagged) == (0, 0.0, False)
    assert outliers.voters([], [], [], [], []) == []
