"""How far people follow a judge's verdict: the figure, and where it stands."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pytest
from django.urls import reverse
from scipy import stats

from annotation.blind import is_blind
from evaluation.engine.anchoring import anchoring
from evaluation.judge_card import card_of
from evaluation.models import Comparison, Evaluation
from steelyard.accounts.models import User
from tests import factories

Draw = tuple[np.ndarray, np.ndarray, np.ndarray]


def drawn(say: np.random.Generator, effect: float, prompts: int = 40) -> Draw:
    """Votes on prompts of differing difficulty, of which a share saw the verdict."""
    each = say.integers(1, 6, prompts)
    of = np.repeat(np.arange(prompts), each)
    p = np.repeat(say.beta(3, 3, prompts), each)
    shown = say.random(of.size) < 0.7
    y = say.random(of.size) < np.clip(p * (1 - effect) + effect * shown + 0.0, 0, 1)
    return y, shown, of


def test_the_difference_and_its_interval_are_what_a_slow_count_finds() -> None:
    y, shown, of = drawn(np.random.default_rng(3), 0.2)
    found = anchoring(y, shown, of)
    one = [bool(v) for v, s in zip(y, shown, strict=True) if s]
    other = [bool(v) for v, s in zip(y, shown, strict=True) if not s]
    assert found.difference == pytest.approx(sum(one) / len(one) - sum(other) / len(other))
    # the added prompts one by one, as votes of weight n over prompts
    total, sums, centre = {}, defaultdict(float), 0.0
    for kind in (True, False):
        rows = [(int(p), float(v), 1.0) for p, v, s in zip(of, y, shown, strict=True) if s == kind]
        weight = len(rows) / len({p for p, _, _ in rows})
        rows += [(-1 - 2 * kind, 0.0, weight), (-2 - 2 * kind, 1.0, weight)]
        total[kind] = sum(w for *_, w in rows)
        mean = sum(w * v for _, v, w in rows) / total[kind]
        centre += mean if kind else -mean
        for p, v, w in rows:
            sums[p] += (1 if kind else -1) * w * (v - mean) / total[kind]
    n = len(sums)
    error = (n / (n - 1) * sum(s * s for s in sums.values())) ** 0.5
    fewest = min(len(set(of[shown])), len(set(of[~shown])))
    half = stats.t.ppf(0.975, fewest + 1) * error
    assert (found.lo, found.hi) == pytest.approx((centre - half, centre + half))


@pytest.mark.parametrize("effect", [0.0, 0.3])
def test_of_a_hundred_intervals_about_ninety_five_hold_the_truth(effect: float) -> None:
    say = np.random.default_rng(11)
    held = 0
    for _ in range(400):
        found = anchoring(*drawn(say, effect))
        assert found.lo is not None
        assert found.hi is not None
        held += found.lo <= effect <= found.hi
    assert 0.92 <= held / 400 <= 0.99


def test_what_cannot_be_told_is_not_told() -> None:
    only = anchoring([True, False], [True, True], [1, 2])
    assert (only.hidden, only.difference, only.n_hidden) == (None, None, 0)
    narrow = anchoring([True, False, True], [True, True, False], [1, 2, 1])
    assert narrow.difference == pytest.approx(-0.5)
    assert (narrow.lo, narrow.sure) == (None, False)
    alike = anchoring([True] * 8, [True] * 4 + [False] * 4, [1, 2, 3, 4] * 2)
    assert alike.difference == 0
    assert alike.lo is not None
    assert alike.lo < 0 < alike.hi  # type: ignore[operator]


@pytest.mark.django_db
class TestCard:
    def cast(self, project: Any) -> Any:
        """Two people of whom one follows what is in view, on twelve pairs."""
        judge = factories.make_annotator(project, "robot", kind="judge")
        people = [factories.make_annotator(project, name) for name in ("follower", "rater")]
        for number in range(12):
            pair = factories.make_pair(project)
            verdict = factories.make_judgment(pair, "a", annotator=judge)
            shown = number % 2 == 0
            for person in people:
                follows = person.name == "follower" and shown
                factories.make_judgment(
                    pair,
                    "a" if follows or number % 4 == 1 else "b",
                    annotator=person,
                    prelabel={
                        "judge": judge.pk,
                        "judgment": str(verdict.uuid),
                        "outcome": "a",
                        "strength": -1,
                        "shown": shown,
                        "share": 50,
                        "at": "2031-05-17T10:00:00+00:00",
                    },
                )
        return judge

    def test_it_stands_on_the_card_by_person_and_for_clients(
        self, project: Any, owner: User, stranger: User, member: User, as_user: Any
    ) -> None:
        judge = self.cast(project)
        card = card_of(judge)
        assert card.people == 12  # those that were held back
        assert card.followed is not None
        by_name = dict(card.followed.by_annotator)
        assert by_name["follower"].shown is not None
        assert by_name["follower"].shown.rate == 1
        assert by_name["follower"].difference == pytest.approx(0.5)
        assert by_name["rater"].difference == pytest.approx(-0.5)
        url = f"/api/v1/projects/{project.slug}/judges/{judge.pk}/card"
        told = as_user(owner).get(url).json()["anchoring"]
        assert told["difference"]["n"] == 24
        assert told["difference"]["value"] == pytest.approx(0)
        assert [one["annotator"] for one in told["by_annotator"]] == ["follower", "rater"]
        page = (
            as_user(owner)
            .get(reverse("evaluation:judge-card", args=[project.slug, judge.pk]))
            .content.decode()
        )
        assert "How far people follow it" in page
        assert "+50" in page
        for other in (member, stranger):
            assert as_user(other).get(url).status_code == 404

    def test_pairs_that_an_evaluation_compares_are_blind(self, project: Any) -> None:
        pair, other = factories.make_pair(project), factories.make_pair(project)
        evaluation = Evaluation.objects.create(
            project=project, name="One", baseline=pair.output_b.model, prompt_set={}
        )
        Comparison.objects.create(
            evaluation=evaluation, pair=pair, candidate=pair.output_a.model, candidate_is_a=True
        )
        assert is_blind(pair.pk)
        assert not is_blind(other.pk)
