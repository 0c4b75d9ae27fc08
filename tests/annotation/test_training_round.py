from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest
from django.urls import reverse

from annotation import sides
from annotation.models import Annotator, Judgment, Pair, TrainingAnswer
from annotation.services.queue import next_pair
from annotation.services.training_round import answer, next_training, status, swapped
from steelyard.lib.errors import UserError
from tests import factories
from tests.api_client import Api


@pytest.fixture
def lessons(project: Any) -> list[Pair]:
    """Four training pairs in which a is right."""
    project.training_pass = 75
    project.save()
    pairs = [factories.make_pair(project) for _ in range(4)]
    Pair.objects.update(is_training=True, known_outcome="a", known_reason="It is true.")
    return [Pair.objects.get(pk=pair.pk) for pair in pairs]


@pytest.fixture
def rater(project: Any, lessons: list[Pair]) -> Annotator:
    rater = factories.make_annotator(project, "rater")
    rater.project = project
    return rater


def answer_all(rater: Annotator, outcomes: str) -> Any:
    for outcome in outcomes:
        feedback = answer(annotator=rater, pair=next_training(rater), outcome=outcome)
    return feedback


def test_it_works(project: Any, rater: Annotator, lessons: list[Pair]) -> None:
    real = factories.make_pair(project)
    assert next_pair(annotator=rater) is None
    assert status(rater).needed
    assert next_training(rater) == lessons[0]
    feedback = answer_all(rater, "a")
    assert (feedback.correct, feedback.known_outcome) == (True, "a")
    assert feedback.known_reason == "It is true."
    assert (feedback.status.number, feedback.status.total, feedback.status.right) == (2, 4, 1)
    feedback = answer_all(rater, "baa")
    assert not feedback.status.needed
    assert next_training(rater) is None
    rater.refresh_from_db()
    assert rater.trained_at is not None
    assert next_pair(annotator=rater).pair == real
    assert not Judgment.objects.exists()


def test_a_round_not_passed_starts_again_with_all_pairs(
    rater: Annotator, lessons: list[Pair]
) -> None:
    last = answer_all(rater, "abba").status
    assert (last.needed, last.attempt, last.failed_last) == (True, 2, True)
    assert (last.number, last.right) == (1, 0)
    assert next_training(rater) == lessons[0]
    assert not answer_all(rater, "aaab").status.needed
    assert TrainingAnswer.objects.count() == 8


@pytest.mark.parametrize(("percent", "outcomes"), [(0, "bbbb"), (50, "abab"), (100, "aaaa")])
def test_the_percentage_decides(
    project: Any, rater: Annotator, percent: int, outcomes: str
) -> None:
    project.training_pass = percent
    project.save()
    rater.project = project
    assert not answer_all(rater, outcomes).status.needed


def test_the_first_answer_counts_when_it_is_sent_again(
    rater: Annotator, lessons: list[Pair]
) -> None:
    answer_all(rater, "b")
    again = answer(annotator=rater, pair=lessons[0], outcome="a")
    assert not again.correct
    assert (again.status.number, TrainingAnswer.objects.count()) == (2, 1)


def test_the_last_answer_of_a_round_sent_again_is_no_answer_of_the_next(
    rater: Annotator, lessons: list[Pair]
) -> None:
    answer_all(rater, "bbbb")
    again = answer(annotator=rater, pair=lessons[-1], outcome="b", attempt=1)
    assert (again.correct, again.status.attempt, again.status.number) == (False, 2, 1)
    answer(annotator=rater, pair=lessons[-1], outcome="b")
    assert TrainingAnswer.objects.count() == 4


def test_a_round_of_one_pair_tells_attempts_apart(project: Any) -> None:
    project.training_pass = 100
    project.save()
    pair = factories.make_pair(project)
    Pair.objects.update(is_training=True, known_outcome="a")
    rater = factories.make_annotator(project)
    rater.project = project
    for _ in range(3):
        answer(annotator=rater, pair=pair, outcome="b", attempt=1)
    assert TrainingAnswer.objects.count() == 1
    assert not answer(annotator=rater, pair=pair, outcome="a", attempt=2).status.needed


def test_a_pair_out_of_turn_or_none_of_the_round_is_refused(
    project: Any, rater: Annotator, lessons: list[Pair]
) -> None:
    real = factories.make_pair(project)
    for pair in (lessons[1], real):
        with pytest.raises(UserError) as error:
            answer(annotator=rater, pair=pair, outcome="a")
        assert (error.value.code, error.value.status) == ("not_next", 409)
    with pytest.raises(UserError) as error:
        answer(annotator=rater, pair=lessons[0], outcome="a", attempt=2)
    assert error.value.code == "not_next"


@pytest.mark.parametrize("outcome", ["skip", "left"])
def test_what_is_no_answer_is_refused(rater: Annotator, lessons: list[Pair], outcome: str) -> None:
    with pytest.raises(UserError) as error:
        answer(annotator=rater, pair=lessons[0], outcome=outcome)
    assert error.value.field == "outcome"


def test_without_training_pairs_nothing_is_needed(project: Any) -> None:
    real = factories.make_pair(project)
    unknown = factories.make_pair(project)
    Pair.objects.filter(pk=unknown.pk).update(is_training=True)
    rater = factories.make_annotator(project)
    rater.project = project
    assert not status(rater).needed
    assert next_training(rater) is None
    assert next_pair(annotator=rater).pair == real


