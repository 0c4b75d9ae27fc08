"""What style is: of each text its length and Markdown, measured once and kept; of a picture or clip
what its file is known by."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from django.db import transaction
from django.db.models import Avg, F, FloatField, Max, QuerySet
from django.db.models.functions import Cast, Coalesce, Length

from annotation.models import Output, Pair
from evaluation.engine.contextual import relative, scaled
from evaluation.engine.style import markdown_amounts
from evaluation.kept import kept
from evaluation.models_board import OutputMeasure
from evaluation.numbers import read_numbers
from steelyard.projects.models import Project

CONTROLS = {
    "text": ("length", "headers", "bold", "list_items"),
    "image": ("resolution", "file_size"),
    "video": ("resolution", "duration", "file_size"),
}
"""By modality, the covariates that style control holds equal."""
AT_ONCE = 20_000
"""Texts that are measured while a page waits, in a second or so; more are measured by a worker."""
_BATCH = 2000
_FIELDS = {
    "resolution": ("asset__width", "asset__height"),
    "duration": ("asset__duration",),
    "file_size": ("asset__size",),
}


class NotMeasured(Exception):
    """So many outputs have not been measured yet; a worker is at it."""

    def __init__(self, left: int) -> None:
        super().__init__(f"{left} outputs are not measured yet")
        self.left = left


def measure(project: Project, most: int | None = None) -> int:
    """Measure outputs that are not yet; returns how many are left.

    Args:
        most: no more than so many.
    """
    waiting = Output.objects.filter(project=project, measure=None, asset=None).order_by("pk")
    done = 0
    while most is None or done < most:
        rows = list(waiting.values_list("pk", "text")[:_BATCH])
        if not rows:
            return 0
        measured = [OutputMeasure(output_id=pk, **markdown_amounts(text)) for pk, text in rows]
        OutputMeasure.objects.bulk_create(measured, ignore_conflicts=True)
        done += len(rows)
    return waiting.count()


def covariates(project: Project, pair: np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
    """What each pair's outputs differ in, for the engine's style control.

    Args:
        pair: primary keys, one a vote.

    Returns:
        the covariates' names, and ``(a − b)/(a + b)`` of each over its root mean square, shape
        (votes, covariates).

    Raises:
        NotMeasured: there are more texts to measure than a page can wait for.
    """
    names = CONTROLS[project.modality]
    if project.modality == "text" and (left := measure(project, AT_ONCE)):
        from evaluation.tasks import measure_outputs

        transaction.on_commit(partial(measure_outputs.delay, project.pk), robust=True)
        raise NotMeasured(left)
    pairs = Pair.objects.filter(project=project)
    amounts = [_amount(side, name) for name in names for side in ("output_a", "output_b")]
    kinds = {f"c{at}": "f8" for at in range(len(amounts))}
    found = read_numbers(pairs.order_by("pk").values_list("pk", *amounts), pk="i8", **kinds)
    at = np.searchsorted(found["pk"], pair)
    columns = [
        relative(found[f"c{2 * k}"][at], found[f"c{2 * k + 1}"][at]) for k in range(len(names))
    ]
    return names, scaled(np.column_stack(columns))


def _amount(side: str, name: str) -> Coalesce:
    """0 where a file's is not known."""
    product: Any = None
    for part in _FIELDS.get(name, (f"measure__{name}",)):
        factor = Cast(F(f"{side}__{part}"), FloatField())
        product = factor if product is None else product * factor
    return Coalesce(product, 0.0, output_field=FloatField())


def mean_lengths(project: Project) -> dict[int, float]:
    """By model, how long its outputs are: characters of texts, seconds of clips; nothing of
    pictures."""
    if project.modality == "image":
        return {}
    outputs: QuerySet[Output] = Output.objects.filter(project=project)
    how = Avg(Length("text")) if project.modality == "text" else Avg("asset__duration")

    def read() -> dict[int, float]:
        rows = outputs.order_by().values("model").annotate(mean=how).values_list("model", "mean")
        return {model: float(mean) for model, mean in rows if mean is not None}

    def newest(_project: Project) -> tuple[object, ...]:
        return (outputs.aggregate(newest=Max("pk"))["newest"],)

    return kept(project, ("lengths",), read, newest)
