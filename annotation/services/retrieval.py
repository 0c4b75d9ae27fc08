"""Passages for outputs that are search queries: brought in with them, or searched for here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from django.utils.translation import gettext as _

from annotation.bm25 import Index
from annotation.models import Output, Prompt, Retrieved
from annotation.services.imported_rows import Row
from steelyard.lib.errors import UserError
from steelyard.projects.models import Modality, Project

KEEP = 10
"""How many passages are kept for a query that is searched for here."""
MOST_QUERIES = 20_000
_BATCH = 1000


def store_retrieved(
    rows: Iterable[Row],
    prompts: Mapping[str, Prompt],
    outputs: Mapping[tuple[int, str], Output],
) -> None:
    """What the rows say was found for their answers; an output that has passages keeps them."""
    new: dict[int, Retrieved] = {}
    for row in rows:
        record = row.record
        for side, passages in zip(row.sides, (record.passages_a, record.passages_b), strict=True):
            output = outputs[prompts[row.prompt].pk, side.key].pk
            if passages and output not in new:
                best = sorted(passages, key=lambda one: -one["score"])
                new[output] = Retrieved(output_id=output, passages=best)
    Retrieved.objects.bulk_create(new.values(), ignore_conflicts=True, batch_size=_BATCH)


def search_for(*, project: Project, passages: Sequence[str]) -> int:
    """Search a collection for every output that has no passages and whose prompt has a reference
    answer, and keep the best by BM25. Returns for how many some were found.

    Raises:
        UserError: there is no such output, or there are too many to search for at once.
    """
    if project.modality != Modality.TEXT:
        raise UserError(
            _("Passages are searched for texts; this project compares pictures or clips."),
            code="wrong_modality",
            field="kind",
        )
    rows = Output.objects.filter(project=project, retrieved=None).exclude(text="")
    rows = rows.exclude(prompt__reference_answer="").order_by("pk")
    queries = list(rows.values_list("pk", "text")[: MOST_QUERIES + 1])
    if not queries:
        raise UserError(
            _(
                "No output wants passages: bring in query rewrites whose questions have answers "
                "(reference_answer) first. Those that have passages keep them."
            ),
            code="nothing_to_search",
            field="kind",
        )
    if len(queries) > MOST_QUERIES:
        raise UserError(
            _("More than %(most)s outputs want passages; bring the passages in with them.")
            % {"most": f"{MOST_QUERIES:,}"},
            code="too_many",
            field="kind",
        )
    index = Index(passages)
    new = [
        Retrieved(
            output_id=pk,
            passages=[
                {"text": passages[place], "score": round(score, 6)} for place, score in found
            ],
        )
        for pk, query in queries
        if (found := index.best(query, KEEP))
    ]
    Retrieved.objects.bulk_create(new, ignore_conflicts=True, batch_size=_BATCH)
    return len(new)
