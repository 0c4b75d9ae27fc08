"""From a frozen version to a model that can be loaded, with the real engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from steelyard.inference.text import load_causal_lm
from training.services import start_training

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]


def start(project: Any, make_version: Any, base: Any, config: dict[str, Any], **more: Any) -> Any:
    values = {"model_name": "better", "by": None, **more}
    return start_training(
        project=project, version=make_version(), base=base, recipe="dpo", config=config, **values
    )


def test_a_trained_model_is_registered_with_all_that_made_it(
    project: Any, make_version: Any, base: Any, short: dict[str, Any], settle: Any, settings: Any
) -> None:
    job = start(project, make_version, base, short)
    run = settle(job.run)
    assert run.state == "succeeded", run.error
    job.refresh_from_db()
    model = job.result
    assert model.name == "better"
    assert (model.base, model.trained_on, model.made_by) == (base, job.version, run)
    assert model.family == "causal_lm"
    assert Path(model.adapter).parent == Path(settings.MODELS_DIR)
    assert len(model.digest) == 64
    losses = run.points.filter(name="loss").order_by("step")
    assert losses.count() == 4
    assert abs(losses.first().value - 0.6931) < 0.01
    loaded, tokenizer = load_causal_lm(base.source, adapters=model.adapters())
    assert tokenizer.chat_template
    assert sum(p.numel() for p in loaded.parameters()) > 0


def test_a_model_can_be_trained_from_a_trained_one(
    project: Any, make_version: Any, base: Any, short: dict[str, Any], settle: Any
) -> None:
    first = start(project, make_version, base, short)
    settle(first.run)
    first.refresh_from_db()
    second = start_training(
        project=project,
        version=first.version,
        base=first.result,
        recipe="dpo",
        config=short,
        model_name="better still",
        by=None,
    )
    run = settle(second.run)
    assert run.state == "succeeded", run.error
    second.refresh_from_db()
    assert second.result.adapters() == [first.result.adapter, second.result.adapter]
    load_causal_lm(base.source, adapters=second.result.adapters())


def test_training_all_weights_gives_a_model_that_stands_by_itself(
    project: Any, make_version: Any, base: Any, short: dict[str, Any], settle: Any
) -> None:
    config = {**short, "lora_rank": 0, "learning_rate": 1e-5}
    job = start(project, make_version, base, config)
    run = settle(job.run)
    assert run.state == "succeeded", run.error
    job.refresh_from_db()
    assert job.result.adapters() == []
    assert job.result.base == base
    load_causal_lm(job.result.source)


def test_a_name_that_was_taken_meanwhile_does_not_cost_the_model(
    project: Any, make_version: Any, base: Any, short: dict[str, Any], settle: Any
) -> None:
    from steelyard.registry.services import register_model

    job = start(project, make_version, base, short)
    register_model(project=project, name="better", modality="text", family="imported")
    settle(job.run)
    job.refresh_from_db()
    assert job.result.name == "better (2)"


def test_taking_the_result_in_twice_makes_one_model(
    project: Any, make_version: Any, base: Any, short: dict[str, Any], settle: Any
) -> None:
    from training import runner

    job = start(project, make_version, base, short)
    run = settle(job.run)
    runner.finish(run, run.result)
    job.refresh_from_db()
    assert project.models.filter(made_by=run).count() == 1
