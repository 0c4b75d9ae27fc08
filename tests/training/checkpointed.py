"""A training run that has left checkpoints, without the seconds of an engine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from steelyard.lib.records import tables_of
from steelyard.registry.services import commit_version, register_model
from steelyard.runs.models import Run
from tests.training.conftest import SHORT, make_record
from training import runner
from training.engine.kept import folder_of
from training.models import TrainingJob
from training.services import start_training

SIZE = 102


def job_in(project: Any, owner: Any, source: Path) -> TrainingJob:
    """A job with its run's folder, as far as before the engine starts."""
    records = [make_record(number) for number in range(1, 11)]
    counts = {"rows": 10, "train": 8, "test": 2, "ties": 0, "votes": 10}
    version = commit_version(
        project=project, dataset_name="All", rows=tables_of(records), recipe={}, counts=counts
    )
    base = register_model(
        project=project, name="base", modality="text", family="causal_lm", source=str(source)
    )
    job = start_training(
        project=project,
        version=version,
        base=base,
        recipe="dpo",
        config=SHORT,
        model_name="better",
        by=owner,
    )
    job.run.dir.create(runner.prepare(job.run))
    return job


def leave(job: TrainingJob, step: int, *, asked: bool = False) -> Path:
    """A checkpoint's model as an engine leaves it."""
    folder = folder_of(job.run.dir, step)
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text("{}")
    (folder / "adapter_model.safetensors").write_bytes(bytes([step]) * 100)
    files = {"adapter_config.json": 2, "adapter_model.safetensors": 100}
    told = {"step": step, "form": "adapter", "digest": f"{step:064x}", "asked": asked}
    (folder / "kept.json").write_text(json.dumps({**told, "files": files}))
    return folder


def end(job: TrainingJob, steps: int = 9) -> Any:
    """Its result, as after so many steps."""
    run = job.run
    run.dir.model.mkdir()
    (run.dir.model / "adapter_model.safetensors").write_bytes(b"end")
    result = {"status": "succeeded", "form": "adapter", "counts": {"steps": steps}}
    runner.finish(run, result)
    Run.objects.filter(pk=run.pk).update(state="succeeded", result=result)
    job.refresh_from_db()
    return job.result
