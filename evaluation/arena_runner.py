"""What an arena's run means: the contestants that its engine holds, and what becomes of questions
when it ends."""

from __future__ import annotations

from typing import Any

from evaluation.arena_serving import collect, fail_waiting, waiting
from evaluation.engine.words import WORDS
from evaluation.models_arena import Arena, Turn
from evaluation.sampling import sampling_used
from evaluation.titles import TITLES
from steelyard.registry.models import ModelVersion
from steelyard.runs.gpus import gpus_for
from steelyard.runs.models import Run

engine = "evaluation.engine.arena"
words = {**WORDS, **TITLES}
IDLE_SECONDS = 300
"""After so long without a question the engine gives its place back."""


def prepare(run: Run) -> dict[str, Any]:
    arena = _arena(run)
    return {
        "kind": "arena",
        "models": [
            {**model.as_spec(), "sampling": sampling_used(model, {})} for model in _models(arena)
        ],
        "sampling": arena.sampling,
        "idle_seconds": IDLE_SECONDS,
    }


def environment(run: Run) -> dict[str, str]:
    """Keys of endpoints, for this process alone."""
    return {name: key for m in _models(_arena(run)) for name, key in m.secrets().items()}


def gpus(run: Run) -> int:
    return gpus_for(family for one in _models(_arena(run)) for family in one.families)


def finish(run: Run, result: dict[str, Any]) -> None:
    """Answers that no page has asked for since are kept. A question that came too late is put to
    another engine by whoever looks at it next."""
    for turn in Turn.objects.filter(waiting(), run=run).select_related(*PARTS):
        collect(turn)


def abandoned(run: Run) -> None:
    for turn in Turn.objects.filter(waiting(), run=run).select_related(*PARTS):
        collect(turn)
    fail_waiting(run)


PARTS = ("run", "battle__left", "battle__right", "battle__prompt", "battle__arena__project")
"""What collecting an answer asks of a turn."""


def _arena(run: Run) -> Arena:
    return Arena.objects.get(pk=run.spec["arena"])


def _models(arena: Arena) -> list[ModelVersion]:
    return list(arena.contestants.order_by("pk"))
