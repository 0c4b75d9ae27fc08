"""What start_sweep refuses, before anything starts."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import IntegrityError

from steelyard.lib.errors import UserError
from steelyard.runs.models import Run
from tests.factories import make_project
from training.models import TrainingJob
from training.sweeps.models import Sweep

pytestmark = pytest.mark.django_db


def test_it_works(sweep_of: Any, owner: Any) -> None:
    sweep = sweep_of(hours=1.5)
    assert sweep.objectives == [{"measure": "test_reward_accuracy", "direction": "maximize"}]
    assert (sweep.state, sweep.created_by, sweep.hours_wanted) == ("tuning", owner, 1.5)
    assert not Run.objects.exists()
    assert not TrainingJob.objects.exists()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": " "}, "name"),
        ({"recipe": "diffusion_dpo"}, "recipe"),
        ({"model_name": "tiny"}, "model_name"),
        ({"space": {"learning_rate": {"low": 1, "high": 2}}}, "learning_rate"),
        ({"settings": {"beta": -1}}, "beta"),
        ({"settings": {"learning_rate": 1e-4}}, "learning_rate"),
        ({"settings": {"seed": 3}}, "settings"),
        ({"objectives": []}, "objectives"),
        ({"objectives": [{"measure": "luck"}]}, "objectives"),
        ({"objectives": [{"measure": "hours"}, {"measure": "hours"}]}, "objectives"),
        ({"objectives": [{"measure": "hours", "direction": "up"}]}, "objectives"),
        ({"tuning_seeds": [1]}, "tuning_seeds"),
        ({"test_seeds": [7, 7]}, "test_seeds"),
        ({"tuning_seeds": [1, 2**31]}, "tuning_seeds"),
        ({"trials": 0}, "trials"),
        ({"at_once": 0}, "at_once"),
        ({"hours": 0.0}, "hours"),
        ({"sampler": "grid"}, "sampler"),
        ({"keep": "nothing"}, "keep"),
        ({"prune": True}, "prune"),
        ({"objectives": [{"measure": "win_rate"}]}, "judge"),
        (
            {"prune": True, "settings": {"eval_every": 5}, "objectives": [{"measure": "kl"}]},
            "prune",
        ),
    ],
)
def test_what_is_wrong_is_named(sweep_of: Any, changes: dict[str, Any], field: str) -> None:
    with pytest.raises(UserError) as caught:
        sweep_of(**changes)
    assert caught.value.field == field
    assert not Sweep.objects.exists()


def test_seeds_for_tuning_are_none_for_testing(sweep_of: Any) -> None:
    with pytest.raises(UserError) as caught:
        sweep_of(tuning_seeds=[1, 2, 3], test_seeds=[3, 4])
    assert caught.value.code == "seeds_overlap"
    sweep = sweep_of()
    with pytest.raises(IntegrityError, match="sweep_seeds_disjoint"):
        Sweep.objects.filter(pk=sweep.pk).update(test_seeds=[2, 9])


def test_a_loss_cannot_be_compared_between_betas(sweep_of: Any) -> None:
    space = {"beta": {"low": 0.01, "high": 0.5, "log": True}}
    with pytest.raises(UserError) as caught:
        sweep_of(space=space, objectives=[{"measure": "test_loss"}])
    assert caught.value.code == "incomparable"
    assert sweep_of(space=space).space["beta"]["log"]


def test_a_name_is_taken_once(sweep_of: Any) -> None:
    sweep_of()
    with pytest.raises(UserError) as caught:
        sweep_of(model_name="other")
    assert (caught.value.field, caught.value.status) == ("name", 409)
    with pytest.raises(UserError) as caught:
        sweep_of(name="Other")
    assert (caught.value.field, caught.value.status) == ("model_name", 409)
    with pytest.raises(UserError) as caught:
        sweep_of(name="Other", model_name="x" * 160)
    assert caught.value.field == "model_name"


def test_a_version_of_another_project_is_refused(sweep_of: Any) -> None:
    with pytest.raises(UserError):
        sweep_of(project=make_project())


def test_few_held_out_prompts_are_not_halved(sweep_of: Any, make_version: Any) -> None:
    few = make_version(rows=12, name="Few")
    with pytest.raises(UserError) as caught:
        sweep_of(version=few)
    assert caught.value.code == "few_test_rows"
    assert not sweep_of(version=few, split_held_out=False).split_held_out
    with pytest.raises(UserError) as caught:
        sweep_of(version=make_version(split="train", name="None"), name="x", model_name="y")
    assert caught.value.code == "no_test_rows"
