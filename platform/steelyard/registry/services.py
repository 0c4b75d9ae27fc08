"""The ways into the registry: committing a version, registering and adding a model."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import uuid
from itertools import count
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
from steelyard.projects.policy import ADMINS, role_in
from steelyard.registry.models import Dataset, DatasetVersion, ModelVersion
from steelyard.registry.sources import check_source, is_folder
from steelyard.runs.models import Run

NAME_LIMIT = 200


@transaction.atomic
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
        UserError: the project has another model of that name, or the name is none.
    """
    name = _checked_name(name)
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
            f"This project has another model called “{name}”; choose another name.",
            code="model_name_taken",
            status=409,
            field="name",
        )
    return model


def add_model(
    *,
    project: Project,
    name: str,
    family: str,
    source: str,
    endpoint_model: str = "",
    api_key: str = "",
    by: User | None,
) -> ModelVersion:
    """Register a model that somebody names by hand: a folder, a hub name or an endpoint.

    Args:
        source: local path or hub name; for an endpoint its base URL.
        endpoint_model: what the endpoint calls the model.
        api_key: the endpoint's key; no page, no API answer and no run.json ever shows it.

    A folder is a place on the server's disk, so only the project's admins may name one; a hub name
    or an endpoint anybody of its staff.

    Raises:
        UserError: the source is none that this family can load, naming what is missing.
    """
    if is_folder(source.strip()) and by is not None and role_in(by, project) not in ADMINS:
        raise UserError(
            "Only an admin of the project may name a folder on the server. Ask one, or give a "
            "hub name.",
            code="admins_only",
            status=403,
            field="source",
        )
    source = check_source(
        modality=project.modality, family=family, source=source.strip(), model=endpoint_model
    )
    options: dict[str, Any] = {}
    if endpoint_model:
        options["model"] = endpoint_model
    if api_key:
        options["api_key"] = api_key
    return register_model(
        project=project,
        name=name,
        modality=project.modality,
        family=family,
        source=source,
        options=options,
        by=by,
    )


@transaction.atomic
def set_api_key(*, model: ModelVersion, api_key: str) -> None:
    """Replace an endpoint's key; an empty one takes it away. The model stays what it is."""
    if model.family != "endpoint":
        raise UserError(f"{model.name} is no endpoint and needs no key.", field="api_key")
    locked = ModelVersion.objects.select_for_update().get(pk=model.pk)
    options = {key: value for key, value in locked.options.items() if key != "api_key"}
    if api_key:
        options["api_key"] = api_key
    ModelVersion.objects.filter(pk=model.pk).update(options=options)


def check_new_name(*, project: Project, name: str) -> str:
    """The name as it is to be kept.

    Raises:
        UserError: it is none, or the project has a model of that name.
    """
    name = _checked_name(name)
    if ModelVersion.objects.filter(project=project, name=name).exists():
        raise UserError(
            f"This project has a model called “{name}” already; choose another name.",
            code="model_name_taken",
            status=409,
            field="name",
        )
    return name


def free_name(*, project: Project, name: str) -> str:
    """The name, with a number behind it where the project has a model of that name."""
    taken = set(ModelVersion.objects.filter(project=project).values_list("name", flat=True))
    if name not in taken:
        return name
    numbered = (f"{name[: NAME_LIMIT - 8]} ({number})" for number in count(2))
    return next(one for one in numbered if one not in taken)


def _checked_name(name: str) -> str:
    name = name.strip()
    if not name or any(sign < " " for sign in name):
        raise UserError("A model needs a name of one line.", field="name")
    if len(name) > NAME_LIMIT:
        raise UserError(f"A model's name has at most {NAME_LIMIT} characters.", field="name")
    return name


def rows_digest(records: list[PreferenceRecord]) -> str:
    """SHA-256 over the records' canonical lines, in the order given."""
    hasher = hashlib.sha256()
    for line in canonical_lines(records):
        hasher.update(line)
    return hasher.hexdigest()


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
        UserError: there are no records, or the dataset has this very version already.
    """
    if not records:
        raise UserError("A version needs at least one row.", code="empty_version")
    # the lock makes numbers of one dataset follow one another; labelling needs a key's share of
    # the row for each judgment, and goes on
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    dataset = _dataset(project, dataset_name)
    identity = {
        "schema": SCHEMA_VERSION,
        "recipe": recipe,
        "counts": counts,
        "rows_sha256": rows_digest(records),
    }
    digest = digest_of(identity)
    if same := dataset.versions.filter(digest=digest).first():
        raise UserError(
            f"This equals {same}: the same votes and recipe make the same version. "
            "Collect more votes or change the recipe.",
            code="version_exists",
            status=409,
        )
    last = dataset.versions.aggregate(last=Max("number"))["last"] or 0
    return DatasetVersion.objects.create(
        project=project,
        dataset=dataset,
        number=last + 1,
        digest=digest,
        parent=dataset.versions.filter(number=last).first(),
        recipe=recipe,
        manifest=store_version(digest, identity, records),
        note=note[:300],
        created_by=by,
    )


def _dataset(project: Project, name: str) -> Dataset:
    name = " ".join(name.split())
    if not name or len(name) > NAME_LIMIT:
        raise UserError(
            f"A dataset needs a name of at most {NAME_LIMIT} characters.", field="dataset_name"
        )
    # letters outside ASCII stay in the name; the slug falls back to a part of the name's hash
    slug = slugify(name)[:80] or f"dataset-{digest_of(name)[:8]}"
    dataset, _ = Dataset.objects.get_or_create(project=project, slug=slug, defaults={"name": name})
    return dataset


def store_version(
    digest: str, identity: dict[str, Any], records: list[PreferenceRecord]
) -> dict[str, Any]:
    """Write the Parquet file and the manifest into the folder of that digest.

    The folder appears whole or not at all; one that is there already holds the same content and is
    left as it is.

    Returns:
        the manifest: identity, digest, the Parquet file's name, size and hash, and the media.
    """
    target = Path(settings.VERSIONS_DIR) / digest
    if (target / "manifest.json").exists():
        return json.loads((target / "manifest.json").read_bytes())
    partial = target.with_name(f".{digest}.{uuid.uuid4().hex}")
    partial.mkdir(parents=True)
    try:
        manifest = {
            **identity,
            "digest": digest,
            "files": [_write_rows(records, partial)],
            "media": sorted({sha for record in records for sha in _media_of(record)}),
        }
        write_atomically(partial / "manifest.json", canonical_json(manifest))
        # fails where another commit of the same content was quicker, whose folder serves as well
        with contextlib.suppress(OSError):
            os.rename(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return json.loads((target / "manifest.json").read_bytes())


def _media_of(record: PreferenceRecord) -> list[str]:
    answers = [record.chosen_media, record.rejected_media]
    return [*record.prompt_media, *filter(None, answers)]


def _write_rows(records: list[PreferenceRecord], folder: Path) -> dict[str, Any]:
    """One Parquet file named by its hash, on disk when this returns."""
    path = folder / "rows.parquet"
    write_parquet(records, path)
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
    sha256 = sha256_file(path)
    named = path.rename(folder / f"{sha256}.parquet")
    return {"name": named.name, "sha256": sha256, "size": named.stat().st_size}
