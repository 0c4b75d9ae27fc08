"""The round of sets with known orders before the real work."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest
from django.urls import reverse

from annotation.models import Annotator, OutputSet, Pair, Ranking, TrainingAnswer
from annotation.services.files import import_file
from annotation.services.known_orders import forget_known_order, set_known_order
from annotation.services.overview import sets_of
from annotation.services.ranking_queue import next_set, why_no_set
from annotation.services.training_of_sets import (
    answer_set,
    next_training_set,
    shown_in_training,
    status,
)
from annotation.tiers import Difference, differences, shuffled
from steelyard.lib.errors import UserError
from tests import factories
from tests.api_client import Api


@pytest.fixture
def project(db: None) -> Any:
    return factories.make_project(label_scheme={"task": "ranking"}, training_pass=80)


@pytest.fixture
def lessons(project: Any, owner: Any) -> list[OutputSet]:
    """Two sets of four and three; the right order is that of their numbers."""
    sets = [factories.make_set(project, n) for n in (4, 3)]
    for one in sets:
        set_known_order(output_set=one, tiers=[[pk] for pk in numbers(one)], by=owner)
        one.refresh_from_db()
    return sets


@pytest.fixture
def rater(project: Any, lessons: Any) -> Annotator:
    rater = factories.make_annotator(project, "rater")
    rater.project = project
    return rater


def numbers(output_set: OutputSet) -> list[int]:
    return sorted(output_set.outputs.values_list("pk", flat=True))


def say(rater: Annotator, *places: list[int]) -> Any:
    """An order of the set that is due, in places of its numbers."""
    due = next_training_set(rater)
    assert due is not None
    pks = numbers(due)
    tiers = [[pks[place] for place in tier] for tier in places]
    return answer_set(annotator=rater, output_set=due, tiers=tiers)


def test_differences_are_told_of_each_two() -> None:
    assert differences([[1], [2], [3]], [[1], [2], [3]]) == []
    assert differences([[2], [1], [3]], [[1], [2, 3]]) == [
        Difference(1, 2, said=1, known=-1),
        Difference(2, 3, said=-1, known=0),
    ]


def test_it_works(project: Any, rater: Annotator, lessons: list[OutputSet]) -> None:
    real = factories.make_set(project)
    assert next_set(annotator=rater) is None
    assert why_no_set(rater) == "training"
    assert next_training_set(rater) == lessons[0]
    first = say(rater, [1], [0], [2], [3])
    pks = numbers(lessons[0])
    assert (first.correct, first.agreed, first.compared) == (False, 5, 6)
    assert first.differences == [Difference(pks[0], pks[1], said=1, known=-1)]
    assert (first.status.number, first.status.total, first.status.right) == (2, 2, 5)
    second = say(rater, [0], [1], [2])
    # eight of nine comparisons, and eighty in a hundred pass
    assert (second.correct, second.status.needed) == (True, False)
    assert (second.status.right, second.status.compared) == (8, 9)
    lease = next_set(annotator=rater)
    assert lease is not None
    assert lease.output_set == real
    assert not Ranking.objects.exists()
    assert not Pair.objects.exists()


def test_a_round_not_passed_starts_again(rater: Annotator, lessons: list[OutputSet]) -> None:
    say(rater, [1], [0], [2], [3])
    after = say(rater, [0, 1], [2]).status
    # seven of nine
    assert (after.needed, after.attempt, after.failed_last, after.number) == (True, 2, True, 1)
    assert next_training_set(rater) == lessons[0]
    say(rater, [0], [1], [2], [3])
    assert not say(rater, [0], [1], [2]).status.needed
    assert TrainingAnswer.objects.count() == 4


def test_the_first_order_counts_when_it_is_sent_again(
    rater: Annotator, lessons: list[OutputSet]
) -> None:
    given = say(rater, [3], [2], [1], [0])
    again = answer_set(
        annotator=rater, output_set=lessons[0], tiers=[[pk] for pk in numbers(lessons[0])]
    )
    assert (again.agreed, again.tiers) == (0, given.tiers)
    assert TrainingAnswer.objects.count() == 1


def test_a_set_out_of_turn_and_what_is_no_order_are_refused(
    rater: Annotator, lessons: list[OutputSet]
) -> None:
    for output_set, tiers, code in [
        (lessons[1], [[pk] for pk in numbers(lessons[1])], "not_next"),
        (lessons[0], [[pk] for pk in numbers(lessons[0])[1:]], "bad_tiers"),
        (lessons[0], [], "bad_tiers"),
    ]:
        with pytest.raises(UserError) as error:
            answer_set(annotator=rater, output_set=output_set, tiers=tiers)
        assert error.value.code == code
    assert not TrainingAnswer.objects.exists()


def test_a_lesson_that_is_taken_back_is_ranked_like_any_other(
    project: Any, owner: Any, rater: Annotator, lessons: list[OutputSet]
) -> None:
    assert sets_of(project).pairs == 0
    say(rater, [0], [1], [2], [3])
    forget_known_order(output_set=lessons[1], by=owner)
    # what is left of the round decides it
    assert next_training_set(rater) is None
    assert not status(rater).needed
    lease = next_set(annotator=rater)
    assert lease is not None
    assert lease.output_set == lessons[1]
    assert sets_of(project).open == 1


def test_a_set_that_people_have_ranked_is_no_lesson(project: Any, owner: Any) -> None:
    one = factories.make_set(project)
    pks = numbers(one)
    rater = factories.make_annotator(project)
    one.rankings.create(project=project, annotator=rater, shown=pks, tiers=[pks])
    with pytest.raises(UserError) as error:
        set_known_order(output_set=one, tiers=[pks], by=owner)
    assert (error.value.code, error.value.status) == ("set_in_use", 409)


def test_somebody_at_work_on_a_set_loses_it_when_it_becomes_a_lesson(
    project: Any, owner: Any
) -> None:
    one = factories.make_set(project)
    rater = factories.make_annotator(project)
    rater.project = project
    assert next_set(annotator=rater) is not None
    set_known_order(output_set=one, tiers=[numbers(one)], by=owner)
    assert not one.leases.exists()
    assert why_no_set(rater) == "training"


OUTPUTS = [{"text": text, "model": f"model-{text}"} for text in ("one", "two", "three")]
KNOWN = {"known": {"ranking": [2, 1, 3], "reason": "B says it at once."}, "training": True}


def bring(project: Any, *lines: dict[str, Any]) -> Any:
    text = "".join(
        json.dumps({"prompt": "Which?", "outputs": OUTPUTS, **line}) + "\n" for line in lines
    )
    return import_file(project=project, kind="rankings", data=text.encode(), by=None)


def test_lessons_come_in_by_file_and_are_shown_as_their_reason_speaks(project: Any) -> None:
    assert bring(project, KNOWN).sets == 1
    assert bring(project, KNOWN).sets == 0
    lesson = OutputSet.objects.get()
    texts = dict(lesson.outputs.values_list("pk", "text"))
    assert [texts[pk] for [pk] in lesson.known_tiers] == ["two", "one", "three"]
    for _ in range(4):
        rater = factories.make_annotator(project)
        shown = shown_in_training(rater, lesson)
        assert [texts[pk] for pk in shown] == ["one", "two", "three"]
    lesson.known_shown = []
    assert shown_in_training(rater, lesson) == shuffled(rater.pk, lesson.pk, list(texts))


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([{"training": True}], "has both"),
        ([{"known": KNOWN["known"]}], "has both"),
        ([{**KNOWN, "training": "yes"}], "true or false"),
        ([{**KNOWN, "known": {"reason": "x"}}], "no “ranking”"),
        ([{**KNOWN, "known": {"ranking": [1, 2]}}], "from 1 to 3"),
        ([{**KNOWN, "ranking": [1, 2, 3], "annotator": "rater"}], "takes no “ranking”"),
        ([KNOWN, {}], "Line 2: another line"),
        ([KNOWN, {**KNOWN, "known": {"ranking": [1, 2, 3]}}], "Line 2: another line"),
        ([KNOWN, {"ranking": [1, 2, 3], "annotator": "rater"}], "Line 2: another line"),
    ],
)
def test_a_wrong_line_is_refused_and_nothing_stored(
    project: Any, lines: list[dict[str, Any]], words: str
) -> None:
    with pytest.raises(UserError, match=words):
        bring(project, *lines)
    assert not OutputSet.objects.exists()


@pytest.mark.parametrize(
    ("first", "second"),
    [({}, KNOWN), (KNOWN, {}), (KNOWN, {**KNOWN, "known": {"ranking": [1, 2, 3]}})],
)
def test_no_set_is_a_lesson_and_one_to_rank(project: Any, first: Any, second: Any) -> None:
    bring(project, first)
    with pytest.raises(UserError, match="in the project already"):
        bring(project, second)


def test_over_the_api_an_owner_says_the_order_and_a_member_learns_it(
    project: Any, owner: Any, member: Any, stranger: Any
) -> None:
    one = factories.make_set(project)
    pks = numbers(one)
    path = f"sets/{one.pk}/known"
    body = {"tiers": [[pks[2]], [pks[0], pks[1]]], "reason": "C is short."}
    mine = Api(owner, project)
    for outside in (member, stranger):
        assert Api(outside, project).put(path, body).status_code == 404
    assert mine.put(path, {**body, "tiers": [[pks[2]]]}).status_code == 400
    assert mine.put(path, body).json() == {"is_training": True, "shown": pks, **body}

    api = Api(member, project)
    assert api.get("sets/next")["Steelyard-Nothing"] == "training"
    given = api.get("training/sets/next")
    assert "short" not in given.content.decode()
    assert [output["output"] for output in given.json()["outputs"]] == pks
    assert given.json()["training"]["number"] == 1
    said = {"set": one.pk, "tiers": [[pks[2], pks[0]], [pks[1]]], "attempt": 1}
    answers = [api.post("training/sets/answers", said) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    told = answers[0].json()
    assert (told["agreed"], told["compared"], told["known_reason"]) == (1, 3, "C is short.")
    assert told["differences"] == [
        {"one": pks[2], "other": pks[0], "said": 0, "known": -1},
        {"one": pks[0], "other": pks[1], "said": -1, "known": 0},
    ]
    assert (told["training"]["attempt"], told["training"]["failed_last"]) == (2, True)
    assert api.post("training/sets/answers", {**said, "set": 10**9}).status_code == 400
    assert Api(stranger, project).post("training/sets/answers", said).status_code == 404
    assert mine.delete(path).status_code == 204
    assert mine.get(path).json() == {"is_training": False, "tiers": [], "reason": "", "shown": []}
    assert api.get("training/sets/next").status_code == 204
    assert api.get("sets/next").json()["set"] == one.pk


def test_the_owners_page_says_the_order_and_takes_it_back(
    project: Any, owner: Any, member: Any, as_user: Any
) -> None:
    one = factories.make_set(project)
    pks = numbers(one)
    page = as_user(owner)
    there = reverse("annotation:set-detail", args=[project.slug, one.pk])
    known = reverse("annotation:set-known", args=[project.slug, one.pk])
    said = {f"rank_{pk}": str(rank) for pk, rank in zip(pks, (2, 1, 2), strict=True)}
    listed = reverse("annotation:set-list", args=[project.slug])
    assert there in page.get(listed).content.decode()
    refused = page.post(known, {**said, f"rank_{pks[0]}": "", "reason": "Because."})
    assert refused.status_code == 422
    assert "Give every answer a rank first." in refused.content.decode()
    assert "Because." in refused.content.decode()
    assert as_user(member).post(known, said).status_code == 404
    assert page.post(known, {**said, "reason": "Because."}).status_code == 302
    one.refresh_from_db()
    assert one.known_tiers == [[pks[1]], [pks[0], pks[2]]]
    assert "Because." in page.get(there).content.decode()
    assert there in page.get(listed + "?training").content.decode()
    page.post(reverse("annotation:set-unknown", args=[project.slug, one.pk]))
    one.refresh_from_db()
    assert not one.is_training
    assert there not in page.get(listed + "?training").content.decode()


def test_without_scripts_the_order_is_answered_by_the_known_one(
    project: Any, lessons: list[OutputSet], member: Any, as_user: Any
) -> None:
    page = as_user(member)
    card = page.get(reverse("annotation:rank", args=[project.slug])).content.decode()
    assert "Training 1 of 2" in card
    submit = reverse("annotation:rank-submit", args=[project.slug])
    pks = numbers(lessons[0])
    said = {f"rank_{pk}": str(rank) for rank, pk in enumerate(pks, 1)}
    form = {"pair": lessons[0].pk, "uuid": str(uuid4()), "training": "1"}
    refused = page.post(submit, {**form, **said, f"rank_{pks[1]}": ""})
    assert refused.status_code == 422
    assert "Give every answer a rank first." in refused.content.decode()
    assert page.post(submit, {**form, "skip": "on"}).status_code == 422
    told = page.post(submit, {**form, **said}).content.decode()
    assert "Just as known." in told
    assert "6 of 6 comparisons" in told
    assert (
        "Training 2 of 2"
        in page.get(reverse("annotation:rank", args=[project.slug])).content.decode()
    )


def test_the_queue_page_speaks_of_sets(project: Any, owner: Any, member: Any, as_user: Any) -> None:
    there = reverse("annotation:coverage", args=[project.slug])
    page = as_user(owner)
    empty = page.get(there).content.decode()
    assert "Import sets" in empty
    assert "Import pairs" not in empty
    factories.make_set(project)
    as_user(member).get(reverse("annotation:rank", args=[project.slug]))
    held = page.get(there).content.decode()
    assert "Sets held" in held
    assert "Take back 1 set of member" in held
    assert "Pairs held" not in held
    person = Annotator.objects.get(user=member)
    release = reverse("annotation:person-release", args=[project.slug, person.pk])
    assert "1 set of member goes to others." in page.post(release, follow=True).content.decode()
