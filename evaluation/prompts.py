"""Which prompts an evaluation is about; asked when it starts and again when its run is prepared."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
from django.db.models import OuterRef, Subquery
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from annotation.models import Prompt
from evaluation.models import PromptSet, PromptSetItem
from steelyard.lib.errors import UserError
from steelyard.lib.hashing import stable_int
from steelyard.projects.models import Project
from steelyard.registry.models import DatasetVersion, ModelFamily, ModelVersion

SEEING = (ModelFamily.VISION_LANGUAGE, ModelFamily.ENDPOINT)
"""Families of models that can be shown what a prompt is about."""
SOURCES = {
    "held_out": gettext_lazy("Held-out prompts"),
    "version": gettext_lazy("The test split of a dataset version"),
    "set": gettext_lazy("A prompt set"),
}


def chosen_prompts(
    project: Project, prompt_set: dict[str, Any], models: Iterable[ModelVersion] = ()
) -> list[Prompt]:
    """The prompts that a prompt set names, in a stable order.

    Args:
        prompt_set: ``category`` ("" for all) and ``limit`` (0 for all); only prompts that were
            set aside are taken, so that no trained-on prompt can be among them, unless
            ``held_out`` is false: then only those that may be trained on, of which ``seed`` draws
            the limited ones. ``version`` takes instead those that a dataset version tests with,
            ``set`` those of a :class:`PromptSet` in its order, ``keys`` those of these keys,
            whatever else is said. With media only where every model can be shown them; those that
            are known by imported outputs need not be.
        models: who is to answer.
    """
    prompts = Prompt.objects.filter(project=project).order_by("key")
    held_out = prompt_set.get("held_out", True)
    source = prompt_set.get("source") or _source_of(prompt_set)
    if source == "keys":
        prompts = prompts.filter(key__in=prompt_set["keys"])
    elif source == "version":
        prompts = prompts.filter(key__in=tested_with(project, prompt_set["version"]))
    elif source == "set":
        place = PromptSetItem.objects.filter(prompt_set=prompt_set["set"], prompt=OuterRef("pk"))
        prompts = prompts.annotate(place=Subquery(place.values("order"))).order_by("place")
        prompts = prompts.exclude(place=None)
    else:
        prompts = prompts.filter(held_out=held_out)
    models = list(models)
    answering = {model.family for model in models if model.can_generate}
    if not models or not answering <= set(SEEING):
        prompts = prompts.filter(media=[])
    if source == "keys":
        return list(prompts)
    if category := prompt_set.get("category"):
        prompts = prompts.filter(category=category)
    limit = int(prompt_set.get("limit") or 0)
    if limit and (not held_out or (source == "version" and "seed" in prompt_set)):
        keys = list(prompts.values_list("key", flat=True))
        drawn = sorted(keys, key=lambda key: stable_int(prompt_set["seed"], key))[:limit]
        prompts = prompts.filter(key__in=drawn)
    return list(prompts[:limit] if limit else prompts)


def _source_of(prompt_set: dict[str, Any]) -> str:
    return next((name for name in ("keys", "version", "set") if name in prompt_set), "held_out")


def tested_with(project: Project, pk: int) -> set[str]:
    """Keys of the prompts of a version's test rows."""
    version = DatasetVersion.objects.get(project=project, pk=pk)
    return _keys_in(version, train=False)


def _keys_in(version: DatasetVersion, *, train: bool) -> set[str]:
    found: set[str] = set()
    for path in version.files:
        rows = pq.read_table(path, columns=["prompt_key", "split"])
        chosen = (pc.equal if train else pc.not_equal)(rows["split"], "train")
        found.update(rows.filter(chosen)["prompt_key"].to_pylist())
    return found


def learnt_from(model: ModelVersion) -> list[DatasetVersion]:
    """The versions that a model and those that it was made of were trained on, as far as is
    known."""
    found, seen = [], set()
    at: ModelVersion | None = model
    while at is not None and at.pk not in seen:
        seen.add(at.pk)
        if at.trained_on is not None:
            found.append(at.trained_on)
        at = at.base
    return list(dict.fromkeys(found))


def trained_on(models: Iterable[ModelVersion], prompts: Sequence[Prompt]) -> dict[str, set[str]]:
    """By model, keys of those of the prompts that it has seen in training.

    Raises:
        UserError: the rows that a model was trained on are gone, so that nobody can tell.
    """
    keys = {prompt.key for prompt in prompts if not prompt.held_out}
    seen: dict[int, set[str]] = {}
    found: dict[str, set[str]] = {}
    for model in models if keys else ():
        for version in learnt_from(model):
            if version.pk not in seen:
                if version.lost:
                    raise UserError(
                        _(
                            "%(model)s was trained on %(version)s, whose rows are not on this "
                            "server's disk, so nobody can tell which of these prompts it has "
                            "seen. Evaluate on held-out prompts."
                        )
                        % {"model": model.name, "version": version},
                        code="version_lost",
                        field="source",
                    )
                seen[version.pk] = _keys_in(version, train=True) & keys
            if seen[version.pk]:
                found[model.name] = found.get(model.name, set()) | seen[version.pk]
    return found


def checked_set(project: Project, asked: dict[str, Any], seed: int = 0) -> dict[str, Any]:
    """Which prompts an evaluation is about, in full, as it is stored.

    Raises:
        UserError: there is no such source, version or set, or its rows are gone.
    """
    source = asked.get("source") or _source_of(asked)
    if source not in SOURCES:
        raise UserError(
            _("source must be one of %(names)s.") % {"names": ", ".join(SOURCES)}, field="source"
        )
    known: dict[str, Any] = {
        "source": source,
        "category": asked.get("category") or "",
        "limit": asked.get("limit") or 0,
    }
    if source == "version":
        known |= {"version": checked_version(project, asked.get("version")).pk, "seed": seed}
    elif source == "set":
        found = PromptSet.objects.filter(project=project, pk=asked.get("set") or 0).first()
        if found is None:
            raise UserError(
                _("This project has no such prompt set. Choose one, or make it first."),
                code="unknown_set",
                field="set",
            )
        known["set"] = found.pk
    return known


def source_of(project: Project, prompt_set: dict[str, Any]) -> PromptSet | DatasetVersion | None:
    """The set or the version that the prompts are of; None where they are held-out ones."""
    if prompt_set.get("source") == "set":
        return PromptSet.objects.select_related("project").filter(pk=prompt_set["set"]).first()
    if prompt_set.get("source") == "version":
        rows = DatasetVersion.objects.select_related("project", "dataset")
        return rows.filter(project=project, pk=prompt_set["version"]).first()
    return None


def checked_version(project: Project, pk: int | None) -> DatasetVersion:
    """
    Raises:
        UserError: the project has no such version, or its rows are gone.
    """
    found = DatasetVersion.objects.filter(project=project, pk=pk or 0).first()
    if found is None:
        raise UserError(
            _("This project has no dataset version of that number."),
            code="unknown_version",
            field="version",
        )
    if found.lost:
        raise UserError(
            _("The rows of %(version)s are not on this server's disk.") % {"version": found},
            code="version_lost",
            field="version",
        )
    return found
