"""Files that somebody brings: which reader reads them, and what they become."""

from __future__ import annotations

from annotation.formats import pairs_jsonl, prompts_jsonl
from annotation.services.importing import Imported, import_held_out, import_records
from steelyard.accounts.models import User
from steelyard.lib.errors import UserError
from steelyard.projects.models import Project

KINDS = {
    "pairs": "Pairs to label, with or without votes",
    "held_out": "Held-out prompts, kept for evaluation",
}
EXAMPLES = {"pairs": pairs_jsonl.EXAMPLE, "held_out": prompts_jsonl.EXAMPLE}
MAX_BYTES = 64 * 1024 * 1024


def import_file(*, project: Project, kind: str, data: bytes, by: User | None) -> Imported:
    """Bring a JSON Lines file into a project, all of it or nothing.

    Args:
        kind: a key of :data:`KINDS`.

    Raises:
        UserError: naming the line that is wrong and what would be right.
    """
    if kind not in KINDS:
        raise UserError(f"kind is {kind!r}; it must be one of {', '.join(KINDS)}.", field="kind")
    if len(data) > MAX_BYTES:
        raise UserError(
            f"The file is larger than {MAX_BYTES // 2**20} MiB; bring it in in parts.",
            code="too_large",
            field="file",
        )
    if kind == "pairs":
        return import_records(project=project, records=pairs_jsonl.read(data), by=by)
    prompts = list(prompts_jsonl.read(data))
    new = import_held_out(project=project, prompts=prompts)
    return Imported(records=len(prompts), prompts=new, pairs=0, judgments=0)
