"""Votes that tell little or nothing: every page and every number of the API stands, and says what
is missing."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from annotation.models import Judgment, Pair
from evaluation import asking
from evaluation.leaderboard import standings
from evaluation.models import Evaluation
from evaluation.plan import checked_plan
from evaluation.standings import win_rates
from tests.factories import make_annotator, make_judgment, make_model, make_output, make_prompt

pytestmark = pytest.mark.django_db
Said = list[str]


@pytest.fixture
def voted(project: Any) -> Callable[..., Evaluation]:
    """An evaluation of ``new`` and ``other`` against ``base``; an outcome for each on every prompt:
    ``n`` for the candidate, ``b`` for the baseline, ``t`` and ``x`` for ties, ``-`` for no vote and
    nothing for no output."""

    def make(said: Said, *, votes: int = 1) -> Evaluation:
        base, *candidates = (make_model(project, name) for name in ("base", "new", "other"))
        evaluation = Evaluation.objects.create(
            project=project,
            name="First",
            baseline=base,
            state="comparing",
            prompt_set={"source": "held_out"},
            ask_people=True,
        )
        evaluation.candidates.set(candidates)
        raters = [make_annotator(project, f"rater-{n}") for n in range(votes)]
        for at, verdicts in enumerate(said):
            prompt = make_prompt(project, f"Which {at}?", held_out=True)
            old = make_output(prompt, f"old {at}", model=base)
            for model, verdict in zip(candidates, verdicts.split("|"), strict=True):
                if not verdict:
                    continue
                new = make_output(prompt, f"{model.name} {at}", model=model)
                a, b = sorted([old, new], key=lambda output: output.key)
                pair = Pair.objects.create(
                    project=project, prompt=prompt, output_a=a, output_b=b, key=f"{at}-{model.name}"
                )
                is_a = a.pk == new.pk
                evaluation.comparisons.create(pair=pair, candidate=model, candidate_is_a=is_a)
                own, others = ("a", "b") if is_a else ("b", "a")
                outcome = {"n": own, "b": others, "t": "tie", "x": "both_bad"}.get(verdict)
                for rater in raters if outcome else []:
                    make_judgment(pair, outcome, annotator=rater)
        return evaluation

    return make


def looked_at(client: Any, evaluation: Evaluation) -> str:
    """All pages that these votes are on, one after another."""
    slug = evaluation.project.slug
    base = evaluation.baseline_id
    new = evaluation.candidates.get(name="new").pk
    pages = [
        evaluation.get_absolute_url(),
        f"{evaluation.get_absolute_url()}?candidate={new}&by=0",
        reverse("evaluation:comparison-list", args=[slug, evaluation.pk]),
        *(
            reverse(f"evaluation:{name}", args=[slug])
            for name in ("leaderboard", "leaderboard-matrix", "leaderboard-categories", "agreement")
        ),
        *(
            f"{reverse('evaluation:leaderboard', args=[slug])}?{rule}"
            for rule in ("style=on", "equal=on", "by=combined", "by=judges")
        ),
        f"{reverse('evaluation:leaderboard-matrix', args=[slug])}?a={base}&b={new}",
    ]
    told = []
    for page in pages:
        response = client.get(page, follow=True)
        assert response.status_code == 200, page
        told.append(response.content.decode())
        words = re.sub(r"<[^>]*>", " ", told[-1])
        assert not re.search(r"\b(nan|inf|None)\b", words), page
    return "\n".join(told)


def body_of(user: Any, evaluation: Evaluation) -> dict[str, Any]:
    client = APIClient()
    client.force_authenticate(user)
    root = f"/api/v1/projects/{evaluation.project.slug}"
    assert client.get(f"{root}/leaderboard").status_code == 200
    assert client.get(f"{root}/evaluations/{evaluation.pk}/stopping").status_code == 200
    response = client.get(f"{root}/evaluations/{evaluation.pk}")
    # numbers that JSON does not know are none that a client could read
    found: dict[str, Any] = json.loads(response.content, parse_constant=pytest.fail)
    return found


@pytest.mark.parametrize(
    ("said", "rates"),
    [
        pytest.param(["n|-"], [1.0], id="one vote"),
        pytest.param(["-|-"] * 3, [], id="no vote"),
        pytest.param(["t|x"] * 12, [0.5, 0.5], id="all ties"),
        pytest.param(["n|b"] * 12, [1.0, 0.0], id="no variance"),
        pytest.param(["n|", "b|", "|n", "|b"] * 3, [0.5, 0.5], id="missing outputs"),
        pytest.param(["n|"] * 4, [1.0], id="a candidate without an output"),
    ],
)
def test_every_page_stands(
    owner: Any, as_user: Any, voted: Callable[..., Evaluation], said: Said, rates: list[float]
) -> None:
    evaluation = voted(said)
    looked_at(as_user(owner), evaluation)
    body = body_of(owner, evaluation)
    assert [row["win_rate"] for row in body["win_rates"]] == rates


def test_models_that_never_met_are_in_groups_of_their_own(
    project: Any, owner: Any, as_user: Any, voted: Callable[..., Evaluation]
) -> None:
    evaluation = voted(["n|", "b|", "n|"])
    far = [make_model(project, name) for name in ("far", "farther")]
    rater = make_annotator(project)
    for at, outcome in enumerate("aba"):
        prompt = make_prompt(project, f"Elsewhere {at}?")
        a, b = (make_output(prompt, f"{model.name} {at}", model=model) for model in far)
        pair = Pair.objects.create(
            project=project, prompt=prompt, output_a=a, output_b=b, key=f"far-{at}"
        )
        make_judgment(pair, outcome, annotator=rater)
    groups = [{row.model.name for row in group} for group in standings(project).groups]
    assert sorted(groups, key=sorted) == [{"base", "new"}, {"far", "farther"}]
    looked_at(as_user(owner), evaluation)


def test_many_votes_on_a_prompt_are_one_prompt_and_a_corrected_one_is_one_vote(
    owner: Any, as_user: Any, voted: Callable[..., Evaluation]
) -> None:
    evaluation = voted(["n|-", "b|-", "n|-"], votes=5)
    (row,) = win_rates(evaluation)
    assert (row.rate.prompts, row.judged, row.rate.rate) == (3, 3, pytest.approx(2 / 3))
    single = row.rate
    old = Judgment.objects.order_by("pk").first()
    assert old is not None
    Judgment.objects.filter(pk=old.pk).update(is_current=False)
    make_judgment(old.pair, old.outcome, annotator=old.annotator, supersedes=old)
    (row,) = win_rates(evaluation)
    assert row.rate == single
    assert standings(evaluation.project).votes + standings(evaluation.project).others == 15
    looked_at(as_user(owner), evaluation)


def test_answers_that_no_verdict_could_be_read_in_are_told_beside_the_judge(
    project: Any, owner: Any, as_user: Any, voted: Callable[..., Evaluation]
) -> None:
    evaluation = voted(["-|-"] * 4)
    robot = make_annotator(project, "robot", kind="judge", model=evaluation.baseline)
    evaluation.panel.create(judge=robot)
    pairs = [row.pair for row in evaluation.comparisons.order_by("pk")]
    for pair in pairs[:3]:
        make_judgment(pair, "skip", annotator=robot, details={"invalid": "no verdict"})
    page = looked_at(as_user(owner), evaluation)
    assert "no verdict could be read in 3 of its answers (100.0 %)" in page
    make_judgment(pairs[3], "a", annotator=robot)
    body = body_of(owner, evaluation)
    assert (body["unreadable"], len(body["win_rates"])) == ({"robot": 3}, 1)
    assert "in 3 of its answers (75.0 %)" in looked_at(as_user(owner), evaluation)


def test_a_stop_takes_back_what_it_asked_of_imported_pairs_and_leaves_the_others(
    voted: Callable[..., Evaluation],
) -> None:
    evaluation = voted(["-|", "-|", "-|"])
    evaluation.plan = checked_plan({"stop": "always_valid"}, ask_people=True)
    evaluation.save(update_fields=["plan"])
    first, second, third = evaluation.comparisons.order_by("pk")
    Pair.objects.update(origin="import", wanted=1)
    evaluation.comparisons.exclude(pk=third.pk).update(asked_at=timezone.now())
    # the second was drawn but stands in the queue by its import alone, the third was not drawn
    Pair.objects.filter(pk=first.pair_id).update(priority=asking.PRIORITY)
    asking.stop(evaluation, "by_hand")
    assert set(Pair.objects.open()) == {second.pair, third.pair}
