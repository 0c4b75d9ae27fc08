"""The ways into the registry: committing a version, registering and adding a model."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa
from django.conf import settings
from django.db import transaction
from django.db.models import Max
from django.utils.text import slugify
from django.utils.translation import gettext as _

from steelyard.accounts.models import User
from steelyard.lib.errors import UserError
from steelyard.lib.hashing import canonical_json, digest_of
from steelyard.lib.records import LINES_VERSION
from steelyard.lib.rundir import write_atomically
from steelyard.lib.shards import ShardWriter
from steelyard.projects.models import Modality, Project
from steelyard.projects.policy import ADMINS, role_in
from steelyard.registry.models import Dataset, DatasetVersion, ModelFamily, ModelVersion
from steelyard.registry.pipelines import is_on_hub
from steelyard.registry.sources import SEEING, check_source, find_family, is_folder
from steelyard.runs.models import Run
from steelyard.web.sealing import opened, sealed
from steelyard.webhooks.services import emit

NAME_LIMIT = 200

PRICES = ("price_in", "price_out")
LARGEST_PRICE = 10**6


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
        "options": _with_sealed_key(options or {}),
        "base": base,
        "trained_on": trained_on,
        "digest": digest,
    }
    model, created = ModelVersion.objects.get_or_create(
        project=project, name=name, defaults={**values, "made_by": made_by, "created_by": by}
    )
    if not created and any(
        _plain(getattr(model, field)) != _plain(value) for field, value in values.items()
    ):
        raise UserError(
            _("This project has another model called “%(name)s”; choose another name.")
            % {"name": name},
            code="model_name_taken",
            status=409,
            field="name",
        )
    return model


def add_model(
    *,
    project: Project,
    name: str,
    source: str,
    family: str = "",
    endpoint_model: str = "",
    api_key: str = "",
    price_in: float | None = None,
    price_out: float | None = None,
    by: User | None,
) -> ModelVersion:
    """Register a model that somebody names by hand: a folder, a hub name or an endpoint.

    Args:
        source: local path or hub name; for an endpoint its base URL.
        family: where it is not said, the files of an image or video model say it.
        endpoint_model: what the endpoint calls the model.
        api_key: the endpoint's key; no page, no API answer and no run.json ever shows it.
        price_in, price_out: what an endpoint's million tokens asked and answered cost.

    A folder is a place on the server's disk, so only the project's admins may name one; a hub name
    or an endpoint anybody of its staff.

    Raises:
        UserError: the source is none that this family can load, naming what is missing.
    """
    if is_folder(source.strip()) and by is not None and role_in(by, project) not in ADMINS:
        raise UserError(
            _(
                "Only an admin of the project may name a folder on the server. Ask one, or give "
                "a hub name."
            ),
            code="admins_only",
            status=403,
            field="source",
        )
    family = family or find_family(source.strip())
    source = check_source(
        modality=project.modality, family=family, source=source.strip(), model=endpoint_model
    )
    options: dict[str, Any] = {}
    if family != ModelFamily.ENDPOINT and not is_folder(source):
        found = is_on_hub(source)
        if found is False:
            raise UserError(
                _("The hub has no model “%(source)s”. Check how it is spelt.") % {"source": source},
                code="no_such_model",
                field="source",
            )
        if found is None:
            options["hub"] = "not asked"
    if endpoint_model:
        options["model"] = endpoint_model
    if api_key:
        options["api_key"] = api_key
    options |= _prices(family, name, price_in, price_out)
    return register_model(
        project=project,
        name=name,
        modality=Modality.TEXT if family in SEEING else project.modality,
        family=family,
        source=source,
        options=options,
        by=by,
    )


def _with_sealed_key(options: dict[str, Any]) -> dict[str, Any]:
    key = options.get("api_key")
    return {**options, "api_key": sealed(key)} if key else options


def _plain(value: Any) -> Any:
    """Options with their key as it is, for one secret sealed twice looks different."""
    if isinstance(value, dict) and value.get("api_key"):
        return {**value, "api_key": opened(value["api_key"])}
    return value


@transaction.atomic
def set_api_key(*, model: ModelVersion, api_key: str) -> None:
    """Replace an endpoint's key; an empty one takes it away. The model stays what it is."""
    if model.family != "endpoint":
        raise UserError(
            _("%(model)s is no endpoint and needs no key.") % {"model": model.name}, field="api_key"
        )
    locked = ModelVersion.objects.select_for_update().get(pk=model.pk)
    options = {key: value for key, value in locked.options.items() if key != "api_key"}
    if api_key:
        options["api_key"] = sealed(api_key)
    ModelVersion.objects.filter(pk=model.pk).update(options=options)


