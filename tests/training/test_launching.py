"""GPUs, clusters and past runs that a training run asks for."""

from __future__ import annotations

from typing import Any

import pytest

from steelyard.lib.errors import UserError
from steelyard.runs.models import MetricPoint, Run
from steelyard.runs.services import start_run
from tests.factories import make_project
from training import runner
from training.launching import MOST_POINTS, check_launch, gpus_of, with_curve
from training.services import start_training

pytestmark = pytest.mark.django_db


def past_run(project: Any, lengths: list[float | None]) -> Run:
    run = start_run(project=project, kind="train", title="Before", spec={}, by=None)
    MetricPoint.objects.bulk_create(
        MetricPoint(run=run, name="grad_norm", step=at + 1, value=length, time=0.0)
        for at, length in enumerate(lengths)
    )
    return run


def test_a_run_follows_the_gradients_of_a_past_run_of_its_project(
    project: Any, make_version: Any, base: Any, owner: Any
) -> None:
    past = past_run(project, [4.0, None, 2.0, 1.0])
    job = start_training(
        project=project,
        version=make_version(),
        base=base,
        recipe="dpo",
        config={"scheduler": "refined", "refined_from": f" {past.pk} "},
        model_name="better",
        by=owner,
    )
    # what was asked for stays readable; the run's folder has the numbers and needs no database
    assert job.config["refined_from"] == f" {past.pk} "
    assert runner.prepare(job.run)["config"]["refined_from"] == "4, 2, 1"


def test_a_run_of_another_project_or_without_a_curve_is_refused(project: Any) -> None:
    theirs = past_run(make_project(), [1.0, 1.0])
    silent = past_run(project, [1.0])
    said = [(str(run), "no_curve") for run in (theirs.pk, silent.pk, 0)]
    said += [(words, "bad_curve") for words in ("the last one", "-3", "1.5", "1, nan")]
    for words, code in said:
        with pytest.raises(UserError) as caught:
            check_launch(project, {"scheduler": "refined", "refined_from": words})
        assert (caught.value.code, caught.value.field) == (code, "refined_from")


def test_a_long_curve_is_thinned_and_numbers_are_left_as_they_are(project: Any) -> None:
    long = past_run(project, [1.0, 9.0, 1.0] * MOST_POINTS)
    config = {"scheduler": "refined", "refined_from": str(long.pk)}
    numbers = with_curve(project, config)["refined_from"].split(", ")
    assert numbers == ["1"] * MOST_POINTS
    given = {"scheduler": "refined", "refined_from": "3, 2"}
    assert with_curve(project, given) == given


def test_what_this_server_has_not_is_refused_when_it_is_asked_for(
    project: Any, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.GPUS, settings.RAY_ADDRESS = [0, 1], ""
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    for config, code in (
        ({"processes": 3}, "too_few_gpus"),
        ({"launcher": "ray", "processes": 8}, "no_ray"),
        ({"device": "cpu", "processes": 4}, "too_few_cores"),
    ):
        with pytest.raises(UserError) as caught:
            check_launch(project, config)
        assert caught.value.code == code
    check_launch(project, {"processes": 3, "device": "cpu"})
    check_launch(project, {"processes": 2})
    settings.GPUS = []
    check_launch(project, {"processes": 3})
    with pytest.raises(UserError, match="3 cores and no GPUs"):
        check_launch(project, {"processes": 4})
    settings.RAY_ADDRESS = "ray://there"
    check_launch(project, {"processes": 4, "launcher": "ray"})


def test_a_run_asks_for_a_gpu_a_process() -> None:
    assert gpus_of({}) == 1
    assert gpus_of({"processes": 4}) == 4
    assert gpus_of({"processes": 4, "device": "cpu"}) == 0
    assert gpus_of({"processes": 4, "launcher": "ray"}) == 0
