from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from annotation.recipe import Recipe, help_texts
from steelyard.lib.errors import UserError
from steelyard.lib.hashing import digest_of


def test_it_survives_json() -> None:
    recipe = Recipe(annotators="both", exclude=("x",), min_votes=2, ties="keep", seed=7)
    assert Recipe.from_dict(recipe.as_dict()) == recipe


def test_what_is_not_said_has_its_default() -> None:
    assert Recipe.from_dict({}) == Recipe()
    assert Recipe.from_dict({"seed": 3}).annotators == "people"


def test_the_same_recipe_written_otherwise_is_the_same_bytes() -> None:
    one = Recipe(exclude=("scorer", "rater", "rater"), test_fraction=0)
    other = Recipe.from_dict({"exclude": ["rater", "scorer"], "test_fraction": 0.0})
    assert one == other
    assert digest_of(one.as_dict()) == digest_of(other.as_dict())


def test_every_field_explains_itself() -> None:
    texts = help_texts()
    assert set(texts) == {field.name for field in fields(Recipe)}
    assert all(text.endswith(".") for text in texts.values())


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"annotators": "robots"}, "annotators"),
        ({"aggregation": "mean"}, "aggregation"),
        ({"ties": "third"}, "ties"),
        ({"min_votes": 0}, "min_votes"),
        ({"min_votes": 1.5}, "min_votes"),
        ({"min_votes": True}, "min_votes"),
        ({"min_agreement": 1.2}, "min_agreement"),
        ({"min_agreement": float("nan")}, "min_agreement"),
        ({"test_fraction": 1.0}, "test_fraction"),
        ({"test_fraction": "0.1"}, "test_fraction"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**31}, "seed"),
        ({"exclude": "rater"}, "exclude"),
        ({"exclude": [1]}, "exclude"),
        ({"categories": None}, "categories"),
        ({"filter": "x"}, "recipe"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(values: dict[str, Any], field: str) -> None:
    with pytest.raises(UserError) as caught:
        Recipe.from_dict(values)
    assert caught.value.field == field
    assert caught.value.code == "bad_recipe"
