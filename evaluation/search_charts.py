"""What a search for pipelines looks like: win rate over questions, and the front scored again."""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from evaluation.services_pipelines import Found, Trial
from steelyard.web.plotting import Point, Row, Series


def trade_off(found: Found) -> list[Series]:
    """All trials, and those that none beats joined; nothing before there are two."""
    if len(found.trials) < 2:
        return []
    front = sorted(found.front, key=lambda one: one.calls)
    others = sorted((one for one in found.trials if not one.on_front), key=lambda one: one.calls)
    series = [Series(_("not beaten in both"), [_point(one) for one in front], 0, "joined")]
    if others:
        series.append(Series(_("other pipelines"), [_point(one) for one in others], 1))
    return series


def row_of(trial: Trial) -> Row:
    """A pipeline of the front on fresh prompts."""
    fresh = trial.fresh or {}
    return Row(
        _("pipeline %(number)s") % {"number": trial.number + 1},
        fresh.get("rate"),
        fresh.get("lo"),
        fresh.get("hi"),
        fresh.get("prompts"),
        note=ngettext(
            "%(calls)s question a prompt",
            "%(calls)s questions a prompt",
            1 if trial.calls == 1 else 2,  # of a fraction there are several
        )
        % {"calls": f"{trial.calls:g}"},
    )


def _point(trial: Trial) -> Point:
    name = _("pipeline %(number)s") % {"number": trial.number + 1}
    return Point(trial.calls, trial.rate, name=name)
