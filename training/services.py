"""What is asked of training: start a job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from django.db import transaction
from django.utils.translation import gettext as _

from steelyard.accounts.models import User
from steelyard.assets.services import blob_path
from steelyard.inference.kinds import IMAGE, VIDEO
from steelyard.inference.shapes import rule_of
from steelyard.lib.errors import UserError
from steelyard.lib.said import Said
from steelyard.projects.models import Modality, Project
from steelyard.registry.models import DatasetVersion, ModelFamily, ModelVersion
from steelyard.registry.querysets import ModelVersionQuerySet
from steelyard.registry.services import free_name
from steelyard.registry.sources import check_source
from steelyard.runs.models import Run
from steelyard.runs.services import start_run
from training.engine.config import RECIPES, TextRecipe, config_of, form_fields
from training.launching import check_launch
from training.models import TrainingJob
from training.naming import checked_name
from training.preflight import check_preflight, find_preflight, preflight_key
from training.titles import TITLES


def _recipes_of() -> dict[str, dict[str, tuple[str, ...]]]:
    """A recipe for text says by ``families`` what it trains, causal_lm else; the others train every
    family of pictures and of clips."""
    found: dict[str, dict[str, tuple[str, ...]]] = {str(m): {} for m in Modality.values}
    for name, config in RECIPES.items():
        if issubclass(config, TextRecipe):
            families = getattr(config, "families", (ModelFamily.CAUSAL_LM,))
            found[Modality.TEXT][name] = tuple(families)
        else:
            found[Modality.IMAGE][name], found[Modality.VIDEO][name] = IMAGE, VIDEO
    return found


RECIPES_OF = _recipes_of()
"""Modality → recipe → the families of base models that it trains."""
LESS = {"batch_size": 2, "max_length": 512}
"""What is offered on a machine without a GPU, where an hour goes a shorter way."""
SAMPLED = "sample_every"
"""Of pictures and clips it is offered as often as there are checkpoints: no curve shows them."""


@transaction.atomic
def start_training(
    *,
    project: Project,
    version: DatasetVersion,
    base: ModelVersion,
    recipe: str,
    config: dict[str, Any],
    model_name: str,
    by: User | None,
    preflight: Run | None = None,
) -> TrainingJob:
    """Queue a run that trains ``base`` on a frozen version and registers what comes of it.

    Args:
        recipe: a key of ``training.engine.config.RECIPES``.
        config: settings of the recipe; what is absent has its default.
        model_name: what the new model is to be called.
        preflight: a look at these settings, which must have found nothing that stops the run.

    Raises:
        UserError: anything that would make the run fail, told now; ``field`` names what to mend.
    """
    # the lock lets of two jobs with one model name only the first through
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    _check_place(project, version, base)
    families = _families(project, recipe)
    checked = config_of(recipe, config).as_dict()
    check_launch(project, checked)
    _check_base(base, families)
    _check_resolution(base, checked)
    name = checked_name(project, model_name)
    _check_rows(version)
    _check_writer(version, checked)
    _check_sees(base, version)
    if preflight:
        check_preflight(run=preflight, version=version, base=base, recipe=recipe, config=checked)
    spec = {"preflight": preflight.pk} if preflight else {}
    title = Said(TITLES, "title_train", name=name)
    run = start_run(project=project, kind="train", title=title, spec=spec, by=by)
    return TrainingJob.objects.create(
        project=project,
        run=run,
        version=version,
        base=base,
        recipe=recipe,
        config=checked,
        model_name=name,
    )


def start_preflight(
    *,
    project: Project,
    version: DatasetVersion,
    base: ModelVersion,
    recipe: str,
    config: dict[str, Any],
    by: User | None,
    again: bool = False,
) -> Run:
    """Look at what a training run of these settings would meet. One that is under way, or still
    fresh, is the answer.

    Args:
        again: look once more, whatever there is.

    Raises:
        UserError: what can be known to be wrong without looking, as ``start_training`` tells it.
    """
    _check_place(project, version, base)
    _check_base(base, _families(project, recipe))
    _check_there(version)
    checked = config_of(recipe, config).as_dict()
    check_launch(project, checked)
    _check_resolution(base, checked)
    _check_writer(version, checked)
    asked: dict[str, Any] = {
        "version": version,
        "base": base,
        "recipe": recipe,
        "config": checked,
    }
    found = None if again else find_preflight(project=project, **asked)
    if found is not None:
        return found
    key = preflight_key(**asked)
    spec = {**asked, "version": version.pk, "base": base.pk, "key": key}
    title = Said(TITLES, "title_preflight", base=base, version=version)
    return start_run(project=project, kind="preflight", title=title, spec=spec, by=by)


def trainable_bases(project: Project) -> ModelVersionQuerySet:
    """The models of a project that a recipe of its modality can start from."""
    families = {family for known in RECIPES_OF[project.modality].values() for family in known}
    return ModelVersion.objects.filter(project=project, family__in=families).as_they_are()


def _check_place(project: Project, version: DatasetVersion, base: ModelVersion) -> None:
    if version.project_id != project.pk:
        raise UserError(
            _("%(version)s belongs to another project.") % {"version": version}, field="version"
        )
    if base.project_id != project.pk:
        raise UserError(
            _("%(base)s belongs to another project.") % {"base": base.name}, field="base"
        )


def _families(project: Project, recipe: str) -> tuple[str, ...]:
    recipes = RECIPES_OF[project.modality]
    if recipe not in recipes:
        raise UserError(
            _(
                "The recipe “%(recipe)s” trains no %(modality)s models; here it must be one of "
                "%(names)s."
            )
            % {"recipe": recipe, "modality": project.modality, "names": ", ".join(recipes)},
            code="wrong_recipe",
            field="recipe",
        )
    return recipes[recipe]


def _check_base(base: ModelVersion, families: tuple[str, ...]) -> None:
    if base.revisions:
        raise UserError(
            _(
                "%(base)s is %(model)s with revisions and has no weights of its own. Train from "
                "%(model)s."
            )
            % {"base": base.name, "model": base.base},
            code="cannot_train",
            field="base",
        )
    if not base.can_train:
        raise UserError(
            _(
                "%(base)s cannot be trained: its weights are not here. Choose a model with "
                "weights, or add one under Models by its folder or hub name."
            )
            % {"base": base.name},
            code="cannot_train",
            field="base",
        )
    if {*IMAGE, *VIDEO}.issuperset({base.family, families[0]}) and base.family not in families:
        words = _(
            "%(base)s makes pictures, and this version holds clips. Choose a model that makes "
            "clips, such as Wan or CogVideoX."
        )
        if base.family in VIDEO:
            words = _(
                "%(base)s makes clips, and this version holds pictures. Choose a model that makes "
                "pictures, such as Stable Diffusion."
            )
        raise UserError(words % {"base": base.name}, code="wrong_modality", field="base")
    if base.family not in families:
        raise UserError(
            _("This recipe does not train a model of the family “%(family)s”.")
            % {"family": base.get_family_display()},
            code="wrong_family",
            field="base",
        )
    try:
        check_source(modality=base.modality, family=base.family, source=base.source)
    except UserError as error:
        raise UserError(error.message, code=error.code, field="base") from error


def _check_resolution(base: ModelVersion, config: dict[str, Any]) -> None:
    rule = rule_of(base.family, base.source)
    if rule and (why := rule.refuses("resolution", config.get("resolution", 0))):
        raise UserError(why, code="bad_resolution", field="resolution")


def _check_there(version: DatasetVersion) -> None:
    if lost := version.lost:
        raise UserError(
            _(
                "The rows of %(version)s are not on this server's disk (%(path)s is missing). "
                "Restore the data folder from its backup."
            )
            % {"version": version, "path": lost[0].name},
            code="version_lost",
            field="version",
        )


def _check_sees(base: ModelVersion, version: DatasetVersion) -> None:
    """In a version of texts the media are those that prompts are about."""
    if base.family == ModelFamily.CAUSAL_LM and version.manifest.get("media"):
        raise UserError(
            _(
                "Prompts of %(version)s are about pictures or clips, which %(base)s would not see. "
                "Choose a vision-language model, or freeze a version of the categories whose "
                "prompts are text alone."
            )
            % {"version": version, "base": base.name},
            code="prompt_media",
            field="base",
        )


def _check_rows(version: DatasetVersion) -> None:
    """The version has something to learn from, and its files are all here."""
    _check_there(version)
    columns = ["split", "outcome", "chosen_media", "rejected_media"]
    rows = pa.concat_tables(pq.read_table(path, columns=columns) for path in version.files)
    train = rows.filter(pc.equal(rows["split"], "train"))
    if not train.num_rows:
        raise UserError(
            _(
                "%(version)s has no rows to train on: all %(num_rows)s are in its test split. "
                "Freeze a version with a smaller test share."
            )
            % {"version": version, "num_rows": rows.num_rows},
            code="no_train_rows",
            field="version",
        )
    if not pc.any(pc.equal(train["outcome"], "win")).as_py():
        raise UserError(
            _(
                "All %(num_rows)s rows that %(version)s has to train on are ties or of two bad "
                "answers, so none is better than another. Freeze a version in which one side wins."
            )
            % {"num_rows": train.num_rows, "version": version},
            code="one_class",
            field="version",
        )
    _check_media(version)


def _check_writer(version: DatasetVersion, config: dict[str, Any]) -> None:
    """Some answer of the version is by the model that written_by names."""
    wanted = config.get("written_by")
    if not wanted:
        return
    columns = ["chosen_model", "rejected_model"]
    rows = pa.concat_tables(pq.read_table(path, columns=columns) for path in version.files)
    names = {name for column in columns for name in pc.unique(rows[column]).to_pylist() if name}
    if wanted not in names:
        raise UserError(
            _(
                "No answer of %(version)s is by “%(wanted)s”, which written_by names. Its answers "
                "are by %(names)s."
            )
            % {"version": version, "wanted": wanted, "names": ", ".join(sorted(names)[:10]) or "–"},
            code="unknown_writer",
            field="written_by",
        )


def _check_media(version: DatasetVersion) -> None:
    missing = [sha for sha in version.manifest.get("media", []) if not blob_path(sha).exists()]
    if missing:
        raise UserError(
            _(
                "%(count)s of the %(count_2)s files that %(version)s speaks of are not on this "
                "server's disk, the first is %(missing)s…. Restore the data folder from its "
                "backup."
            )
            % {
                "count": len(missing),
                "count_2": len(version.manifest["media"]),
                "version": version,
                "missing": missing[0][:12],
            },
            code="media_lost",
            field="version",
        )


def suggested_name(
    *,
    project: Project,
    base: ModelVersion | None,
    version: DatasetVersion | None,
    recipe: str = "",
) -> str:
    """A free name for the model that such a job would make; empty without a base."""
    if base is None:
        return ""
    number = f"-v{version.number}" if version else ""
    recipe = (recipe or next(iter(RECIPES_OF[project.modality]), "")).replace("_", "-")
    return free_name(project=project, name=f"{base.name}-{recipe}{number}"[:180])


def offered_settings(recipe: str) -> dict[str, Any]:
    """What the form on this server is filled with: the defaults, less where there is no GPU; of
    pictures and clips samples at every checkpoint."""
    defaults = {setting.name: setting.default for setting in form_fields(RECIPES[recipe])}
    if not issubclass(RECIPES[recipe], TextRecipe):
        return {**defaults, SAMPLED: defaults["checkpoint_every"]}
    less = {} if _has_gpu() else LESS
    return {**defaults, **{name: value for name, value in less.items() if name in defaults}}


def _has_gpu() -> bool:
    """Without importing torch, which would cost a web process seconds and half a gigabyte."""
    return Path("/dev/nvidia0").exists()


def summary_of(recipe: str) -> str:
    """What a recipe does, in a sentence."""
    return " ".join((RECIPES[recipe].__doc__ or "").split())
