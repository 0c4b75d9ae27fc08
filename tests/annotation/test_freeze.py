"""Freezing in the browser and by the API: what is previewed is what is published."""

from __future__ import annotations

import random
import re
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import pytest
from django.urls import reverse

from annotation.models import Judgment
from annotation.recipe import Recipe
from annotation.services import versions
from annotation.services.versions import preview, publish_version
from steelyard.registry.models import DatasetVersion
from tests import factories

RECIPE = {
    "annotators": "people",
    "ties": "drop",
    "aggregation": "majority",
    "min_votes": 1,
    "min_agreement": 0,
    "test_fraction": 0.1,
    "seed": 0,
}
PUBLISH = {**RECIPE, "dataset_name": "first", "note": "the note"}
HTMX = {"HX-Request": "true"}


def url(project: Any) -> str:
    return reverse("annotation:version-new", args=[project.slug])


def fill(project: Any, *, order: int = 0) -> None:
    """20 pairs with four votes each: the same ones, whatever the order in which they come."""
    votes = [(number, voter) for number in range(20) for voter in ("a1", "a2", "b1", "tie1")]
    random.Random(order).shuffle(votes)
    people: dict[str, Any] = {}
    pairs: dict[int, Any] = {}
    for number, voter in votes:
        if number not in pairs:
            prompt = factories.make_prompt(project, f"Question {number}", category=f"c{number % 3}")
            texts = (f"One {number}", f"Two {number}")
            pairs[number] = factories.make_pair(project, prompt=prompt, texts=texts)
        if voter not in people:
            people[voter] = factories.make_annotator(project, voter)
        factories.make_judgment(
            pairs[number],
            voter[:-1],
            annotator=people[voter],
            uuid=uuid5(NAMESPACE_URL, f"{pairs[number].key}/{voter}"),
        )


def test_an_empty_test_part_that_was_asked_for_is_warned_of(
    project: Any, owner: Any, as_user: Any
) -> None:
    prompt = factories.make_prompt(project, "Where does the sun go at night?")
    factories.make_judgment(factories.make_pair(project, prompt=prompt))
    client = as_user(owner)
    # of one prompt there is no tenth: with this seed this one is trained on
    recipe = {"test_fraction": 0.1, "seed": 1}
    asked = f"/api/v1/projects/{project.slug}/versions/preview"
    seen = client.get(asked, recipe).json()
    assert (seen["counts"]["test"], "test part is empty" in seen["warning"]) == (0, True)
    assert "test part is empty" in client.get(url(project), {**RECIPE, **recipe}).content.decode()
    made = client.post(
        f"/api/v1/projects/{project.slug}/versions/publish",
        {"dataset": "few", "recipe": recipe},
        content_type="application/json",
    )
    assert "test part is empty" in made.json()["warning"]
    version = DatasetVersion.objects.get()
    assert "test part is empty" in client.get(version.get_absolute_url()).content.decode()
    assert client.get(asked, {"test_fraction": 0}).json()["warning"] == ""


def test_and_so_is_a_test_part_that_lacks_a_category(project: Any) -> None:
    voter = factories.make_annotator(project, "rater")
    for number in range(12):
        category = "rare" if number == 11 else "common"
        prompt = factories.make_prompt(project, f"Question {number}", category=category)
        factories.make_judgment(factories.make_pair(project, prompt=prompt), annotator=voter)
    warnings = set()
    for seed in range(8):
        seen = preview(project=project, recipe=Recipe(test_fraction=0.5, seed=seed))
        (rare,) = [row for row in seen.categories if row[0] == "rare"]
        assert ("has no row of rare" in seen.warning) is (rare[1] > 0), (rare, seen.warning)
        warnings.add(bool(seen.warning))
    assert warnings == {True, False}


def test_it_works(project: Any, owner: Any, as_user: Any) -> None:
    fill(project)
    factories.make_pair(project)
    client = as_user(owner)
    page = client.get(url(project)).content.decode()
    assert re.search(r"<strong>20</strong>\s*rows", page)
    assert "without a vote that counts: 1" in page
    assert "Share of prompts, 0 to 0.9" in page  # the recipe's own help text

    answer = client.post(url(project), PUBLISH)
    version = DatasetVersion.objects.get()
    assert answer["Location"] == version.get_absolute_url()
    assert version.note == "the note"
    assert version.created_by == owner


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"ties": "keep"},
        {"ties": "random", "seed": 3},
        {"min_agreement": 0.6},
        {"min_votes": 4},
        {"categories": ["c1"]},
        {"exclude": ["a1"]},
        {"aggregation": "dawid_skene"},
        {"test_fraction": 0.5},
    ],
)
def test_the_preview_is_what_is_published(project: Any, change: dict[str, Any]) -> None:
    fill(project)
    factories.make_judgment(factories.make_pair(project), "both_bad")
    recipe = Recipe.from_dict(change)
    seen = preview(project=project, recipe=recipe)
    if seen.problem:
        return
    version = publish_version(project=project, dataset_name="d", recipe=recipe, by=None)
    assert version.counts == seen.counts
    assert sum(train + test for _, train, test in seen.categories) == version.counts["rows"]


