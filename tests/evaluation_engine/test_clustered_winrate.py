"""Win rates of clustered votes, of decided votes and in pairs: worked values and coverage."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.engine.winrate import clustered, interval, paired_difference, wilson, win_rate


def test_wilson_gives_the_textbook_values() -> None:
    # Newcombe 1998, method 3: 81 of 263, 15 of 148, 0 of 20, 1 of 29
    for wins, n, lo, hi in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        assert wilson(wins, n) == pytest.approx((lo, hi), abs=6e-5)


def test_wilson_covers_the_truth_on_average_and_more_with_ties() -> None:
    rng = np.random.default_rng(0)
    for p, n in ((0.5, 12), (0.9, 30), (0.7, 200)):
        ends = [wilson(w, n) for w in range(n + 1)]
        drawn = rng.binomial(n, p, 4000)
        assert 0.93 <= np.mean([ends[w][0] <= p <= ends[w][1] for w in drawn]) <= 0.98
    tied = (rng.binomial(30, 0.5, 2000) + 30 * 0.5) / 2  # half of the votes are ties
    assert np.mean([wilson(s, 30)[0] <= 0.5 <= wilson(s, 30)[1] for s in tied]) > 0.98
    with pytest.raises(ValueError, match="cannot come"):
        wilson(3, 2)
    with pytest.raises(ValueError, match="cannot come"):
        wilson(0, 0)


def test_dropped_ties_leave_the_decided_votes() -> None:
    rate = win_rate([1, 0.5, 0.5, 0, 1], [1, 2, 3, 4, 5], drop_ties=True)
    assert (rate.rate, rate.ties, rate.votes) == (pytest.approx(2 / 3), 2, 3)
    assert rate.lo == win_rate([1, 0, 1], [1, 4, 5]).lo
    with pytest.raises(ValueError, match="all scores are ties"):
        win_rate([0.5], [1], drop_ties=True)


def test_one_way_with_equal_prompts_is_the_interval_of_their_means() -> None:
    rng = np.random.default_rng(1)
    means = rng.integers(0, 6, 12) / 5
    votes = np.concatenate([np.arange(5) < 5 * mean for mean in means]).astype(float)
    found = clustered(votes.tolist(), np.repeat(np.arange(12), 5).tolist())
    assert (found.lo, found.hi) == pytest.approx(interval(means))


def test_one_annotator_for_each_vote_adds_nothing() -> None:
    votes, prompts = [1.0, 1, 0, 1, 0, 0], [1, 1, 2, 2, 3, 3]
    one, two = clustered(votes, prompts), clustered(votes, prompts, [0, 1, 2, 3, 4, 5])
    assert two.error == pytest.approx(one.error)
    assert two.annotators == 6


def test_one_annotator_or_one_prompt_gives_no_interval_and_says_why() -> None:
    assert "one annotator" in clustered([1, 0], [1, 2], ["x", "x"]).reason
    alone = clustered([1, 0], [1, 1], ["x", "y"])
    assert "one prompt" in alone.reason
    assert (alone.rate, alone.error, alone.lo, alone.hi) == (0.5, None, None, None)
    with pytest.raises(ValueError, match="annotators"):
        clustered([1, 0], [1, 1], ["x"])


def test_unanimous_votes_of_people_keep_a_width() -> None:
    found = clustered([1.0] * 30, [i // 3 for i in range(30)], [i % 3 for i in range(30)])
    assert found.hi == 1.0
    assert found.lo is not None
    assert found.lo < 0.9


@pytest.mark.parametrize(("prompts", "people"), [(80, 5), (40, 12), (15, 30)])
def test_two_ways_covers_where_annotators_have_tastes(prompts: int, people: int) -> None:
    rng = np.random.default_rng(people)
    of_prompt = np.repeat(np.arange(prompts), 3)
    hits, blind = [], []
    for _ in range(400):
        who = np.argsort(rng.random((prompts, people)), axis=1)[:, :3].ravel()
        # symmetric in the log-odds, so that the truth is one half
        taste = rng.normal(0, 0.8, people)[who] + rng.normal(0, 0.8, prompts)[of_prompt]
        votes = (rng.random(who.size) < 1 / (1 + np.exp(-taste))).astype(float)
        two = clustered(votes.tolist(), of_prompt.tolist(), who.tolist())
        one = clustered(votes.tolist(), of_prompt.tolist())
        hits.append(two.lo <= 0.5 <= two.hi)  # type: ignore[operator]
        blind.append(one.lo <= 0.5 <= one.hi)  # type: ignore[operator]
    assert np.mean(hits) >= 0.925
    assert np.mean(blind) < np.mean(hits)


def test_what_a_prompt_does_to_both_falls_out_of_a_paired_difference() -> None:
    rng = np.random.default_rng(3)
    truth, hits, widths = 0.1, [], []
    for _ in range(600):
        easy = rng.integers(0, 2, 60) * 0.5
        one = (rng.random(60) < easy + 0.3).astype(float)
        two = (rng.random(60) < easy + 0.2).astype(float)
        found = paired_difference(one.tolist(), range(60), two.tolist(), range(60))
        hits.append(found.lo <= truth <= found.hi)  # type: ignore[operator]
        widths.append(found.hi - found.lo)  # type: ignore[operator]
    assert 0.93 <= np.mean(hits) <= 0.985
    assert np.mean(widths) < 0.36  # two separate intervals would make about 0.36


def test_a_paired_difference_is_worked_on_the_common_prompts() -> None:
    found = paired_difference([1, 1, 0, 1], ["p", "p", "q", "r"], [0, 0.5, 1], ["p", "q", "s"])
    assert (found.difference, found.prompts) == (0.25, 2)
    other = paired_difference([0, 0.5, 1], ["p", "q", "s"], [1, 1, 0, 1], ["p", "p", "q", "r"])
    assert other.lo == pytest.approx(-found.hi)  # type: ignore[operator]
    assert paired_difference([1], ["p"], [0], ["p"]).lo is None
    with pytest.raises(ValueError, match="no prompt"):
        paired_difference([1], ["p"], [0], ["q"])
