"""Checkpoints of a training run as models: what there is, keeping some, letting one go again.

An engine writes the models of checkpoints into its run's folder (:mod:`training.engine.kept`). One
that is kept gets a folder of its own among the models, as the run's result does, so that it
outlives the run's folder: the same files under another name where the disk allows it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import ForeignObjectRel
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from steelyard.accounts.models import User
from steelyard.inference.revising import ASKED
from steelyard.lib.errors import UserError
from steelyard.projects.models import Project
from steelyard.projects.policy import ADMINS, role_in
from steelyard.registry.models import ModelVersion
from steelyard.registry.services import NAME_LIMIT, free_name, register_model
from training.cards import write_card
from training.controls import SETTING
from training.engine.kept import Kept, folder_of, kept_in
from training.models import TrainingJob
from training.placing import place


@dataclass(frozen=True)
class Checkpoint:
    """A step of a run of which there is a model, or could be one."""

    step: int
    size: int
    """Bytes on disk."""
    model: ModelVersion | None
    """None where it is not kept."""


def checkpoints_of(job: TrainingJob) -> list[Checkpoint]:
    """By step; those that are kept, and those whose files the run's folder has."""
    models = _models_of(job)
    found = {step: Checkpoint(step, _size(model), model) for step, model in models.items()}
    for kept in kept_in(job.run.dir):
        found.setdefault(kept.step, Checkpoint(kept.step, kept.size, None))
    return [found[step] for step in sorted(found)]


def keep_checkpoints(
    *, job: TrainingJob, steps: Sequence[int], by: User | None
) -> list[ModelVersion]:
    """Make model versions of checkpoints; one that is kept already is the answer.

    Raises:
        UserError: not an admin of the project; or there is no such checkpoint, or it is not whole.
            None is kept then.
    """
    _check_admin(job.project, by)
    wanted = sorted(set(steps))
    if not wanted:
        raise UserError(_("Choose at least one checkpoint."), code="no_checkpoint", field="steps")
    models, there = _models_of(job), {kept.step: kept for kept in kept_in(job.run.dir)}
    for step in wanted:
        if step not in models:
            _check_there(step, there)
    return [models.get(step) or _kept(job, there[step], by) for step in wanted]


def keep_asked(job: TrainingJob) -> None:
    """Keep what the run was asked to; what cannot be is told in its log and ends nothing."""
    models = _models_of(job)
    for kept in kept_in(job.run.dir):
        if not kept.asked or kept.step in models:
            continue
        try:
            _check_there(kept.step, {kept.step: kept})
            _kept(job, kept, job.run.created_by)
        except UserError as error:
            job.run.dir.event(error.message, "warning")


def let_go(*, job: TrainingJob, step: int, by: User | None) -> None:
    """Take a kept checkpoint out of the models, and its files from the disk.

    Raises:
        UserError: not an admin, no such model, or something was made with it.
    """
    _check_admin(job.project, by)
    with transaction.atomic():
        # an evaluation that begins meanwhile has to wait
        rows = ModelVersion.objects.select_for_update()
        model = rows.filter(made_by=job.run, options__checkpoint__step=step).first()
        if model is None:
            raise UserError(
                _("No model of step %(step)s is kept of this run.") % {"step": step},
                code="no_checkpoint",
                status=404,
            )
        _check_unused(model)
        model.delete()
    for folder in (_folder(job, step), folder_of(job.run.dir, step)):
        shutil.rmtree(folder, ignore_errors=True)


def options_of(job: TrainingJob) -> dict[str, Any]:
    """The options of a model that a job makes."""
    sampling = job.base.options.get("sampling")
    options = {"sampling": sampling} if sampling else {}
    if (control := job.config.get(SETTING, "none")) != "none":
        options["label_control"] = control
    if job.recipe == "srpo":
        # what it has learnt to improve by is what it is asked when it revises
        options["revising"] = ASKED
    return options


def evaluation_link(job: TrainingJob) -> str:
    """To the form of a new evaluation with the kept checkpoints, and the run's result, against its
    base; empty where none is kept."""
    models = [one for _step, one in sorted(_models_of(job).items())]
    if not models:
        return ""
    if job.result:
        models.append(job.result)
    name = _("%(model)s as training went") % {"model": job.result or job.model_name}
    asked = [("model", str(one.pk)) for one in models]
    query = urlencode([("name", name[:NAME_LIMIT]), *asked, ("baseline", str(job.base_id))])
    return f"{reverse('evaluation:evaluation-new', args=[job.project.slug])}?{query}"


