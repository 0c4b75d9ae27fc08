"""Sweeps of bases that see: their answers to held-out prompts are measured as others' are."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from steelyard.assets.services import store_upload
from steelyard.lib.records import tables_of
from steelyard.registry.services import add_model, commit_version
from tests.factories import make_model
from tests.tiny_vision import make_tiny_vlm, painted
from tests.training.conftest import make_record
from training.sweeps import runner
from training.sweeps.measures import measures_of
from training.sweeps.models import Sweep, TrialRun
from training.sweeps.services import judges_of

COLOURS = ["red", "green", "blue", "white"]


@pytest.fixture
def seen(project: Any) -> Any:
    """A version of questions about pictures, of which four are held out."""
    pictures = []
    for colour in COLOURS:
        data = io.BytesIO()
        painted(colour).save(data, "PNG")
        pictures.append(store_upload(project=project, data=data.getvalue()).sha256)
    records = [
        make_record(
            number,
            prompt=[{"role": "user", "content": "What is in the picture?"}],
            prompt_media=[pictures[number % 4]],
            chosen=f"It is {COLOURS[number % 4]}.",
            split="test" if number > 4 else "train",
        )
        for number in range(1, 9)
    ]
    counts = {"rows": 8, "train": 4, "test": 4, "ties": 0, "votes": 8}
    return commit_version(
        project=project, dataset_name="Seen", rows=tables_of(records), recipe={}, counts=counts
    )


@pytest.fixture
def eyes(project: Any, owner: Any, tmp_path: Path) -> Any:
    source = str(make_tiny_vlm(tmp_path / "vlm", context=2048))
    return add_model(
        project=project, name="eyes", family="vision_language", source=source, by=owner
    )


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_drift_length_and_win_rate_are_measured_on_answers_about_pictures(
    project: Any, owner: Any, seen: Any, eyes: Any, as_user: Any, settle: Any
) -> None:
    make_model(project, "blind", family="causal_lm")
    body = {
        "name": "Looking",
        "version": seen.pk,
        "base": "eyes",
        "recipe": "dpo",
        "model_name": "tuned",
        "settings": {"max_steps": 1, "batch_size": 2, "lora_rank": 2, "max_length": 128},
        "space": {"learning_rate": {"low": 1e-6, "high": 1e-4, "log": True}},
        "objectives": [{"measure": name} for name in ("kl", "win_rate", "output_length")],
        "trials": 1,
    }
    url, client = f"/api/v1/projects/{project.slug}/sweeps", as_user(owner)

    def ask(judge: str) -> Any:
        return client.post(url, {**body, "judge": judge}, content_type="application/json")

    refused = ask("blind").json()
    assert (refused["code"], refused["field"]) == ("cannot_see", "judge")
    assert ask("eyes").status_code == 201
    sweep = Sweep.objects.get()
    runner.advance()
    part = TrialRun.objects.started().select_related("job__run").get(trial__sweep=sweep)
    run = settle(part.job.run)
    assert run.state == "succeeded", run.error
    runner.advance()
    part.refresh_from_db()
    assert part.state == "done", part.error
    # two prompts: the other half of those held out is kept for the test
    assert (run.result["samples"]["answers"], run.result["samples"]["judged"]) == (2, 2)
    assert part.measured["kl"] >= 0
    assert 0 <= part.measured["win_rate"] <= 1
    assert 0 < part.measured["output_length"] <= 128


@pytest.mark.django_db
def test_whatever_writes_can_be_aimed_at_by_its_answers(project: Any) -> None:
    assert {one.name for one in measures_of("dual_dpo")} == {one.name for one in measures_of("dpo")}
    assert "kl" not in {one.name for one in measures_of("diffusion_dpo")}
    make_model(project, "blind", family="causal_lm")
    make_model(project, "eyes", family="vision_language")
    make_model(project, "flow", family="pipeline")
    assert {model.name for model in judges_of(project)} == {"blind", "eyes"}
