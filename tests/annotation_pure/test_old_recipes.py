"""Versions of earlier releases are made again to the byte by their recipes as they were written."""

from __future__ import annotations

import random
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import pytest

from annotation.models import Judgment
from annotation.recipe import Recipe
from annotation.services.versions import publish_version
from tests import factories

pytestmark = pytest.mark.django_db

GOLDEN: dict[str, tuple[dict[str, Any], str]] = {
    "plain": ({}, "f74a004dff954d52b9d2b8c70935053c16f846c13f402534c02825324512f488"),
    "written out": (
        {
            "annotators": "both",
            "exclude": ["w3"],
            "categories": ["c0", "c1"],
            "min_votes": 2,
            "aggregation": "dawid_skene",
            "min_agreement": 0.4,
            "ties": "keep",
            "test_fraction": 0.25,
            "seed": 5,
        },
        "db8e077646e1e08b0646c29c3bd2218242f76f97cefe3a38f217760050b36176",
    ),
    "ties drawn": (
        {"ties": "random", "test_fraction": 0.5, "seed": 3},
        "17c8071777407cbd9ff8f59c03cb98e0b8ce321714a36286e4a820b5c5d411c6",
    ),
}
"""Recipe as it was written, and the digest of what it made of the votes below."""


def fill(project: Any) -> None:
    say = random.Random(7)
    people = {
        name: factories.make_annotator(project, name, kind="judge" if name == "w4" else "person")
        for name in ("w0", "w1", "w2", "w3", "w4")
    }
    for number in range(40):
        prompt = factories.make_prompt(
            project, f"Question {number % 15}?", category=f"c{number % 3}"
        )
        texts = (f"One {number} “é”\n", f"Two {number} \u2028")
        pair = factories.make_pair(project, prompt=prompt, texts=texts)
        for name in say.sample(sorted(people), 3):
            outcome = say.choice(["a", "a", "b", "tie", "both_bad"])
            judgment = factories.make_judgment(
                pair,
                outcome,
                annotator=people[name],
                strength={"a": -2, "b": 3}.get(outcome, 0),
                rationale=f"by {name}" if number % 4 == 0 else "",
                tags=["short"] if number % 5 == 0 else [],
                aspects={"truth": say.choice([-2, 1, 3])} if number % 3 == 0 else {},
            )
            uuid = uuid5(NAMESPACE_URL, f"{pair.key}/{name}")
            Judgment.objects.filter(pk=judgment.pk).update(uuid=uuid)


@pytest.mark.parametrize("name", GOLDEN)
def test_an_old_recipe_makes_the_old_version(project: Any, name: str) -> None:
    fill(project)
    written, digest = GOLDEN[name]
    recipe = Recipe.from_dict(written)
    version = publish_version(project=project, dataset_name="Old", recipe=recipe, by=None)
    assert version.digest == digest
