"""Protocols that others have published, as settings of an evaluation and figures of its votes.

A preset fills the form; whatever is changed there afterwards holds. What differs from the authors'
own code stands in :attr:`Preset.differs` and on the page.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from annotation.models import Annotator, Judgment
from evaluation.contestants import by_name
from evaluation.engine import winrate
from evaluation.engine.length_control import FOLDS
from evaluation.length import lengths
from evaluation.models import Evaluation
from evaluation.votes import Cast, Votes, votes_of
from steelyard.inference.judging.turns import NAMES
from steelyard.projects.models import Modality
from steelyard.registry.models import ModelVersion

BY_TURNS = {"mt_bench"}
"""Protocols by which judges give a verdict for each turn."""
MUCH = 3
"""The strength that stands for arena-hard's ≫."""
MUCH_COUNTS = 3
"""How many votes it is, as arena-hard's authors have it."""


@dataclass(frozen=True)
class Figure:
    """A win rate reckoned by a protocol, of one candidate and one source of votes."""

    candidate: ModelVersion
    judge: Annotator | None
    name: str
    rate: float | None
    lo: float | None
    hi: float | None
    words: str
    """What it is, or why there is none."""

    @property
    def source(self) -> str:
        return "judges" if self.judge else "people"


@dataclass(frozen=True)
class Preset:
    title: str
    modality: str
    note: str | Promise
    """What it asks for, for the form."""
    differs: tuple[str | Promise, ...]
    """From the authors' own code."""
    sampling: dict[str, Any] = field(default_factory=dict)
    people: bool = False
    questions: tuple[str, ...] = ()
    """Aspects; those that the project's label scheme lacks have to be added there."""
    figures: Callable[[Evaluation, Votes], list[Figure]] | None = None

    def initial(self, aspects: list[str]) -> dict[str, Any]:
        """What it fills the form with, in a project whose scheme has these aspects."""
        asked = [name for name in self.questions if name in aspects]
        return {**self.sampling, "people": self.people, "questions": asked}

    def lacks(self, aspects: list[str]) -> list[str]:
        return [name for name in self.questions if name not in aspects]


def figures_of(evaluation: Evaluation, votes: Votes | None = None) -> list[Figure]:
    """What the evaluation's protocol reckons besides its win rates; nothing where it has none."""
    preset = PRESETS.get(evaluation.preset)
    if preset is None or preset.figures is None:
        return []
    return preset.figures(evaluation, votes or votes_of(evaluation))


def _each(evaluation: Evaluation, votes: Votes) -> list[tuple[ModelVersion, int, Cast]]:
    """Candidates and those who voted on them, with the votes."""
    return [
        (model, source, votes.cast(model.pk, source))
        for model in by_name(evaluation.candidates.all())
        for source in votes.sources_of(model.pk)
    ]


def _length_controlled(evaluation: Evaluation, votes: Votes) -> list[Figure]:
    found = []
    for row in lengths(evaluation, votes):
        model, judge, own = row.candidate, row.judge, row.length.ours
        name = _("Length-controlled, by maximum likelihood")
        words = own.reason or _("interval by prompts; wide where lengths hardly overlap")
        found.append(Figure(model, judge, name, own.controlled, own.lo, own.hi, words))
        name = _("Length-controlled, as AlpacaEval fits it")
        theirs = row.length.theirs
        if theirs is None:
            words = _("needs %(least)s votes") % {"least": FOLDS}
            found.append(Figure(model, judge, name, None, None, None, words))
            continue
        words = _("%(what)s; it has no interval") % {"what": theirs.words}
        found.append(Figure(model, judge, name, theirs.rate, None, None, words))
    return found


def _graded(evaluation: Evaluation, votes: Votes) -> list[Figure]:
    """A verdict of the greatest strength stands for three votes."""
    found = []
    for model, source, cast in _each(evaluation, votes):
        much = np.abs(cast.strength) >= MUCH
        times = np.where(much, MUCH_COUNTS, 1)
        rate = winrate.clustered(np.repeat(cast.score, times), np.repeat(cast.prompt, times))
        words = _(
            "%(much)s of %(all)s verdicts were ≫ and count %(times)s times; "
            "counted once each they give %(plain)s %%"
        ) % {
            "much": int(much.sum()),
            "all": cast.size,
            "times": MUCH_COUNTS,
            "plain": f"{100 * float(cast.score.mean()):.1f}",
        }
        name = _("Graded: ≫ counts three times")
        found.append(
            Figure(model, votes.judges.get(source), name, rate.rate, rate.lo, rate.hi, words)
        )
    return found


