"""The way into the store of files: each once, known by what is in it."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from django.db import transaction

from steelyard.assets import images, videos
from steelyard.assets.blobs import blob_path, put_in_place, work_place
from steelyard.assets.models import Asset
from steelyard.assets.probing import Facts, is_small_picture, refuse, sniff
from steelyard.assets.tasks import make_renditions
from steelyard.lib.hashing import sha256_file
from steelyard.projects.models import Project

MAX_IMAGE_BYTES = 64 * 1024 * 1024
MAX_VIDEO_BYTES = 512 * 1024 * 1024
_CHUNK = 1 << 20


def store_upload(*, project: Project, data: Path | bytes | IO[bytes]) -> Asset:
    """Keep a picture or a video, and the project's row for it; the same file twice is one row.

    The file is told by its bytes and kept without metadata (see :mod:`steelyard.assets.images`),
    so the asset's SHA-256 is that of the kept file and may differ from the given one. The bytes
    are on disk, whole, before the row is written. Copies for looking at are made in the background.

    Args:
        data: a path, the bytes, or anything with ``read``.

    Raises:
        UserError: it is neither, is damaged, too large, or nothing that a browser shows; the
            message says what it is and what would be right.
    """
    with work_place("given", "kept") as (given, kept):
        form = _receive(data, given)
        facts = _clean(form, given, kept)
        sha256 = sha256_file(kept)
        size = kept.stat().st_size
        put_in_place(kept, blob_path(sha256))
    small = is_small_picture(facts.kind, facts.width, facts.height)
    state = Asset.Renditions.READY if small else Asset.Renditions.PENDING
    asset, created = Asset.objects.get_or_create(
        project=project,
        sha256=sha256,
        defaults={"size": size, "renditions_state": state, **asdict(facts)},
    )
    if created and asset.renditions_state == Asset.Renditions.PENDING:
        # without a broker they only come later: beat asks as well
        transaction.on_commit(make_renditions.delay, robust=True)
    return asset


def share_assets(*, files: Sequence[str], of: Sequence[Project], to: Project) -> None:
    """Let a project show files that others have; the bytes lie there once all the same. Call it in
    a transaction.

    Args:
        files: SHA-256 of each; what the project has, and what none of the others has, is passed
            over.
    """
    has = set(Asset.objects.filter(project=to, sha256__in=files).values_list("sha256", flat=True))
    rows = Asset.objects.filter(project__in=of, sha256__in=set(files) - has).order_by("pk")
    lent = {row.sha256: row for row in rows}
    for row in lent.values():
        row.pk, row.project, row.renditions_tries = None, to, 0
        row._state.adding = True
        if not row.is_small:
            # copied in the background from whichever project has them
            row.renditions_state = Asset.Renditions.PENDING
    Asset.objects.bulk_create(lent.values(), ignore_conflicts=True)
    if lent:
        transaction.on_commit(make_renditions.delay, robust=True)


def _receive(data: Path | bytes | IO[bytes], target: Path) -> str:
    """Copy what was given, no more of it than its form may have; returns the form as sniffed."""
    with _reading(data) as source, target.open("wb") as out:
        chunk = source.read(_CHUNK)
        form = sniff(chunk[:64])
        size = 0
        while chunk:
            size += len(chunk)
            check_bytes(form, size)
            out.write(chunk)
            chunk = source.read(_CHUNK)
    return form


def check_bytes(form: str, size: int) -> None:
    """
    Raises:
        UserError: a file of that form, as sniffed, is not taken in that size.
    """
    limit = MAX_VIDEO_BYTES if form in {"mp4", "matroska"} else MAX_IMAGE_BYTES
    if size > limit:
        refuse(
            f"This file is larger than {limit // 2**20} MiB, the most for a file of its kind. "
            "Compress it or cut it shorter.",
            code="too_large",
        )


@contextmanager
def _reading(data: Path | bytes | IO[bytes]) -> Iterator[Any]:
    if isinstance(data, Path):
        with data.open("rb") as stream:
            yield stream
    elif isinstance(data, bytes):
        yield io.BytesIO(data)
    else:
        yield data


def _clean(form: str, given: Path, kept: Path) -> Facts:
    if form in {"mp4", "matroska"}:
        mime = videos.clean(given, kept)
        return videos.probe(kept, mime)
    cleaned = images.clean(given.read_bytes(), form)
    facts = images.probe(cleaned)
    kept.write_bytes(cleaned)
    return facts
