"""Files that somebody brings: which reader reads them, and what they become."""

from __future__ import annotations

import io
from typing import IO

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from annotation.formats import pairs_jsonl, prompts_jsonl, rankings_jsonl
from annotation.formats.archive import Archive, is_archive
from annotation.services.imported_rankings import import_rankings
from annotation.services.importing import Imported, import_held_out, import_records
from steelyard.accounts.models import User
from steelyard.lib.errors import UserError
from steelyard.projects.models import Project

KINDS = {
    "pairs": gettext_lazy("Pairs to label, with or without votes"),
    "rankings": gettext_lazy("Sets of answers to rank, with or without rankings"),
    "held_out": gettext_lazy("Held-out prompts, kept for evaluation"),
}
EXAMPLES = {
    "pairs": pairs_jsonl.EXAMPLE,
    "media": pairs_jsonl.MEDIA_EXAMPLE,
    "rankings": rankings_jsonl.EXAMPLE,
    "held_out": prompts_jsonl.EXAMPLE,
}
MAX_BYTES = 64 * 1024 * 1024
"""Of the lines; an archive with the media besides may be as large as any upload."""


def import_file(
    *, project: Project, kind: str, data: bytes | IO[bytes], by: User | None
) -> Imported:
    """Bring a JSON Lines file into a project, alone or in a ZIP archive with the media that it
    names; all of it or nothing.

    Args:
        kind: a key of :data:`KINDS`.
        data: the bytes, or a file that can be read from any place.

    Raises:
        UserError: naming the line that is wrong and what would be right.
    """
    if kind not in KINDS:
        raise UserError(
            _("kind is %(kind)s; it must be one of %(names)s.")
            % {"kind": f"{kind!r}", "names": ", ".join(KINDS)},
            field="kind",
        )
    stream = io.BytesIO(data) if isinstance(data, bytes) else data
    head = stream.read(4)
    stream.seek(0)
    archive = Archive(stream) if is_archive(head) else None
    lines = archive.lines() if archive else _lines(stream)
    if kind == "pairs":
        records = pairs_jsonl.read(lines)
        return import_records(project=project, records=records, by=by, archive=archive)
    if kind == "rankings":
        sets = rankings_jsonl.read(lines)
        return import_rankings(project=project, records=sets, by=by, archive=archive)
    prompts = list(prompts_jsonl.read(lines))
    new = import_held_out(project=project, prompts=prompts, archive=archive)
    return Imported(records=len(prompts), prompts=new, pairs=0, judgments=0)


def _lines(stream: IO[bytes]) -> bytes:
    data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise UserError(
            _("The file is larger than %(max_bytes)s MiB; bring it in in parts.")
            % {"max_bytes": MAX_BYTES // 2**20},
            code="too_large",
            field="file",
        )
    return data