def _by_turns(evaluation: Evaluation, votes: Votes) -> list[Figure]:
    """A win rate for each turn, and for all turns together, each of them counted once."""
    said = votes.judgments
    aspects: dict[int, dict[str, int]] = dict(
        Judgment.objects.filter(pk__in=said["pk"].tolist(), aspects__has_any_keys=list(NAMES))
        .order_by()
        .values_list("pk", "aspects")
    )
    found = []
    for model, source, _cast in _each(evaluation, votes):
        mine = (votes.comparisons["candidate"][said["row"]] == model.pk) & (
            said["source"] == source
        )
        scores: dict[str, list[tuple[float, int]]] = {}
        for pk, row in zip(said["pk"][mine].tolist(), said["row"][mine].tolist(), strict=True):
            sign = -1 if votes.comparisons["candidate_is_a"][row] else 1
            prompt = int(votes.comparisons["prompt"][row])
            for name in NAMES:
                if name in aspects.get(pk, {}):
                    value = 0.5 + 0.5 * float(np.sign(sign * aspects[pk][name]))
                    scores.setdefault(name, []).append((value, prompt))
        judge = votes.judges.get(source)
        if not scores:
            words = _("no verdict on single turns: the whole conversation was judged")
            found.append(Figure(model, judge, _("By turns"), None, None, None, words))
            continue
        all_turns = [one for told in scores.values() for one in told]
        each = [(_TURNS[name], scores[name]) for name in NAMES if name in scores]
        for title, told in [*each, (_("All turns together"), all_turns)]:
            values, prompts = zip(*told, strict=True)
            rate = winrate.clustered(values, prompts)
            words = _("%(number)s verdicts; ties are half") % {"number": len(told)}
            found.append(Figure(model, judge, str(title), rate.rate, rate.lo, rate.hi, words))
    return found


_TURNS = {
    "first turn": gettext_lazy("First turn"),
    "second turn": gettext_lazy("Second turn"),
    "third turn": gettext_lazy("Third turn"),
    "fourth turn": gettext_lazy("Fourth turn"),
}

PRESETS: dict[str, Preset] = {
    "alpaca_eval": Preset(
        title="AlpacaEval 2",
        modality=Modality.TEXT,
        note=gettext_lazy(
            "Single instructions against one baseline model, one question of one AI judge, and "
            "length-controlled win rates beside the plain one."
        ),
        differs=(
            gettext_lazy(
                "The judge is asked in both orders, and its odds are taken where it tells any; the "
                "authors ask in one random order and take the odds of one token."
            ),
            gettext_lazy(
                "Their rows of gamed baselines and prompt difficulties are of their own 805 "
                "prompts: give their file to the prompt set of these. On other sets difficulties "
                "are made once enough models were judged, and until then the figure can lie far "
                "from theirs where a model is always shorter or longer."
            ),
        ),
        sampling={"max_new_tokens": 2048},
        figures=_length_controlled,
    ),
    "arena_hard": Preset(
        title="Arena-Hard",
        modality=Modality.TEXT,
        note=gettext_lazy(
            "Hard prompts against one baseline model; the judge grades on five places, A≫B to "
            "B≫A, and “much better” counts three times."
        ),
        differs=(
            gettext_lazy(
                "The win rate of every evaluation counts a verdict once; the graded one stands "
                "beside it and says what the weights do. They make wins clearer, not surer."
            ),
            gettext_lazy(
                "The two orders are one verdict here, a tie where they contradict each other; the "
                "authors count two games."
            ),
            gettext_lazy("The interval goes by prompts; the authors resample battles."),
            gettext_lazy("The judge need not write an answer of its own first."),
        ),
        sampling={"max_new_tokens": 4096, "temperature": 0.0},
        figures=_graded,
    ),
    "mt_bench": Preset(
        title="MT-bench",
        modality=Modality.TEXT,
        note=gettext_lazy(
            "Prompts of two turns: the second question is asked after the first answer, and the "
            "conversations are compared in pairs. Make a prompt set of a file with “turns”."
        ),
        differs=(
            gettext_lazy(
                "Pairs against a baseline, both orders, a tie where they contradict each other, "
                "as the authors' pairwise mode does; there is no single grading from 1 to 10."
            ),
            gettext_lazy(
                "Each turn has a verdict and a win rate, the judge seeing the conversation until "
                "that turn; whoever is ahead over the turns wins the pair. A scorer, and votes "
                "that were there before, judge the whole."
            ),
            gettext_lazy(
                "One temperature for all categories; the authors have one for each of theirs."
            ),
        ),
        sampling={"max_new_tokens": 1024, "temperature": 0.7},
        questions=NAMES[:2],
        figures=_by_turns,
    ),
    "diffusion_dpo": Preset(
        title="Diffusion-DPO",
        modality=Modality.IMAGE,
        note=gettext_lazy(
            "Three questions on two pictures: which is preferred in general, which has more visual "
            "appeal, and which fits the prompt better; people answer, each question has a win rate."
        ),
        differs=(
            gettext_lazy(
                "One person answers all three questions of a pair; the authors asked each of "
                "others, five a question, and took the majority."
            ),
        ),
        people=True,
        questions=("visual appeal", "prompt alignment"),
    ),
}


def presets_for(modality: str) -> dict[str, Preset]:
    return {key: preset for key, preset in PRESETS.items() if preset.modality == modality}