@transaction.atomic
def set_prices(*, model: ModelVersion, price_in: float | None, price_out: float | None) -> None:
    """What an endpoint's million tokens asked and answered cost; None where it is not known."""
    prices = _prices(model.family, model.name, price_in, price_out)
    locked = ModelVersion.objects.select_for_update().get(pk=model.pk)
    rest = {key: value for key, value in locked.options.items() if key not in PRICES}
    ModelVersion.objects.filter(pk=model.pk).update(options={**rest, **prices})


def _prices(
    family: str, name: str, price_in: float | None, price_out: float | None
) -> dict[str, float]:
    """Those that are said."""
    said = {"price_in": price_in, "price_out": price_out}
    found = {key: value for key, value in said.items() if value is not None}
    for key, value in found.items():
        if family != ModelFamily.ENDPOINT:
            raise UserError(
                _("%(model)s is no endpoint, whose tokens alone have a price.") % {"model": name},
                field=key,
            )
        if not 0 <= value <= LARGEST_PRICE:
            raise UserError(_("A price is 0 to a million."), field=key)
    return found


def check_new_name(*, project: Project, name: str) -> str:
    """The name as it is to be kept.

    Raises:
        UserError: it is none, or the project has a model of that name.
    """
    name = _checked_name(name)
    if ModelVersion.objects.filter(project=project, name=name).exists():
        raise UserError(
            _("This project has a model called “%(name)s” already; choose another name.")
            % {"name": name},
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
        raise UserError(_("A model needs a name of one line."), field="name")
    if len(name) > NAME_LIMIT:
        raise UserError(
            _("A model's name has at most %(name_limit)s characters.") % {"name_limit": NAME_LIMIT},
            field="name",
        )
    return name


@dataclass(frozen=True)
class Frozen:
    """Rows that are written whole, ready to become a version."""

    folder: Path
    """On the disk of the versions; it becomes the version's own."""
    files: list[dict[str, Any]]
    """Name, sha256, size and rows of each, in the order of the rows."""
    rows_sha256: str
    """Over the records' canonical lines."""
    media: list[str]
    facts: dict[str, Any] = field(default_factory=dict)
    """What the manifest says beside what makes the version's identity."""


def commit_version(
    *,
    project: Project,
    dataset_name: str,
    rows: Iterable[pa.Table],
    recipe: dict[str, Any],
    counts: dict[str, int],
    facts: dict[str, Any] | None = None,
    note: str = "",
    by: User | None = None,
) -> DatasetVersion:
    """Freeze rows as the next version of a dataset. They are taken a group at a time, so there may
    be any number.

    Args:
        rows: what a :class:`ShardWriter` takes, sorted by their pair key.
        counts: rows by split and what was left out by reason.
        facts: what the manifest says besides, such as ``position``.

    Raises:
        UserError: there are no rows, or the dataset has this very version already.
    """
    with partial_folder() as folder:
        writer = ShardWriter(folder)
        try:
            for _count in writer.add_all(rows):
                pass
            writer.close()
        finally:
            writer.abandon()
        frozen = Frozen(folder, writer.files, writer.rows_sha256, sorted(writer.media), facts or {})
        return commit_frozen(
            project=project,
            dataset_name=dataset_name,
            frozen=frozen,
            recipe=recipe,
            counts=counts,
            note=note,
            by=by,
        )


@contextmanager
def partial_folder() -> Iterator[Path]:
    """A folder beside the versions that is gone afterwards, unless it has become one of them."""
    folder = Path(settings.VERSIONS_DIR) / f".{uuid.uuid4().hex}.partial"
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@transaction.atomic
def commit_frozen(
    *,
    project: Project,
    dataset_name: str,
    frozen: Frozen,
    recipe: dict[str, Any],
    counts: dict[str, int],
    note: str = "",
    by: User | None = None,
) -> DatasetVersion:
    """Make written rows the next version of a dataset.

    The digest covers schema, recipe, counts and the records' canonical JSON: nothing in it depends
    on this machine, on time, on the order of insertion or on how the rows lie in files.

    Raises:
        UserError: there are no rows, or the dataset has this very version already.
    """
    if not frozen.files:
        raise UserError(_("A version needs at least one row."), code="empty_version")
    # the lock makes numbers of one dataset follow one another; labelling needs a key's share of
    # the row for each judgment, and goes on
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    dataset = _dataset(project, dataset_name)
    identity = {
        "schema": LINES_VERSION,
        "recipe": recipe,
        "counts": counts,
        "rows_sha256": frozen.rows_sha256,
    }
    digest = digest_of(identity)
    if same := dataset.versions.filter(digest=digest).first():
        raise UserError(
            _(
                "This equals %(version)s: the same votes and recipe make the same version. "
                "Collect more votes or change the recipe."
            )
            % {"version": same},
            code="version_exists",
            status=409,
        )
    last = dataset.versions.aggregate(last=Max("number"))["last"] or 0
    version = DatasetVersion.objects.create(
        project=project,
        dataset=dataset,
        number=last + 1,
        digest=digest,
        parent=dataset.versions.filter(number=last).first(),
        recipe=recipe,
        manifest=_store(digest, identity, frozen),
        note=note[:300],
        created_by=by,
    )
    told = {"version": version.pk, "dataset": dataset.slug, "number": version.number}
    emit(project=project, event="version.published", **told, digest=digest)
    return version


def _dataset(project: Project, name: str) -> Dataset:
    name = check_dataset_name(name)
    # letters outside ASCII stay in the name; the slug falls back to a part of the name's hash
    slug = slugify(name)[:80] or f"dataset-{digest_of(name)[:8]}"
    dataset, _ = Dataset.objects.get_or_create(project=project, slug=slug, defaults={"name": name})
    return dataset


def check_dataset_name(name: str) -> str:
    """The name as it is to be kept.

    Raises:
        UserError: it is none.
    """
    name = " ".join(name.split())
    if not name or len(name) > NAME_LIMIT:
        raise UserError(
            _("A dataset needs a name of at most %(n)s characters.") % {"n": NAME_LIMIT},
            field="dataset_name",
        )
    return name


def _store(digest: str, identity: dict[str, Any], frozen: Frozen) -> dict[str, Any]:
    """Write the manifest, and give the folder its name.

    The folder appears whole or not at all; one that is there already holds the same content and is
    left as it is.

    Returns:
        the manifest: identity, digest, the files and the media.
    """
    target = Path(settings.VERSIONS_DIR) / digest
    if not (target / "manifest.json").exists():
        manifest = {
            **frozen.facts,
            **identity,
            "digest": digest,
            "files": frozen.files,
            "media": frozen.media,
        }
        write_atomically(frozen.folder / "manifest.json", canonical_json(manifest))
        # fails where another commit of the same content was quicker, whose folder serves as well
        with contextlib.suppress(OSError):
            os.rename(frozen.folder, target)
    return json.loads((target / "manifest.json").read_bytes())
