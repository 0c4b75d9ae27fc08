"""From a frozen version to a model that can be loaded, with the real engine."""

from __future__ import annotations

import io
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from steelyard.assets.services import store_upload
from steelyard.inference.images import load_painter
from steelyard.inference.text import load_causal_lm
from steelyard.lib.records import PreferenceRecord, tables_of
from steelyard.registry.services import commit_version, register_model
from steelyard.runs import launchers, supervisor
from tests.factories import make_project
from tests.tiny_pictures import make_tiny_class_unet
from training import runner
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


def test_a_run_that_is_asked_to_keeps_checkpoints_as_models_that_write_otherwise(
    project: Any, make_version: Any, base: Any, short: dict[str, Any], settle: Any
) -> None:
    job = start(
        project, make_version, base, {**short, "learning_rate": 0.03, "keep_checkpoints": 1}
    )
    run = settle(job.run)
    assert run.state == "succeeded", run.error
    job.refresh_from_db()
    kept = {model.step: model for model in run.models.exclude(pk=job.result.pk)}
    assert {step: model.name for step, model in kept.items()} == {
        step: f"better step {step}" for step in (1, 2, 3)
    }
    said = []
    for model in (kept[1], kept[3], job.result):
        loaded, tokenizer = load_causal_lm(base.source, adapters=model.adapters())
        said.append(loaded(tokenizer("What is 1 + 1?", return_tensors="pt").input_ids).logits)
    assert not (said[0] == said[1]).all()
    assert not (said[1] == said[2]).all()


def test_a_name_that_was_taken_meanwhile_does_not_cost_the_model(
    project: Any, make_version: Any, base: Any, short: dict[str, Any], settle: Any
) -> None:
    job = start(project, make_version, base, short)
    register_model(project=project, name="better", modality="text", family="imported")
    settle(job.run)
    job.refresh_from_db()
    assert job.result.name == "better (2)"


def test_taking_the_result_in_twice_makes_one_model(
    project: Any, make_version: Any, base: Any, short: dict[str, Any], settle: Any
) -> None:
    job = start(project, make_version, base, short)
    run = settle(job.run)
    runner.finish(run, run.result)
    job.refresh_from_db()
    assert project.models.filter(made_by=run).count() == 1


def test_a_trainer_killed_half_way_makes_the_very_same_model(
    project: Any, make_version: Any, base: Any, short: dict[str, Any], settle: Any
) -> None:
    config = {**short, "max_steps": 24, "checkpoint_every": 2}
    job = start(project, make_version, base, config)
    whole = settle(job.run)
    again = start_training(
        project=project,
        version=job.version,
        base=base,
        recipe="dpo",
        config=config,
        model_name="again",
        by=None,
    ).run
    end = time.monotonic() + 240
    while ((again.dir.read_progress() or {}).get("done") or 0) < 3:
        assert time.monotonic() < end
        if launchers.find(again.dir) is None:
            supervisor.reconcile()  # which starts it, and then would only be slow to see it
        time.sleep(0.005)
    process = launchers.find(again.dir)
    assert process is not None
    process.signal(signal.SIGKILL)
    again = settle(again)
    assert (again.state, again.attempt) == ("succeeded", 2), again.error
    assert again.result["digest"] == whole.result["digest"]
    curves = [
        dict(run.points.filter(name="loss").values_list("step", "value")) for run in (whole, again)
    ]
    assert curves[0] == curves[1]


def test_an_image_model_is_trained_from_pairs_of_pictures(settle: Any, tmp_path: Path) -> None:
    project = make_project(modality="image")
    base = register_model(
        project=project,
        name="digits",
        modality="image",
        family="class_unet",
        source=str(make_tiny_class_unet(tmp_path / "unet")),
    )
    counts = {"rows": 8, "train": 7, "test": 1, "ties": 0, "votes": 8}
    version = commit_version(
        project=project,
        dataset_name="Pictures",
        rows=tables_of(_picture_pair(project, number) for number in range(8)),
        recipe={},
        counts=counts,
    )
    job = start_training(
        project=project,
        version=version,
        base=base,
        recipe="diffusion_dpo",
        config={"max_steps": 3, "batch_size": 4, "lora_rank": 2},
        model_name="better digits",
        by=None,
    )
    run = settle(job.run)
    assert run.state == "succeeded", run.error
    job.refresh_from_db()
    assert job.result.family == "class_unet"
    assert run.points.filter(name="loss").count() == 3
    assert not (run.dir.path / "cache").exists()
    [picture] = load_painter(job.result.as_spec(), "cpu").paint(["cat"], seeds=[1], sampling={})
    assert picture.size[0] > 0


def _picture_pair(project: Any, number: int) -> PreferenceRecord:
    shades = [store_upload(project=project, data=_png(number * 20 + more)) for more in (0, 7)]
    return PreferenceRecord(
        pair=f"{number:064x}",
        prompt_key=f"{number:064x}",
        category="",
        modality="image",
        prompt=[{"role": "user", "content": ["cat", "dog"][number % 2]}],
        chosen="",
        rejected="",
        chosen_media=shades[0].sha256,
        rejected_media=shades[1].sha256,
        chosen_model="one",
        rejected_model="other",
        outcome="win",
        chosen_side="a",
        strength=1.0,
        agreement=1.0,
        split="test" if number == 7 else "train",
    )


def _png(shade: int) -> bytes:
    stream = io.BytesIO()
    Image.new("L", (8, 8), shade).save(stream, "PNG")
    return stream.getvalue()
