"""The two ways into the registry: committing a version and registering a model."""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Max
from django.utils.text import slugify

from steelyard.accounts.models import User
from steelyard.lib.errors import UserError
from steelyard.lib.hashing import canonical_json, digest_of, sha256_file
from steelyard.lib.records import SCHEMA_VERSION, PreferenceRecord, canonical_lines, write_parquet
from steelyard.lib.rundir import write_atomically
from steelyard.projects.models import Project
from steelyard.registry.models import Dataset, DatasetVersion, ModelVersion
from steelyard.runs.models import Run


def register_model(
    *,
    project: Project,
    name: str,
    modality: str,
    family: str,
    source: str = "",
    adapter: str = "",
    options: dict[str, Any] | None = None,
    base: ModelVersion | None = None,
    made_by: Run | None = None,
    trained_on: DatasetVersion | None = None,
    digest: str = "",
    by: User | None = None,
) -> ModelVersion:
    """Register a model version; the same one again is the same row.

    Raises:
        UserError: the project has another model of that name.
    """
    values: dict[str, Any] = {
        "modality": modality,
        "family": family,
        "source": source,
        "adapter": adapter,
        "options": options or {},
        "base": base,
        "trained_on": trained_on,
        "digest": digest,
    }
    model, created = ModelVersion.objects.get_or_create(
        project=project, name=name, defaults={**values, "made_by": made_by, "created_by": by}
    )
    if not created and any(getattr(model, field) != value for field, value in values.items()):
        raise UserError(
            f"This project has another model called {name}; choose another name.",
            code="model_name_taken",
            status=409,
            field="name",
        )
    return model


def rows_digest(records: list[PreferenceRecord]) -> str:
    """SHA-256 over the records' canonical lines, in the order given."""
    return digest_of([line.decode() for line in canonical_lines(records)])


@transaction.atomic
def commit_version(
    *,
    project: Project,
    dataset_name: str,
    records: list[PreferenceRecord],
    recipe: dict[str, Any],
    counts: dict[str, int],
    note: str = "",
    by: User | None = None,
) -> DatasetVersion:
    """Freeze records as the next version of a dataset.

    The digest covers schema, recipe, counts and the records' canonical JSON: nothing in it depends
    on this machine, on time or on the order of insertion. The Parquet file is named by its own
    SHA-256 beside the manifest.

    Args:
        records: sorted by their pair key.
        counts: rows by split and what was left out by reason.

    Raises:
        UserError: the dataset has this very version already.
    """
    # the lock makes numbers of one dataset follow one another
    Project.objects.select_for_update().get(pk=project.pk)
    dataset, _ = Dataset.objects.get_or_create(
        project=project,
        slug=slugify(dataset_name)[:80] or "dataset",
        defaults={"name": dataset_name},
    )
    identity = {
        "schema": SCHEMA_VERSION,
        "recipe": recipe,
        "counts": counts,
        "rows_sha256": rows_digest(records),
    }
    digest = digest_of(identity)
    if same := dataset.versions.filter(digest=digest).first():
        raise UserError(
            f"Nothing has changed since {same}: the same votes and recipe make the same version.",
            code="version_exists",
            status=409,
        )
    last = dataset.versions.aggregate(last=Max("number"))["last"] or 0
    file = store_version(digest, identity, records)
    return DatasetVersion.objects.create(
        project=project,
        dataset=dataset,
        number=last + 1,
        digest=digest,
        parent=dataset.versions.filter(number=last).first(),
        recipe=recipe,
        manifest={**identity, "digest": digest, "files": [file]},
        note=note,
        created_by=by,
    )


def store_version(
    digest: str, identity: dict[str, Any], records: list[PreferenceRecord]
) -> dict[str, Any]:
    """Write the Parquet file and the manifest; returns the file's name, size and hash.

    The folder appears whole or not at all; one that is there already is left as it is.
    """
    target = Path(settings.VERSIONS_DIR) / digest
    partial = target.with_name(f".{digest}.{uuid.uuid4().hex}")
    partial.mkdir(parents=True)
    try:
        write_parquet(records, partial / "rows.parquet")
        sha256 = sha256_file(partial / "rows.parquet")
        (partial / "rows.parquet").rename(partial / f"{sha256}.parquet")
        size = (partial / f"{sha256}.parquet").stat().st_size
        file = {"name": f"{sha256}.parquet", "sha256": sha256, "size": size}
        manifest = canonical_json({**identity, "digest": digest, "files": [file]})
        write_atomically(partial / "manifest.json", manifest)
        if not target.exists():
            os.rename(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return file
