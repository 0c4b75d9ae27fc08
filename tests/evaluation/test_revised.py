"""A model with revisions takes part in an evaluation beside the model itself."""

from __future__ import annotations

from typing import Any

import pytest

from evaluation import runner
from evaluation.contestants import contestants, outputs_there, prompts_of
from steelyard.inference.revising import ASKED
from steelyard.registry.revised import with_revisions
from tests.factories import make_model

pytestmark = pytest.mark.django_db


def test_it_has_outputs_comparisons_and_a_name_of_its_own(
    project: Any, owner: Any, as_user: Any, start: Any, answered: Any
) -> None:
    model = make_model(
        project, "better", family="causal_lm", source="org/lm", options={"revising": ASKED}
    )
    twice = with_revisions(model=model, revisions=2, by=owner)
    evaluation = start(baseline=model, candidates=[twice])
    asked = {one["name"]: one for one in runner.prepare(evaluation.generation)["models"]}
    assert asked["better · 2 revisions"]["revisions"] == {"times": 2, "asked": ASKED}
    assert "revisions" not in asked["better"]
    evaluation = answered(evaluation, lambda name, prompt: f"{prompt} {name}")
    assert {one.candidate for one in evaluation.comparisons.all()} == {twice}
    page = as_user(owner).get(evaluation.get_absolute_url()).content.decode()
    assert "better · 2 revisions" in page
    # what the model itself has answered is none of its answers with revisions
    once = with_revisions(model=model, revisions=1, by=owner)
    again = start(name="Again", baseline=model, candidates=[once])
    there = outputs_there(again, contestants(again), prompts_of(again))
    assert there["better · 1 revision"] == {}
