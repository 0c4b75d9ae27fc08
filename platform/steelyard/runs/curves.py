"""A run's numbers as curves that a page can draw, however many there are."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.db.models import F, Max, Min
from django.utils.translation import gettext_lazy

from steelyard.runs.models import MetricPoint, Run

MAX_POINTS = 1000
"""At most so many points of each curve go to a page."""

LOAD = gettext_lazy("Load, % of a core and of the GPU")
PANELS = (
    (gettext_lazy("Loss"), ("loss", "test_loss")),
    (gettext_lazy("Reward margin"), ("reward_margin", "test_reward_margin")),
    (gettext_lazy("Reward accuracy"), ("reward_accuracy", "test_reward_accuracy")),
    (gettext_lazy("Rewards, chosen and rejected"), ("reward_chosen", "reward_rejected")),
    (gettext_lazy("Log-probabilities, chosen and rejected"), ("logp_chosen", "logp_rejected")),
    (gettext_lazy("Squared errors, chosen and rejected"), ("error_chosen", "error_rejected")),
    (gettext_lazy("Errors less the reference’s"), ("rise_chosen", "rise_rejected")),
    (
        gettext_lazy("Errors less the reference’s, test pairs"),
        ("test_rise_chosen", "test_rise_rejected"),
    ),
    (
        gettext_lazy("Agreement with people on the validation pairs, by text"),
        ("validation_agreement", "best_validation_agreement"),
    ),
    (gettext_lazy("Learning rate"), ("learning_rate",)),
    (gettext_lazy("Gradient length"), ("grad_norm",)),
    (gettext_lazy("Memory, MiB"), ("resource_rss_mib", "resource_gpu_memory_mib")),
    (LOAD, ("resource_cpu_percent", "resource_gpu_percent")),
)
"""Which numbers share a chart; any other has one of its own."""

WORDS = {
    "validation_agreement": gettext_lazy("agreement of this text"),
    "best_validation_agreement": gettext_lazy("best agreement so far"),
}
"""What metrics are called whose names do not say it."""

Point = tuple[int, float | None]


class Panel(NamedTuple):
    title: str
    names: tuple[str, ...]


def curves(run: Run, *, after: int | None = None) -> dict[str, list[Point]]:
    """(step, value) by metric name, in order of steps; a value of None is a NaN.

    Args:
        after: only steps from this one on. The step itself is given again: numbers of the same
            step may have been written later than others.
    """
    points = MetricPoint.objects.filter(run=run)
    if after is not None:
        points = points.filter(step__gte=after)
    ends = points.aggregate(first=Min("step"), last=Max("step"))
    if ends["first"] is None:
        return {}
    steps = ends["last"] - ends["first"] + 1
    # two real points a bucket, its lowest and its highest, so that no spike is lost
    width = -(-steps // (MAX_POINTS // 2)) if steps > MAX_POINTS else 1
    rows: set[tuple[str, int, float | None, int]] = set()
    for order in ("value", "-value") if width > 1 else ("step",):
        found = points.annotate(bucket=(F("step") - ends["first"]) / width)
        found = found.order_by("name", "bucket", order).distinct("name", "bucket")
        rows.update(found.values_list("name", "step", "value", "bucket"))
    made: dict[str, list[Point]] = {}
    for name, step, value, _ in sorted(rows, key=lambda row: row[:2]):
        made.setdefault(name, []).append((step, value))
    return made


def panels(names: list[str]) -> list[Panel]:
    """Which charts these metrics need."""
    known = {name for _, group in PANELS for name in group}
    found = [
        Panel(str(_titled(title, names)), tuple(name for name in group if name in names))
        for title, group in PANELS
        if any(name in names for name in group)
    ]
    others = sorted(name for name in names if name not in known)
    own = [Panel(name.replace("_", " ").capitalize(), (name,)) for name in others]
    # what the machine does stands after what the model does
    machine = [panel for panel in found if panel.names[0].startswith("resource_")]
    return [panel for panel in found if panel not in machine] + own + machine


def _titled(title: Any, names: list[str]) -> Any:
    """Of a GPU nothing is said where there is none."""
    if title is LOAD and "resource_gpu_percent" not in names:
        return gettext_lazy("Load, % of a core")
    return title


def in_words(name: str) -> str:
    """What a metric is called in a legend."""
    return str(WORDS.get(name) or name.replace("_", " "))


def as_json(run: Run, *, after: int | None = None) -> dict[str, Any]:
    """What the page's script asks for again and again."""
    found = curves(run, after=after)
    return {
        "active": run.is_active,
        "curves": {
            name: {"steps": [p[0] for p in points], "values": [p[1] for p in points]}
            for name, points in found.items()
        },
        "panels": [panel._asdict() for panel in panels(list(found))],
        "words": {name: in_words(name) for name in found},
    }
