"""What a freezing run means: its process reads the database and writes files; the version that they
become is committed here."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.urls import reverse

from annotation.freezing.address import database_url
from annotation.freezing.words import WORDS
from annotation.recipe import Recipe
from annotation.services.joining import joined, tell_the_others
from annotation.titles import TITLES
from steelyard.lib.errors import UserError
from steelyard.lib.said import Said
from steelyard.registry.models import DatasetVersion
from steelyard.registry.services import Frozen, commit_frozen
from steelyard.runs.models import Run

engine = "annotation.freezing"
words = {**WORDS, **TITLES}
KEEP_MEMORY = {
    "MALLOC_TRIM_THRESHOLD_": str(64 * 2**20),
    "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),
    "ARROW_DEFAULT_MEMORY_POOL": "system",
}
"""What the rows before have let go of is kept for the next: to give it back and to ask anew took
three times as long as to make rows of it."""


def prepare(run: Run) -> dict[str, Any]:
    return {"kind": "freeze", "project": run.project_id, **run.spec}


def environment(run: Run) -> dict[str, str]:
    """This process is none of the engines that know only their folder: it reads the votes, and
    writes nothing but its folder."""
    return {
        "DATABASE_URL": database_url(),
        "DJANGO_SETTINGS_MODULE": os.environ.get("DJANGO_SETTINGS_MODULE", "steelyard.settings"),
        "STEELYARD_SECRET_KEY": settings.SECRET_KEY,
        **KEEP_MEMORY,
    }


def finish(run: Run, result: dict[str, Any]) -> None:
    """Commit the files as a version; again is the same."""
    if _version_of(run) is not None:
        return
    folder = Path(settings.VERSIONS_DIR) / f".{run.uuid}.partial"
    _move(run.dir.path / "shards", folder)
    try:
        # who began it may be no owner of a project any more
        recipe = Recipe.from_dict(run.spec["recipe"])
        joined(project=run.project, recipe=recipe, by=run.created_by)
        with transaction.atomic():
            version = commit_frozen(
                project=run.project,
                dataset_name=run.spec["dataset_name"],
                frozen=Frozen(
                    folder,
                    result["files"],
                    result["rows_sha256"],
                    result["media"],
                    result["facts"],
                ),
                recipe=run.spec["recipe"],
                counts=result["counts"],
                note=run.spec["note"],
                by=run.created_by,
            )
            tell_the_others(version, run.created_by)
            run.spec["version"] = version.pk
            run.save(update_fields=["spec"])
    except UserError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)
    run.dir.event(Said(WORDS, "frozen", version=version, rows=version.counts["rows"]))


def abandoned(run: Run) -> None:
    """What it had written is of no use to anybody."""
    for folder in (run.dir.path / "shards", Path(settings.VERSIONS_DIR) / f".{run.uuid}.partial"):
        shutil.rmtree(folder, ignore_errors=True)


def product(run: Run) -> tuple[str, str] | None:
    """Name and address of what the run has made."""
    version = _version_of(run)
    if version is None:
        return None
    return str(version), reverse("registry:version-detail", args=[run.project.slug, version.pk])


def _version_of(run: Run) -> DatasetVersion | None:
    rows = DatasetVersion.objects.with_names().filter(project=run.project)
    return rows.filter(pk=run.spec.get("version", 0)).first()


def _move(source: Path, target: Path) -> None:
    """Renamed where both are on one disk; a crash in between is carried on from."""
    target.mkdir(parents=True, exist_ok=True)
    if source.exists():
        for path in source.glob("[!.]*.parquet"):
            shutil.move(path, target / path.name)
