"""What style is: of each text its length and Markdown, measured once and kept; of a picture or clip
what its file is known by. And how long a model's outputs are, and what they cost."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from django.db import transaction
from django.db.models import Aggregate, Avg, F, FloatField, Max, QuerySet, functions
from django.db.models.functions import Cast, Coalesce
from django.utils.translation import gettext_lazy

from annotation.models import Output, Pair
from evaluation.engine.contextual import relative, scaled
from evaluation.engine.style import markdown_amounts
from evaluation.kept import kept
from evaluation.models_board import OutputMeasure, OutputUsage
from evaluation.numbers import read_numbers
from steelyard.projects.models import Project
from steelyard.registry.models import ModelVersion

CONTROLS = {
    "text": ("length", "headers", "bold", "list_items"),
    "image": ("resolution", "file_size"),
    "video": ("resolution", "duration", "file_size"),
}
"""By modality, the covariates that style control holds equal."""
CONTROL_WORDS = {
    "length": gettext_lazy("length"),
    "headers": gettext_lazy("headers"),
    "bold": gettext_lazy("bold passages"),
    "list_items": gettext_lazy("list items"),
    "resolution": gettext_lazy("resolution"),
    "duration": gettext_lazy("duration"),
    "file_size": gettext_lazy("file size"),
}
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
    sides = amounts(project, pair)
    return names, scaled(np.column_stack([relative(*sides[name]) for name in names]))


def amounts(project: Project, pair: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """By covariate, how much of it each pair's outputs a and b have; measured texts alone.

    Args:
        pair: primary keys, in any order, one as often as wanted.
    """
    names = CONTROLS[project.modality]
    wanted = Pair.objects.filter(project=project).order_by("pk")
    both = [_amount(side, name) for name in names for side in ("output_a", "output_b")]
    kinds = {f"c{at}": "f8" for at in range(len(both))}
    found = read_numbers(wanted.values_list("pk", *both), pk="i8", **kinds)
    at = np.searchsorted(found["pk"], pair)
    return {
        name: (found[f"c{2 * k}"][at], found[f"c{2 * k + 1}"][at]) for k, name in enumerate(names)
    }


def _amount(side: str, name: str) -> Coalesce:
    """0 where a file's is not known."""
    product: Any = None
    for part in _FIELDS.get(name, (f"measure__{name}",)):
        factor = Cast(F(f"{side}__{part}"), FloatField())
        product = factor if product is None else product * factor
    return Coalesce(product, 0.0, output_field=FloatField())


@dataclass(frozen=True)
class Length:
    """How long a model's outputs are: characters of texts, seconds of clips."""

    mean: float
    median: float


class _Median(Aggregate):
    """The middle value; between two of them half way."""

    function = "percentile_cont"
    template = "%(function)s(0.5) within group (order by %(expressions)s)"
    output_field = FloatField()


def lengths_of(project: Project) -> dict[int, Length]:
    """By model; nothing of pictures."""
    if project.modality == "image":
        return {}
    outputs: QuerySet[Output] = Output.objects.filter(project=project)
    size: Any = functions.Length("text") if project.modality == "text" else F("asset__duration")

    def read() -> dict[int, Length]:
        rows = outputs.order_by().values("model").annotate(mean=Avg(size), median=_Median(size))
        return {
            model: Length(float(mean), float(median))
            for model, mean, median in rows.values_list("model", "mean", "median")
            if mean is not None
        }

    def newest(_project: Project) -> tuple[object, ...]:
        return (outputs.aggregate(newest=Max("pk"))["newest"],)

    return kept(project, ("lengths",), read, newest)


def costs_of(project: Project) -> dict[int, float]:
    """By model, what a thousand of its outputs cost: the mean of the tokens that its endpoint took
    for those of this project, by the prices that it has now. Nothing of models without prices."""
    usage = OutputUsage.objects.filter(output__project=project)

    def read() -> dict[int, tuple[float, float]]:
        rows = usage.order_by().values("output__model")
        rows = rows.annotate(asked=Avg("tokens_in"), answered=Avg("tokens_out"))
        columns = rows.values_list("output__model", "asked", "answered")
        return {model: (float(asked), float(answered)) for model, asked, answered in columns}

    def newest(_project: Project) -> tuple[object, ...]:
        return (usage.aggregate(newest=Max("pk"))["newest"],)

    tokens: dict[int, tuple[float, float]] = kept(project, ("tokens",), read, newest)
    found = {}
    for model in ModelVersion.objects.filter(pk__in=tokens):
        if model.prices is not None:
            took = zip(tokens[model.pk], model.prices, strict=True)
            found[model.pk] = 1000 * sum(number * price for number, price in took) / 1e6
    return found
