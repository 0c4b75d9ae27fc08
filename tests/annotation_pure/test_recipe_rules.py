"""Each rule of a recipe, on votes that show it alone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from annotation.models import Judgment, Pair
from annotation.recipe import Recipe
from annotation.services.versions import is_large, preview, publish_version
from steelyard.lib.errors import UserError
from steelyard.lib.records import PreferenceRecord, read_parquet
from tests import factories

pytestmark = pytest.mark.django_db


def rows(project: Any, **recipe: Any) -> list[PreferenceRecord]:
    chosen = Recipe(**{"test_fraction": 0.0, **recipe})
    name = f"D{project.versions.count()}"
    version = publish_version(project=project, dataset_name=name, recipe=chosen, by=None)
    assert version.counts["rows"] == version.counts["train"] + version.counts["test"]
    return read_parquet(version.files)


def voted(project: Any, outcomes: str, **overrides: Any) -> Pair:
    pair = factories.make_pair(project, **overrides)
    for number, letter in enumerate(outcomes):
        name = f"rater {number}"
        rater = project.annotators.filter(name=name).first()
        rater = rater or factories.make_annotator(project, name)
        outcome = {"t": "tie", "x": "both_bad"}.get(letter, letter)
        factories.make_judgment(pair, outcome, annotator=rater, strength=STRENGTH.get(outcome, 0))
    return pair


STRENGTH = {"a": -2, "b": 1}


def test_a_row_for_each_vote(project: Any) -> None:
    voted(project, "abtx")
    found = rows(project, aggregation="per_vote", ties="keep")
    assert sorted((row.outcome, row.chosen_side) for row in found) == [
        ("tie", "a"),
        ("win", "a"),
        ("win", "b"),
    ]
    assert all(len(row.votes) == 1 and row.agreement == 0.25 for row in found)
    assert preview(project=project, recipe=Recipe(aggregation="per_vote")).counts["votes"] == 2


def test_ties_are_there_twice_with_half_the_weight(project: Any) -> None:
    voted(project, "ab")
    voted(project, "a")
    found = rows(project, ties="half")
    assert sorted(row.weight for row in found) == [0.5, 0.5, 1.0]
    halves = [row for row in found if row.weight == 0.5]
    assert [row.chosen_side for row in halves] == ["a", "b"]
    assert (halves[0].chosen, halves[0].rejected) == (halves[1].rejected, halves[1].chosen)
    assert {row.outcome for row in found} == {"win"}


def test_only_some_annotators_and_some_days(project: Any) -> None:
    pair = voted(project, "abb")
    (row,) = rows(project, only=("rater 0",))
    assert (row.chosen_side, len(row.votes)) == ("a", 1)
    old = datetime(2031, 5, 17, 23, 59, tzinfo=UTC)
    Judgment.objects.filter(pair=pair, outcome="a").update(created_at=old)
    (row,) = rows(project, until="2031-05-17", since="2031-05-17")
    assert [vote["outcome"] for vote in row.votes] == ["a"]


def test_only_some_models(project: Any) -> None:
    voted(project, "a", models=("m1", "m2"))
    voted(project, "a", models=("m1", "m3"))
    assert len(rows(project, models=("m1", "m2"))) == 1
    assert len(rows(project, without_models=("m3",))) == 1
    seen = preview(project=project, recipe=Recipe(without_models=("m1",)))
    assert (seen.counts["rows"], seen.passed_over["other_model"]) == (0, 2)


def test_weak_winners_are_left_out(project: Any) -> None:
    voted(project, "a")
    voted(project, "b")
    (row,) = rows(project, min_strength=1.5)
    assert (row.chosen_side, row.strength) == ("a", 2.0)
    seen = preview(project=project, recipe=Recipe(min_strength=1.5))
    assert seen.counts["dropped_low_strength"] == 1


def test_who_is_wrong_where_the_answer_is_known_does_not_count(project: Any) -> None:
    for _ in range(4):
        known = voted(project, "ab")
        Pair.objects.filter(pk=known.pk).update(known_outcome="a")
    found = rows(project, min_right=0.6, min_known=4)
    assert {row.chosen_side for row in found} == {"a"}
    with pytest.raises(UserError):
        rows(project, min_right=0.6, min_known=5)  # too few to tell: all ties


def test_votes_too_quick_do_not_count(project: Any) -> None:
    pair = voted(project, "ab")
    Judgment.objects.filter(pair=pair, outcome="b").update(duration_ms=900)
    (row,) = rows(project, min_seconds=1.0)
    assert [vote["outcome"] for vote in row.votes] == ["a"]


@pytest.mark.parametrize("by", ["models", "category", "prompt"])
def test_a_source_has_at_most_so_many(project: Any, by: str) -> None:
    prompts = [factories.make_prompt(project, category=f"c{n}") for n in range(2)]
    for prompt in prompts:
        for models in (("m1", "m2"), ("m1", "m3")):
            for _ in range(3):
                voted(project, "a", prompt=prompt, models=models)
    found = rows(project, cap=2, cap_by=by)
    assert len(found) == 4
    again = rows(project, cap=2, cap_by=by)
    assert found == again
    assert rows(project, cap=2, cap_by=by, seed=3) != found


def test_similar_prompts_share_a_part_and_none_is_a_held_out_one(project: Any) -> None:
    base = "Please tell me in a few words how the tide comes and goes on the coast number"
    texts = [f"{base} {n // 2}" for n in range(20)]
    for n, text in enumerate(texts):
        prompt = factories.make_prompt(project, text if n % 2 else f"{text} !")
        voted(project, "a", prompt=prompt)
    for n in range(20):
        voted(project, "b", prompt=factories.make_prompt(project, f"Something else, the {n}th"))
    secret = "How do the stars over the sea come to be where they are at night"
    factories.make_pair(project, prompt=factories.make_prompt(project, secret, held_out=True))
    twin = voted(project, "a", prompt=factories.make_prompt(project, f"{secret}?"))
    found = rows(project, test_fraction=0.5, group_similar=True)
    alike = {row.split for row in found if base in row.prompt[0]["content"]}
    assert len(alike) == 1
    assert twin.key not in {row.pair for row in found}
    counts = preview(project=project, recipe=Recipe(group_similar=True)).counts
    assert (counts["similar_prompts"], counts["dropped_held_out_twin"]) == (20, 1)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"only": ["nobody"]}, "only"),
        ({"exclude": ["nobody"]}, "exclude"),
        ({"models": ["none"]}, "models"),
        ({"categories": ["none"]}, "categories"),
        ({"withdrawals": ["0123"]}, "withdrawals"),
        ({"since": "2031-05-17", "until": "2031-05-16"}, "until"),
        ({"since": "17 May"}, "since"),
        ({"since": "20310517"}, "since"),
        ({"only": ["rater 0"], "exclude": ["rater 0"]}, "exclude"),
        ({"cap_by": "planet"}, "cap_by"),
        ({"group_similar": 1}, "group_similar"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(
    project: Any, as_user: Any, owner: Any, wrong: dict[str, Any], field: str
) -> None:
    voted(project, "a")
    answer = as_user(owner).post(
        f"/api/v1/projects/{project.slug}/versions/publish",
        {"dataset": "d", "recipe": wrong},
        content_type="application/json",
    )
    assert (answer.status_code, answer.json()["field"]) == (400, field)
    assert not project.versions.exists()


def test_a_version_can_be_asked_for_in_the_background(
    project: Any, as_user: Any, owner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    voted(project, "a")
    url = f"/api/v1/projects/{project.slug}/versions/publish"
    body = {"dataset": "d", "recipe": {}, "background": True}
    client = as_user(owner)
    answer = client.post(url, body, content_type="application/json")
    assert (answer.status_code, answer.json()["kind"]) == (202, "freeze")
    busy = client.post(url, body, content_type="application/json")
    assert (busy.status_code, busy.json()["code"]) == (409, "freezing")
    assert not is_large(project)
    monkeypatch.setattr("annotation.services.versions.AT_ONCE", 0)
    assert is_large(project)


def test_only_pairs_of_the_origins_that_are_named(project: Any) -> None:
    for origin in ("import", "arena", "arena"):
        factories.make_judgment(factories.make_pair(project, origin=origin))
    assert len(rows(project)) == 3
    assert len(rows(project, origins=("arena",))) == 2
    assert len(rows(project, origins=("arena", "import"))) == 3
    with pytest.raises(UserError) as caught:
        Recipe(origins=("thin air",))
    assert caught.value.field == "origins"
