"""The files that an import names: those of the project by SHA-256, and those of an archive, which
are brought in, by name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import IO, Any, Protocol, cast

from annotation.formats.records import ImportedPrompt, ImportedRanking, ImportedRecord
from steelyard.assets.models import Asset
from steelyard.assets.services import store_upload
from steelyard.lib.errors import UserError
from steelyard.projects.models import Modality, Project


class Files(Protocol):
    """An archive: what records name in it."""

    def __contains__(self, name: str) -> bool: ...
    def open(self, name: str) -> AbstractContextManager[Any]: ...


_SHA256 = re.compile(r"[0-9a-f]{64}")
_KINDS = {Modality.IMAGE.value: "pictures", Modality.VIDEO.value: "videos"}


def find_files(
    *,
    project: Project,
    records: Sequence[ImportedRecord | ImportedPrompt | ImportedRanking],
    archive: Files | None,
) -> dict[str, Asset]:
    """Every file that the records name, by that name; those of the archive become assets.

    Raises:
        UserError: naming the record: there is no such file, it is no media, or an answer of the
            wrong kind for the project.
    """
    wanted: dict[str, tuple[str, str]] = {}
    for record in records:
        for key, name in record.files:
            if name:
                wanted.setdefault(name, (record.place, key))
    hashes = [name for name in wanted if _is_sha256(name)]
    known = Asset.objects.filter(project=project, sha256__in=hashes)
    found = {asset.sha256: asset for asset in known}
    for record in records:
        for name, data in getattr(record, "blobs", {}).items():
            if name in wanted and name not in found:
                place, key = wanted[name]
                found[name] = _stored(project, data, f"{place}, “{key}”")
    for name, (place, key) in wanted.items():
        if name not in found:
            found[name] = _brought_in(project, name, f"{place}, “{key}”", archive)
    return found


def check_sides(project: Project, record: ImportedRecord, files: dict[str, Asset]) -> None:
    """An answer is a text or a file, as the project has it.

    Raises:
        UserError: it is the other.
    """
    if project.modality == Modality.TEXT:
        if record.media_a:
            raise _wrong(
                record.place,
                f"{project.name} compares texts: leave “media_a” and “media_b” out and give “a” "
                "and “b”. What a prompt is about goes into “media”.",
                code="wrong_modality",
            )
        return
    kind = _KINDS[project.modality]
    if not record.media_a:
        raise _wrong(
            record.place,
            f"{project.name} compares {kind}: give “media_a” and “media_b”.",
            code="wrong_modality",
        )
    for key, name in (("media_a", record.media_a), ("media_b", record.media_b)):
        if files[name].kind != project.modality:
            raise _wrong(
                record.place,
                f"“{key}” is of kind {files[name].kind}; {project.name} compares {kind}.",
                code="wrong_modality",
            )


def check_answers(project: Project, record: ImportedRanking, files: dict[str, Asset]) -> None:
    """The same of a set to rank.

    Raises:
        UserError: an answer is a text where it should be a file, or the other way round.
    """
    right = "“text”" if project.modality == Modality.TEXT else "“media”"
    for answer in record.answers:
        kind = files[answer.media].kind if answer.media else Modality.TEXT.value
        if kind != project.modality:
            raise _wrong(
                record.place,
                f"an output is of kind {kind}; {project.name} is of modality {project.modality}: "
                f"give each output {right}.",
                code="wrong_modality",
            )


def _is_sha256(name: str) -> bool:
    return _SHA256.fullmatch(name) is not None


def _stored(project: Project, data: bytes, place: str) -> Asset:
    """A file that a row carries itself."""
    try:
        return store_upload(project=project, data=data)
    except UserError as error:
        raise _wrong(place, error.message, code=error.code) from None


def _brought_in(project: Project, name: str, place: str, archive: Files | None) -> Asset:
    if archive is not None and (name in archive or not _is_sha256(name)):
        if name not in archive:
            raise _wrong(place, f"the archive has no file “{name[:200]}”.", code="unknown_asset")
        with archive.open(name) as stream:
            try:
                return store_upload(project=project, data=cast(IO[bytes], stream))
            except UserError as error:
                raise _wrong(place, f"{name[:200]}: {error.message}", code=error.code) from None
    if _is_sha256(name):
        raise _wrong(
            place,
            f"this project has no file {name[:12]}…; upload it first, or send a .zip with the "
            "lines and the files.",
            code="unknown_asset",
        )
    raise _wrong(
        place,
        f"“{name[:200]}” must be the SHA-256 of a file of this project; to name files, send a .zip "
        "that holds the lines and the files.",
        code="unknown_asset",
    )


def _wrong(place: str, message: str, *, code: str = "bad_line") -> UserError:
    return UserError(f"{place}: {message}", code=code, field="file")