def _models_of(job: TrainingJob) -> dict[int, ModelVersion]:
    rows = ModelVersion.objects.filter(made_by=job.run, options__has_key="checkpoint")
    found = {}
    for model in rows.select_related("project"):
        assert model.step is not None
        found[model.step] = model
    return found


def _size(model: ModelVersion) -> int:
    return int(model.options["checkpoint"].get("size", 0))


def _check_admin(project: Project, by: User | None) -> None:
    if by is not None and role_in(by, project) not in ADMINS:
        raise UserError(
            _("Only an admin of the project may keep checkpoints as models or let them go."),
            code="admins_only",
            status=403,
        )


def _check_there(step: int, there: dict[int, Kept]) -> None:
    kept = there.get(step)
    if kept is None:
        steps = ", ".join(str(one) for one in there)
        words = _("This run has no checkpoint of step %(step)s to keep. It has: %(steps)s.")
        if not steps:
            words = _(
                "This run has no checkpoint of step %(step)s to keep, nor of any other. Train with "
                "keep_checkpoints to have some."
            )
        raise UserError(
            words % {"step": step, "steps": steps}, code="no_checkpoint", status=404, field="steps"
        )
    if not kept.is_whole:
        raise UserError(
            _(
                "The checkpoint of step %(step)s is damaged: files of it are gone or shorter than "
                "they were written (%(folder)s)."
            )
            % {"step": step, "folder": kept.folder},
            code="broken_checkpoint",
            status=409,
            field="steps",
        )


def _check_unused(model: ModelVersion) -> None:
    """Nothing speaks of it: no output, no evaluation, no model trained from it."""
    relations = [f for f in model._meta.get_fields(include_hidden=True) if f.auto_created]
    # the tables of many-to-many relations last, for their names say little
    for relation in sorted(relations, key=lambda one: bool(getattr(one, "hidden", False))):
        if relation.concrete or not isinstance(relation, ForeignObjectRel):
            continue
        kind = relation.related_model
        rows = kind._base_manager.filter(**{relation.field.name: model})
        if rows.exists():
            raise UserError(
                _("%(model)s is in use and stays: something of the kind “%(kind)s” is about it.")
                % {"model": model.name, "kind": kind._meta.verbose_name},
                code="model_in_use",
                status=409,
            )


def _folder(job: TrainingJob, step: int) -> Path:
    return Path(settings.MODELS_DIR) / f"{job.run.uuid}-step-{step:08d}"


def _kept(job: TrainingJob, kept: Kept, by: User | None) -> ModelVersion:
    folder = _placed(job, kept)
    with transaction.atomic():
        # of two who keep it at once the second finds what the first made
        Project.objects.select_for_update(no_key=True).get(pk=job.project_id)
        model = _models_of(job).get(kept.step) or _register(job, kept, folder, by)
    write_card(job, model, folder, {"counts": {"steps": kept.step}})
    return model


def _placed(job: TrainingJob, kept: Kept) -> Path:
    """Its folder among the models, whole or absent.

    Raises:
        UserError: its files went away meanwhile.
    """
    target = _folder(job, kept.step)
    if target.exists():
        return target
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        for name in kept.files:
            (partial / name).parent.mkdir(parents=True, exist_ok=True)
            place(kept.folder / name, partial / name)
        os.rename(partial, target)
    except FileNotFoundError as error:
        raise UserError(
            _("The checkpoint of step %(step)s is gone.") % {"step": kept.step},
            code="no_checkpoint",
            status=404,
            field="steps",
        ) from error
    except OSError:
        # another was quicker, and has the same files
        if not target.exists():
            raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def _register(job: TrainingJob, kept: Kept, folder: Path, by: User | None) -> ModelVersion:
    own, full = str(job.result or job.model_name), kept.form == "full"
    return register_model(
        project=job.project,
        name=free_name(project=job.project, name=f"{own[: NAME_LIMIT - 20]} step {kept.step}"),
        modality=job.base.modality,
        family=job.base.family,
        source=str(folder) if full else job.base.source,
        adapter="" if full else str(folder),
        options={**options_of(job), "checkpoint": {"step": kept.step, "size": kept.size}},
        base=job.base,
        made_by=job.run,
        trained_on=job.version,
        digest=kept.digest,
        by=by,
    )
