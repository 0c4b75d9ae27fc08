"""What a training run means: the frozen rows and media that go in, the model that comes out."""

from __future__ import annotations

import os
import shutil
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from steelyard.accounts.models import User
from steelyard.assets.services import blob_path
from steelyard.lib.errors import UserError
from steelyard.lib.said import Said
from steelyard.projects.models import Project
from steelyard.registry.models import ModelVersion
from steelyard.registry.services import free_name, register_model
from steelyard.runs.models import Run
from training.cards import write_card
from training.engine.kept import FOLDER
from training.engine.words import WORDS
from training.keeping import keep_asked, options_of
from training.launching import gpus_of, with_curve
from training.models import TrainingJob
from training.naming import checked_name
from training.placing import place
from training.sweeps import hooks
from training.sweeps.hooks import keeps_model, prepared, trial_of
from training.titles import TITLES

engine = "training.engine"
words = {**WORDS, **TITLES}
LIBRARIES = ("torch", "transformers", "diffusers", "peft")


def prepare(run: Run) -> dict[str, Any]:
    """Puts the version's rows and media into the run's folder; again is the same."""
    job = _job(run)
    rows = job.version.files
    for folder in (run.dir.data, run.dir.media):
        folder.mkdir(parents=True, exist_ok=True)
    for path in rows:
        place(path, run.dir.data / path.name)
    for sha256 in job.version.manifest.get("media", []):
        place(blob_path(sha256), run.dir.media / sha256)
    spec = {
        "kind": "train",
        "recipe": job.recipe,
        "config": with_curve(job.project, job.config),
        "seed": job.config.get("seed", 0),
        "base": job.base.as_spec(),
        "dataset": {
            "digest": job.version.digest,
            "file": f"data/{rows[0].name}",
            "files": [f"data/{path.name}" for path in rows],
        },
        "cache": str(settings.DATA_DIR / "cache" / "reference"),
        "libraries": {name: version_of(name) for name in LIBRARIES},
    }
    return prepared(run.dir, job, spec)


def environment(run: Run) -> dict[str, str]:
    return hooks.environment(_job(run))


def gpus(run: Run) -> int:
    return gpus_of(_job(run).config)


def check_retry(run: Run, by: User) -> None:
    """
    Raises:
        UserError: since the run failed, another has made or was promised a model of its name.
    """
    job = TrainingJob.objects.with_parts().filter(run=run).first()
    # a sweep's models get a number where their names are taken
    if job is None or trial_of(job) is not None:
        return
    # the lock lets of two jobs with one model name only the first through
    Project.objects.select_for_update(no_key=True).get(pk=job.project_id)
    try:
        checked_name(job.project, job.model_name)
    except UserError as error:
        raise UserError(
            _("%(why)s Start it as a new run: “Train again with these settings” on its page.")
            % {"why": error.message},
            code=error.code,
            status=error.status,
        ) from error


def finish(run: Run, result: dict[str, Any]) -> None:
    """Move the weights out of the run's folder and register the model; again is the same."""
    job = _job(run)
    if not keeps_model(job):
        for folder in (run.dir.model, run.dir.path / FOLDER):
            shutil.rmtree(folder, ignore_errors=True)
    else:
        folder = _keep(run)
        if job.result is None:
            with transaction.atomic():
                job.result = _register(job, folder, result)
                job.save(update_fields=["result"])
        write_card(job, job.result, folder, result)
        keep_asked(job)
    # nothing resumes from here any more
    for folder in (run.dir.checkpoints, run.dir.path / "cache", run.dir.path / "rounds"):
        shutil.rmtree(folder, ignore_errors=True)


def abandoned(run: Run) -> None:
    """What a run that failed or was cancelled was asked to keep of its way is kept all the same."""
    job = TrainingJob.objects.with_parts().filter(run=run).first()
    if job is not None and keeps_model(job):
        keep_asked(job)


def _job(run: Run) -> TrainingJob:
    return TrainingJob.objects.with_parts().get(run=run)


def _register(job: TrainingJob, folder: Path, result: dict[str, Any]) -> ModelVersion:
    name = free_name(project=job.project, name=job.model_name)
    if name != job.model_name:
        job.run.dir.event(Said(WORDS, "name_taken", taken=job.model_name, name=name))
    full = result.get("form") == "full"
    return register_model(
        project=job.project,
        name=name,
        modality=job.base.modality,
        family=job.base.family,
        source=str(folder) if full else job.base.source,
        adapter="" if full else str(folder),
        options=options_of(job),
        base=job.base,
        made_by=job.run,
        trained_on=job.version,
        digest=result.get("digest", ""),
        by=job.run.created_by,
    )


def _keep(run: Run) -> Path:
    """Where the model lies from now on: whole, or not at all.

    Raises:
        UserError: the run made none.
    """
    target = Path(settings.MODELS_DIR) / str(run.uuid)
    if target.exists():
        return target
    if not run.dir.model.is_dir():
        raise UserError(Said(WORDS, "no_model_folder"), code="no_model")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.rename(run.dir.model, target)
    except OSError:
        # another file system: copy beside the target, then name it
        partial = target.with_name(f".{target.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(run.dir.model, partial)
        os.rename(partial, target)
        shutil.rmtree(run.dir.model, ignore_errors=True)
    return target