def test_a_round_whose_last_pairs_are_taken_out_is_decided_by_the_rest(
    rater: Annotator, lessons: list[Pair]
) -> None:
    answer_all(rater, "aaa")
    Pair.objects.filter(pk=lessons[-1].pk).update(closed=True)
    assert next_training(rater) is None
    assert not status(rater).needed


def test_over_the_api_nothing_of_the_known_answer_is_told_before(
    project: Any, lessons: list[Pair], member: Any, stranger: Any
) -> None:
    api = Api(member, project)
    refused = api.get("next")
    assert (refused.status_code, refused["Steelyard-Nothing"]) == (204, "training")
    given = api.get("training/next")
    assert "It is true" not in given.content.decode()
    body = given.json()
    assert body["pair"] == lessons[0].pk
    assert {output["side"] for output in body["outputs"]} == {"a", "b"}
    assert body["training"] == {
        "needed": True,
        "number": 1,
        "total": 4,
        "right": 0,
        "attempt": 1,
        "pass_percent": 75,
        "failed_last": False,
    }
    said = {"pair": body["pair"], "outcome": "b", "attempt": 1}
    answers = [api.post("training/answers", said) for _ in range(2)]
    assert [a.status_code for a in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    told = answers[0].json()
    assert (told["correct"], told["known_outcome"]) == (False, "a")
    assert told["training"]["number"] == 2
    assert api.post("training/answers", {**said, "pair": 10**30}).status_code == 400
    outside = Api(stranger, project)
    assert outside.get("training/next").status_code == 404
    assert outside.post("training/answers", said).status_code == 404


def test_training_is_over_for_who_has_passed(
    project: Any, lessons: list[Pair], member: Any
) -> None:
    api = Api(member, project)
    while (given := api.get("training/next")).status_code == 200:
        api.post("training/answers", {"pair": given.json()["pair"], "outcome": "a"})
    assert api.get("next")["Steelyard-Nothing"] == "done"


@pytest.mark.parametrize("known", ["a", "b"])
def test_the_reason_speaks_of_the_places_on_the_screen(
    project: Any, owner: Any, member: Any, as_user: Any, known: str
) -> None:
    texts = [(f"Left {n}", f"Right {n}") for n in range(6)]
    right, place = {"a": ("Left", "A"), "b": ("Right", "B")}[known]
    for left, other in texts:
        said = {
            "prompt": f"Which? {left}",
            "a": left,
            "b": other,
            "known": {"outcome": known, "reason": f"System {place} is true."},
            "training": True,
        }
        sent = {"kind": "pairs", "text": json.dumps(said)}
        assert Api(owner, project).post("import", sent).status_code == 200
    assert set(Pair.objects.values_list("known_first", flat=True)) == {"a", "b"}

    api = Api(member, project)
    for n, pair in enumerate(Pair.objects.training()):
        given = api.get("training/next").json()
        shown = [output["text"] for output in given["outputs"]]
        assert (given["pair"], shown) == (pair.pk, list(texts[n]))
        form = {"pair": pair.pk, "uuid": uuid4(), "verdict": f"{known}1", "training": 1}
        page = as_user(member)
        card = page.get(reverse("annotation:label", args=[project.slug])).content.decode()
        told = page.post(reverse("annotation:label-submit", args=[project.slug]), form)
        told = told.content.decode()
        for html in (card, told):
            assert html.index(texts[n][0]) < html.index(texts[n][1])
        assert f"{place} is better." in told
        assert f"System {place} is true." in told
        by_side = {output["side"]: output["text"] for output in given["outputs"]}
        again = api.post("training/answers", {"pair": pair.pk, "outcome": "tie", "attempt": 1})
        assert again.json()["correct"]
        assert by_side[again.json()["known_outcome"]].startswith(right)


def test_without_a_reason_the_order_is_drawn(project: Any, owner: Any, rater: Annotator) -> None:
    said = {"prompt": "Why?", "a": "x", "b": "y", "known": {"outcome": "a"}, "training": True}
    Api(owner, project).post("import", {"kind": "pairs", "text": json.dumps(said)})
    pair = Pair.objects.latest("pk")
    assert pair.known_first == ""
    assert swapped(rater, pair) == sides.drawn(rater.pk, pair.pk)


def test_a_pair_from_before_learns_which_answer_its_reason_speaks_of_when_it_comes_in_again(
    project: Any, owner: Any, as_user: Any
) -> None:
    known = {"outcome": "a", "reason": "A is true."}
    said = {"prompt": "Why?", "a": "x", "b": "y", "known": known, "training": True}
    sent = {"kind": "pairs", "text": json.dumps(said)}
    api = Api(owner, project)
    api.post("import", sent)
    pair = Pair.objects.latest("pk")
    first = pair.known_first
    Pair.objects.update(known_first="")
    page = reverse("annotation:pair-detail", args=[project.slug, pair.pk])
    assert "not known which output" in as_user(owner).get(page).content.decode()

    other = {**said, "known": {**known, "reason": "Another reason."}}
    api.post("import", {"kind": "pairs", "text": json.dumps(other)})
    pair.refresh_from_db()
    assert pair.known_first == ""

    api.post("import", sent)
    pair.refresh_from_db()
    assert pair.known_first == first
    assert f"annotators are shown {first} first" in as_user(owner).get(page).content.decode()
