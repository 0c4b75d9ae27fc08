"""Searching for pipelines: what a search may be about, starting it, and what it has come to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from annotation.models import Annotator, Prompt
from evaluation.engine.pipelines.space import front
from evaluation.prompts import chosen_prompts, trained_on
from evaluation.titles import TITLES
from steelyard.accounts.models import User
from steelyard.inference.pipelines.config import read_config
from steelyard.lib.errors import UserError
from steelyard.lib.hashing import stable_uniform
from steelyard.lib.said import Said
from steelyard.projects.models import Project
from steelyard.registry.layered import MEMBERS, Shown, add_pipeline, in_words
from steelyard.registry.models import ModelFamily, ModelVersion
from steelyard.runs.models import Run
from steelyard.runs.services import start_run

KIND = "pipeline_search"
FEWEST = 4
"""Prompts of a part below which nothing is searched for."""
MOST_PROMPTS = 200
"""Of a part."""
MOST_TRIALS = 200
MOST_BUDGET = 200_000
MOST_CALLS = 100
MOST_SEED = 2**31 - 1
MOST_MODELS = 8
TRIALS, CALLS, PROMPTS = 24, 16, 40


@dataclass(frozen=True)
class Trial:
    """A pipeline that was tried, as a page shows it."""

    number: int
    layers: list[list[dict[str, Any]]]
    shown: list[Shown]
    rate: float
    calls: float
    unread: int
    on_front: bool
    fresh: dict[str, Any] | None
    """rate, lo, hi and prompts on fresh prompts, where it was scored again."""
    model: ModelVersion | None
    """Where it was made a model."""


@dataclass(frozen=True)
class Found:
    run: Run
    judge: Annotator | None
    baseline: ModelVersion | None
    trials: list[Trial]
    prompts: dict[str, int]
    """Of each part."""
    result: dict[str, Any] | None

    @property
    def front(self) -> list[Trial]:
        """Those that no other beats in win rate and questions, the best first."""
        return sorted((one for one in self.trials if one.on_front), key=lambda one: -one.rate)


def parts_of(prompts: Sequence[Prompt], most: int = MOST_PROMPTS) -> dict[str, list[str]]:
    """Prompts to search by and prompts to score the best again with, each at most so many. A
    prompt's part depends on its content alone, so that no search sees what another was scored
    by."""
    parts: dict[str, list[str]] = {"search": [], "fresh": []}
    drawn = {one.key: stable_uniform("pipeline_search", one.key) for one in prompts}
    for one in sorted(prompts, key=lambda one: drawn[one.key]):
        part = parts["search" if drawn[one.key] < 0.5 else "fresh"]
        if len(part) < most:
            part.append(one.key)
    return parts


@transaction.atomic
def start_search(
    *,
    project: Project,
    generators: Sequence[ModelVersion],
    helpers: Sequence[ModelVersion] = (),
    baseline: ModelVersion,
    judge: Annotator,
    prompt_set: dict[str, Any] | None = None,
    prompts: int = PROMPTS,
    trials: int = TRIALS,
    budget: int | None = None,
    max_calls: int = CALLS,
    seed: int = 0,
    by: User,
) -> Run:
    """Start a run that looks for pipelines which the judge prefers to the baseline's answers, with
    few questions a prompt; those that none beats are scored again on fresh prompts.

    Args:
        helpers: who may rank, criticise, fuse and test; those that generate where none is named.
        prompts: of each part, at most.
        budget: questions to members in the search, all trials together; where nothing is said half
            of what they would take if each were as dear as may be.
        max_calls: questions of a pipeline to one prompt.

    Raises:
        UserError: a model, the judge, a number or the prompts are not fit for it.
    """
    generators = list(dict.fromkeys(generators))
    helpers = list(dict.fromkeys(helpers)) or generators
    _check_models(project, generators, helpers, baseline)
    _check_judge(project, judge)
    _within("prompts", prompts, FEWEST, MOST_PROMPTS)
    _within("trials", trials, len(generators) + 1, MOST_TRIALS)
    _within("max_calls", max_calls, 1, MOST_CALLS)
    _within("seed", seed, 0, MOST_SEED)
    members = [*generators, *helpers, *_members(baseline)]
    chosen = chosen_prompts(project, {"source": "held_out", **(prompt_set or {})})
    seen: set[str] = set().union(*trained_on(members, chosen).values())
    parts = parts_of([one for one in chosen if one.key not in seen], prompts)
    short = min(parts, key=lambda name: len(parts[name]))
    if len(parts[short]) < FEWEST:
        raise UserError(
            _(
                "Of %(n)s prompts %(few)s came to one of the two parts; each takes %(least)s at "
                "least. Choose more prompts."
            )
            % {"n": len(chosen), "few": len(parts[short]), "least": FEWEST},
            code="too_few_prompts",
            field="prompts",
        )
    alone = len(generators) * len(parts["search"])
    if budget is None:
        budget = min(MOST_BUDGET, max(2 * alone, trials * max_calls * len(parts["search"]) // 2))
    _within("budget", budget, alone, MOST_BUDGET)
    return start_run(
        project=project,
        kind=KIND,
        title=Said(TITLES, "title_search", model=baseline.name),
        spec={
            "generators": [model.pk for model in generators],
            "helpers": [model.pk for model in helpers],
            "baseline": baseline.pk,
            "judge": judge.pk,
            "parts": parts,
            "trials": trials,
            "budget": budget,
            "max_calls": max_calls,
            "seed": seed,
        },
        by=by,
    )


def found_by(run: Run) -> Found:
    """What a search has tried so far, or in the end."""
    lines, offset = run.dir.read_lines("trials.jsonl", 0)
    while True:
        more, end = run.dir.read_lines("trials.jsonl", offset)
        if end == offset:
            break
        lines, offset = [*lines, *more], end
    result = (run.result or {}).get("search")
    fresh = {one["trial"]: one for one in (result or {}).get("rescored", ())}
    best = set(front([(line["rate"], line["calls"]) for line in lines]))
    made = {str(model.options["layers"]): model for model in run.models.order_by("-pk")}
    return Found(
        run=run,
        judge=Annotator.objects.filter(pk=run.spec["judge"]).first(),
        baseline=ModelVersion.objects.filter(pk=run.spec["baseline"]).first(),
        trials=[
            Trial(
                number=line["number"],
                layers=line["layers"],
                shown=in_words(read_config(line["layers"])),
                rate=line["rate"],
                calls=line["calls"],
                unread=line["unread"],
                on_front=place in best,
                fresh=fresh.get(line["number"]),
                model=made.get(str(line["layers"])),
            )
            for place, line in enumerate(lines)
        ],
        prompts={name: len(keys) for name, keys in run.spec["parts"].items()},
        result=result,
    )


@transaction.atomic
def keep_found(*, run: Run, trial: int, name: str, by: User) -> tuple[ModelVersion, bool]:
    """Make a pipeline that a search has tried a model of the project. Returns it, and whether it is
    new: one that was kept before is that model, whatever the name.

    Raises:
        UserError: there is no such trial, or the name is none or taken.
    """
    # whoever keeps the same at the same time waits here
    Run.objects.select_for_update(no_key=True).get(pk=run.pk)
    found = next((one for one in found_by(run).trials if one.number == trial), None)
    if found is None:
        raise UserError(_("This search has tried no such pipeline."), field="trial")
    if found.model is not None:
        return found.model, False
    made = add_pipeline(project=run.project, name=name, layers=found.layers, by=by, made_by=run)
    return made, True


def _members(model: ModelVersion) -> list[ModelVersion]:
    return list(model.members.all()) if model.family == ModelFamily.PIPELINE else [model]


def _check_models(
    project: Project,
    generators: Sequence[ModelVersion],
    helpers: Sequence[ModelVersion],
    baseline: ModelVersion,
) -> None:
    if not 0 < len(generators) <= MOST_MODELS:
        raise UserError(
            _("Choose one to %(most)s models that generate.") % {"most": MOST_MODELS},
            field="generators",
        )
    if len(helpers) > MOST_MODELS:
        raise UserError(
            _("Choose at most %(most)s models that help.") % {"most": MOST_MODELS}, field="helpers"
        )
    for name, models, families in (
        ("generators", generators, MEMBERS),
        ("helpers", helpers, MEMBERS),
        ("baseline", [baseline], (*MEMBERS, ModelFamily.PIPELINE)),
    ):
        for model in models:
            if model.project_id != project.pk or model.modality != "text":
                raise UserError(
                    _("%(model)s belongs to another project.") % {"model": model.name}, field=name
                )
            if model.revisions:
                raise UserError(
                    _("%(model)s revises its answers, which a member does not. Choose %(base)s.")
                    % {"model": model.name, "base": model.base},
                    code="cannot_generate",
                    field=name,
                )
            if model.family not in families:
                raise UserError(
                    _("%(model)s does not write. Choose a language model or an endpoint.")
                    % {"model": model.name},
                    code="cannot_generate",
                    field=name,
                )


def _check_judge(project: Project, judge: Annotator) -> None:
    if judge.project_id != project.pk or judge.kind != Annotator.Kind.JUDGE:
        raise UserError(
            _("%(judge)s is no judge of this project.") % {"judge": judge.name}, field="judge"
        )
    if judge.model is None or judge.scorer or judge.is_jury:
        raise UserError(
            _("%(judge)s has no model to ask.") % {"judge": judge.name},
            code="not_a_judge",
            field="judge",
        )


def _within(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise UserError(
            _("It is %(value)s; it must be %(least)s to %(most)s.")
            % {"value": value, "least": least, "most": most},
            field=name,
        )