def test_two_bad_answers_are_kept_by_the_page_and_the_api(
    project: Any, owner: Any, as_user: Any
) -> None:
    for outcome in ("a", "both_bad"):
        factories.make_judgment(factories.make_pair(project), outcome)
    client = as_user(owner)
    asked = f"/api/v1/projects/{project.slug}/versions/preview"
    told = client.get(asked, {"both_bad": "keep", "test_fraction": 0}).json()["counts"]
    assert (told["rows"], told["both_bad"]) == (2, 1)
    client.post(url(project), {**PUBLISH, "test_fraction": 0, "both_bad": "keep"})
    version = DatasetVersion.objects.get()
    assert version.counts["both_bad"] == 1
    page = client.get(version.get_absolute_url()).content.decode()
    assert '<span class="tag">both bad</span>' in page
    assert "Pairs of which both are bad are kept as that." in page


def test_htmx_is_answered_with_the_counts_alone(project: Any, owner: Any, as_user: Any) -> None:
    fill(project)
    query = {**RECIPE, "categories": ["c1"]}
    page = as_user(owner).get(url(project), query, headers=HTMX).content.decode()
    assert "<html" not in page
    assert re.search(r"<strong>7</strong>\s*rows", page)
    assert "of other categories: 13" in page


def test_without_scripts_a_button_counts_again(project: Any, owner: Any, as_user: Any) -> None:
    fill(project)
    said = {**RECIPE, "categories": ["c1"], "preview": "1"}
    page = as_user(owner).post(url(project), said).content.decode()
    assert re.search(r"<strong>7</strong>\s*rows", page)
    assert re.search(r'value="c1"[^>]* checked', page)
    assert "This field is required" not in page
    assert not DatasetVersion.objects.exists()


def test_what_cannot_be_published_says_why_before_and_after(
    project: Any, owner: Any, as_user: Any
) -> None:
    client = as_user(owner)
    assert "No pair has a vote by people" in client.get(url(project)).content.decode()
    answer = client.post(url(project), PUBLISH)
    assert answer.status_code == 200
    assert "No pair has a vote by people" in answer.content.decode()
    factories.make_judgment(factories.make_pair(project), "tie")
    page = client.get(url(project), {**RECIPE, "ties": "keep"}).content.decode()
    assert "rows are ties" in page


def test_the_same_again_is_refused_and_a_wrong_value_marked(
    project: Any, owner: Any, as_user: Any
) -> None:
    fill(project)
    client = as_user(owner)
    client.post(url(project), PUBLISH)
    assert "This equals first v1" in client.post(url(project), PUBLISH).content.decode()
    page = client.post(url(project), {**PUBLISH, "test_fraction": 2}).content.decode()
    assert "less than or equal to 0.9" in page
    assert "when the fields marked in red are right" in page
    assert DatasetVersion.objects.count() == 1


@pytest.mark.django_db
def test_the_order_of_insertion_does_not_change_the_digest() -> None:
    digests = set()
    for order in (1, 2):
        project = factories.make_project()
        fill(project, order=order)
        recipe = Recipe(ties="random")
        version = publish_version(project=project, dataset_name="d", recipe=recipe, by=None)
        digests.add(version.digest)
        # the other project is to hold the same votes, and a UUID is there once
        DatasetVersion.objects.all().delete()
        Judgment.objects.all().delete()
    assert len(digests) == 1


def test_counts_of_a_large_project_are_reckoned_from_a_sample(
    project: Any, owner: Any, as_user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(60):
        prompt = factories.make_prompt(project, f"Question {number}")
        factories.make_judgment(factories.make_pair(project, prompt=prompt), "ab"[number % 2])
    exact = preview(project=project, recipe=Recipe())
    assert (exact.about, exact.counts["rows"]) == (False, 60)
    # a database that has not looked at its tables guesses that they have -1 rows
    for name, value in (("AT_ONCE", 5), ("SAMPLED", -5), ("SAMPLE", 30)):
        monkeypatch.setattr(versions, name, value)
    about = preview(project=project, recipe=Recipe(ties="keep"))
    assert about.about
    assert 30 <= about.counts["rows"] <= 90
    assert about.counts["rows"] % 2 == 0
    assert "reckoned from a sample" in as_user(owner).get(url(project)).content.decode()
    # where the sample has nothing to publish, all are looked at
    monkeypatch.setattr(versions, "SAMPLE", 0.001)
    seen = preview(project=project, recipe=Recipe())
    assert (seen.about, seen.counts) == (False, exact.counts)
