"""Files that somebody brings: which reader reads them, and what they become."""

from __future__ import annotations

import io
from typing import IO, Protocol

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from annotation.formats import pairs_jsonl, passages_jsonl, prompts_jsonl, rankings_jsonl
from annotation.formats.packed import Packed, is_packed, open_packed
from annotation.services.imported_rankings import import_rankings
from annotation.services.importing import Imported, import_held_out, import_records
from annotation.services.retrieval import search_for
from steelyard.accounts.models import User
from steelyard.lib.errors import UserError
from steelyard.projects.models import Project


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


KINDS = {
    "pairs": gettext_lazy("Pairs to label, with or without votes"),
    "rankings": gettext_lazy("Sets of answers to rank, with or without rankings"),
    "held_out": gettext_lazy("Held-out prompts, kept for evaluation"),
    "passages": gettext_lazy("Passages to search for outputs that are queries"),
}
EXAMPLES = {
    "pairs": pairs_jsonl.EXAMPLE,
    "media": pairs_jsonl.MEDIA_EXAMPLE,
    "rankings": rankings_jsonl.EXAMPLE,
    "held_out": prompts_jsonl.EXAMPLE,
    "passages": passages_jsonl.EXAMPLE,
}
MAX_BYTES = 64 * 1024 * 1024
"""Of the lines; an archive with the media besides may be as large as any upload."""


def import_file(
    *, project: Project, kind: str, data: bytes | IO[bytes], by: User | None
) -> Imported:
    """Bring a JSON Lines file into a project, alone or in an archive with the media that it names;
    all of it or nothing.

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
    head = stream.read(512)
    stream.seek(0)
    if not is_packed(stream, head):
        return _bring_in(project, kind, _read(stream), None, by)
    with open_packed(stream) as archive, archive.open(_lines_in(archive)) as lines:
        return _bring_in(project, kind, _read(lines), archive, by)


def _bring_in(
    project: Project, kind: str, lines: bytes, archive: Packed | None, by: User | None
) -> Imported:
    if kind == "pairs":
        records = pairs_jsonl.read(lines)
        return import_records(project=project, records=records, by=by, archive=archive)
    if kind == "rankings":
        sets = rankings_jsonl.read(lines)
        return import_rankings(project=project, records=sets, by=by, archive=archive)
    if kind == "passages":
        passages = passages_jsonl.read(lines)
        found = search_for(project=project, passages=passages)
        return Imported(len(passages), prompts=0, pairs=0, judgments=0, searched=found)
    prompts = list(prompts_jsonl.read(lines))
    new = import_held_out(project=project, prompts=prompts, archive=archive)
    return Imported(records=len(prompts), prompts=new, pairs=0, judgments=0)


def _lines_in(archive: Packed) -> str:
    """The name of the one file of lines in it."""
    found = [name for name in archive.names if name.lower().endswith((".jsonl", ".ndjson"))]
    if len(found) != 1:
        said = f"has {len(found)}: {', '.join(sorted(found)[:3])}" if found else "has none"
        raise UserError(
            f"The archive must hold one file of lines (.jsonl); it {said}.",
            code="bad_archive",
            field="file",
        )
    return found[0]


def _read(stream: Readable) -> bytes:
    data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise UserError(
            _("The file is larger than %(max_bytes)s MiB; bring it in in parts.")
            % {"max_bytes": MAX_BYTES // 2**20},
            code="too_large",
            field="file",
        )
    return data
