"""Best of n from the scores that a project holds: what choosing by one scorer does to another's."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from django import forms
from django.utils.translation import gettext_lazy as _

from annotation.models import Annotator, Judgment
from evaluation.engine import best_of_n
from steelyard.projects.models import Project
from steelyard.registry.models import ModelVersion
from steelyard.registry.querysets import ModelVersionQuerySet
from steelyard.web.plotting import Point, Series

LEAST = 2
"""Prompts, and samples of each, below which there is nothing to choose."""


def scorers_of(project: Project) -> list[Annotator]:
    """Those whose scores of single outputs are kept."""
    scored = Judgment.objects.current().filter(project=project, details__has_key="scores")
    pks = scored.by_judges().order_by().values("annotator")
    return list(Annotator.objects.filter(pk__in=pks).order_by("name"))


def scores_by(scorer: Annotator) -> dict[int, float]:
    """The scorer's score of each output, by the dimension that decides; the greater the better."""
    rows = Judgment.objects.current().filter(annotator=scorer, details__has_key="scores")
    columns = ("pair__output_a_id", "pair__output_b_id", "details")
    found: dict[int, float] = {}
    sign = 0.0
    for a, b, details in rows.order_by("pk").values_list(*columns):
        dimension = details.get("dimension", "")
        scores = details["scores"]
        if not all(dimension in (scores.get(side) or {}) for side in "ab"):
            continue
        found[a], found[b] = scores["a"][dimension], scores["b"][dimension]
        sign += float(np.sign((details.get("difference") or 0.0) * (found[a] - found[b])))
    return {pk: -score for pk, score in found.items()} if sign < 0 else found


@dataclass(frozen=True)
class Choosing:
    model: ModelVersion
    proxy: Annotator
    gold: Annotator
    curve: best_of_n.Curve
    guide: best_of_n.Guide | None
    samples: int
    """Of each prompt."""
    left_out: int
    """Prompts with fewer of them."""

    @property
    def proxy_series(self) -> list[Series]:
        points = [
            Point(float(np.sqrt(p.kl)), p.proxy, p.proxy_lo, p.proxy_hi, p.n, f"n = {p.n}")
            for p in self.curve.points
        ]
        return [Series(self.proxy.name, points, 1, "joined")]

    @property
    def gold_series(self) -> list[Series]:
        points = [
            Point(float(np.sqrt(p.kl)), p.gold, p.gold_lo, p.gold_hi, p.n, f"n = {p.n}")
            for p in self.curve.points
        ]
        series = [Series(self.gold.name, points, 0, "joined")]
        if self.guide is not None:
            g, ends = self.guide, [point.x for point in points]
            line = [
                Point(d, g.start + d * (g.alpha - g.beta * d))
                for d in np.linspace(ends[0], ends[-1], 40).tolist()
            ]
            series.append(Series(str(_("guide")), line, 5, "dashed"))
        return series


def choosing(model: ModelVersion, proxy: Annotator, gold: Annotator) -> Choosing | None:
    """None where fewer than two prompts have two outputs of the model that both have scored."""
    by_proxy, by_gold = scores_by(proxy), scores_by(gold)
    both = by_proxy.keys() & by_gold.keys()
    samples: dict[int, list[int]] = defaultdict(list)
    outputs = model.outputs.filter(pk__in=both).order_by("pk").values_list("prompt_id", "pk")
    for prompt, output in outputs:
        samples[prompt].append(output)
    number = _samples([len(own) for own in samples.values()])
    rows = [own for own in samples.values() if len(own) >= number]
    if number < LEAST or len(rows) < LEAST:
        return None
    curve = best_of_n.curve(
        [np.array([by_proxy[pk] for pk in own]) for own in rows],
        [np.array([by_gold[pk] for pk in own]) for own in rows],
    )
    return Choosing(
        model, proxy, gold, curve, best_of_n.guide(curve.points), number, len(samples) - len(rows)
    )


def _samples(counts: list[int]) -> int:
    """The most samples that at least half of the prompts with two or more have."""
    several = sorted((n for n in counts if n >= LEAST), reverse=True)
    return several[(len(several) - 1) // 2] if several else 0


class ChoosingFilter(forms.Form):
    """Which model, and by whom; the first of each where nothing is said."""

    model = forms.ModelChoiceField(ModelVersion.objects.none(), required=False, label=_("Model"))
    proxy = forms.ModelChoiceField(
        Annotator.objects.none(), required=False, label=_("Chosen by (proxy)")
    )
    gold = forms.ModelChoiceField(
        Annotator.objects.none(), required=False, label=_("Looked at by (gold)")
    )

    def __init__(self, said: Mapping[str, str], *, project: Project) -> None:
        scorers = scorers_of(project)
        models = sampled(project)
        usual = {
            "model": models.first(),
            "proxy": scorers[0] if scorers else None,
            "gold": scorers[1] if len(scorers) > 1 else None,
        }
        chosen = Annotator.objects.filter(pk__in=[one.pk for one in scorers]).order_by("name")
        rows = {"model": models, "proxy": chosen, "gold": chosen}
        data = {}
        for name, default in usual.items():
            known = [str(one.pk) for one in rows[name]]
            data[name] = said[name] if said.get(name) in known else default and str(default.pk)
        super().__init__(data, auto_id="filter-%s")
        for name, queryset in rows.items():
            field: Any = self.fields[name]
            field.queryset, field.empty_label = queryset, None
        self.full_clean()
        found = self.cleaned_data
        self.chosen = found.get("model"), found.get("proxy"), found.get("gold")


def sampled(project: Project) -> ModelVersionQuerySet:
    """Models with several outputs to one prompt that have been scored."""
    scored = Judgment.objects.current().filter(project=project, details__has_key="scores")
    counts: Counter[tuple[int, int]] = Counter()
    seen: set[int] = set()
    for side in "ab":
        columns = (f"pair__output_{side}_id", f"pair__output_{side}__model_id", "pair__prompt_id")
        for output, model, prompt in scored.order_by().values_list(*columns):
            if output not in seen:
                seen.add(output)
                counts[model, prompt] += 1
    models = {model for (model, _), n in counts.items() if n >= LEAST}
    return ModelVersion.objects.filter(pk__in=models).order_by("name")
