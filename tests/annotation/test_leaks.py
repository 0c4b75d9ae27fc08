"""A prompt that is tested on and, but for how it is written, trained on as well."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from django.urls import reverse

from annotation.recipe import Recipe
from annotation.services.versions import preview, publish_version
from steelyard.registry.leaks import hashes, in_both
from steelyard.registry.statistics import statistics
from tests import factories


def test_case_spaces_and_punctuation_make_no_other_prompt() -> None:
    texts = ["What is a yard?", "what is  a yard", "“What” is a\nyard?!", "What is an ell?"]
    first, *same, other = hashes(pa.array(texts))
    assert set(same) == {first} != {other}


def test_signs_that_change_the_question_do() -> None:
    texts = ["C?", "C#?", "C++?", "5", "-5", "5 %", "3.5", "35", "你好", "世界"]
    assert len(set(hashes(pa.array(texts)))) == len(texts)


def test_texts_of_which_nothing_is_left_are_not_the_same() -> None:
    said = hashes(pa.array(["?", "!!", ""]))
    assert in_both(said, np.arange(3), np.array([True, False, True])) == 0


def test_each_prompt_counts_once() -> None:
    said, keys = np.array([7, 7, 7, 8, 9]), np.array([1, 2, 2, 3, 4])
    assert in_both(said, keys, np.array([False, True, True, False, True])) == 1


@pytest.mark.django_db
def test_a_recipe_and_its_version_tell_and_grouping_mends_it(
    project: Any, as_user: Any, owner: Any
) -> None:
    for number in range(12):
        words = " and ".join(f"item {number * 10 + n}" for n in range(4))
        for text in (f"{words}?", f"{words.upper()}!"):
            prompt = factories.make_prompt(project, text)
            factories.make_judgment(factories.make_pair(project, prompt=prompt), "a")
    recipe = Recipe(test_fraction=0.5)
    seen = preview(project=project, recipe=recipe)
    assert seen.leaks
    version = publish_version(project=project, dataset_name="parted", recipe=recipe, by=None)
    assert statistics(version)["leaks"] == seen.leaks
    page = as_user(owner).get(f"{version.get_absolute_url()}statistics/").content.decode()
    assert "the same as" in page
    url = reverse("annotation:version-new", args=[project.slug])
    assert "Keep similar prompts together” puts" in as_user(owner).get(url).content.decode()
    grouped = replace(recipe, group_similar=True)
    assert preview(project=project, recipe=grouped).leaks == 0
    whole = publish_version(project=project, dataset_name="whole", recipe=grouped, by=None)
    assert statistics(whole)["leaks"] == 0
