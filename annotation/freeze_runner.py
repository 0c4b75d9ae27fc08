"""What a freezing run means: its process reads the database and writes files; the version that they
become is committed here."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from django.conf import settings
from django.db import connection, transaction
from django.urls import reverse

from steelyard.lib.errors import UserError
from steelyard.registry.models import DatasetVersion
from steelyard.registry.services import Frozen, commit_frozen
from steelyard.runs.models import Run

engine = "annotation.freezing"


def prepare(run: Run) -> dict[str, Any]:
    return {"kind": "freeze", "project": run.project_id, **run.spec}


def environment(run: Run) -> dict[str, str]:
    """This process is none of the engines that know only their folder: it reads the votes, and
    writes nothing but its folder."""
    return {
        "DATABASE_URL": _database_url(),
        "DJANGO_SETTINGS_MODULE": os.environ.get("DJANGO_SETTINGS_MODULE", "steelyard.settings"),
        "STEELYARD_SECRET_KEY": settings.SECRET_KEY,
    }


def finish(run: Run, result: dict[str, Any]) -> None:
    """Commit the files as a version; again is the same."""
    if _version_of(run) is not None:
        return
    folder = Path(settings.VERSIONS_DIR) / f".{run.uuid}.partial"
    _move(run.dir.path / "shards", folder)
    try:
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
            run.spec["version"] = version.pk
            run.save(update_fields=["spec"])
    except UserError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)
    run.dir.event(f"This is {version} now, with {version.counts['rows']} rows.")


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


def _database_url() -> str:
    """Of the database that this process is connected to."""
    said = connection.settings_dict
    where = {"host": str(said["HOST"])} if str(said["HOST"]).startswith("/") else {}
    host = "" if where else f"{said['HOST']}"
    port = f":{said['PORT']}" if said["PORT"] else ""
    people = quote(said["USER"], safe="")
    if said["PASSWORD"]:
        people += f":{quote(said['PASSWORD'], safe='')}"
    options = {k: str(v) for k, v in said["OPTIONS"].items() if k in {"host", "sslmode"}} | where
    query = f"?{urlencode(options)}" if options else ""
    return f"postgres://{people}@{host}{port}/{quote(said['NAME'], safe='')}{query}"
