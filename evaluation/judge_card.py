"""What is known of a judge before anybody relies on it: how far it agrees with people, and they
with each other; what its probabilities are worth; whether it favours a side, or its own maker.

People's votes and the judge's are held against each other on the pairs that both have judged, and
nowhere added together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from django.db.models import Sum

from annotation.models import Annotator, JudgeSpending, Judgment
from evaluation.anchored import Followed, followed
from evaluation.engine import agreement, calibration, position, slices, winrate
from evaluation.kept import kept
from evaluation.makers import maker_of, maker_of_name
from steelyard.inference.judging.chances import p_a
from steelyard.registry.models import ModelVersion

WORTH = {"a": 1.0, "tie": 0.5, "both_bad": 0.5, "b": 0.0}
OUTCOMES = ["a", "tie", "both_bad", "b"]
SOURCES = ("tokens", "samples", "posterior", "verdict", "mixed")
"""Where the probability that a is better comes from: the chances of the words of a verdict, the
share of several answers, what a jury's members make probable, or a verdict and its strength; mixed
where it is not the same of all pairs."""
FEW = 30
"""Votes of people, and prompts, under which no figure is to be relied upon."""


@dataclass(frozen=True)
class Said:
    """One verdict of the judge."""

    pair: int
    prompt: str
    """Its key: which part of a calibration it falls into is then the same on another machine."""
    category: str
    outcome: str
    models: tuple[int, int]
    p: float
    """How probable it holds that a is better; ties are half."""
    source: str
    """What ``p`` came of: see :data:`SOURCES`."""
    shown: list[tuple[bool, str]]
    """Each order in which it was asked: whether b was shown first, and the outcome then."""
    strength: int


@dataclass(frozen=True)
class OwnMaker:
    """Whether the judge is kinder than people to outputs of its own maker's models."""

    maker: str
    by_judge: winrate.WinRate
    """How often its maker's model wins by the judge, against models of others."""
    by_people: winrate.WinRate
    """The same pairs by people."""
    gap: winrate.WinRate
    """(1 + judge − people) / 2 by pair, so that one half is no difference: an interval of the
    difference, clustered by prompt."""

    @property
    def favours(self) -> bool:
        return self.gap.lo is not None and self.gap.lo > 0.5

    @property
    def difference(self) -> tuple[float, float | None, float | None]:
        """Judge less people, in shares, and its 95 % interval."""
        ends = [None if end is None else 2 * end - 1 for end in (self.gap.lo, self.gap.hi)]
        return 2 * self.gap.rate - 1, ends[0], ends[1]


@dataclass(frozen=True)
class Card:
    judge: Annotator
    votes: int
    invalid: int
    """Answers from which no verdict could be read."""
    spent: dict[str, Any]
    """``calls``, ``cached``, ``tokens_in``, ``tokens_out``, ``cost`` and ``seconds`` in all."""
    people: int = 0
    """Votes of people on pairs that it has judged."""
    agrees: winrate.Clustered | None = None
    """Share of people's votes that say the same, every vote alike; clustered by prompt."""
    kappa: agreement.Estimate | None = None
    """Cohen's, over all such two votes."""
    ceiling: agreement.Ceiling | None = None
    by_category: list[slices.Slice] = field(default_factory=list)
    confusion: dict[tuple[str, str], int] = field(default_factory=dict)
    """How many votes, by what the person said and what the judge said."""
    habits: position.Position | None = None
    """None where it is known of no verdict which side was first, and of a scorer, which is shown
    one text at a time."""
    drawn: bool = True
    """Whether the sides were drawn here, or shown in both orders; not so of verdicts from a file,
    where a preference for the first side may be the outputs' quality."""
    calibrated: calibration.Calibrated | None = None
    source: str = "verdict"
    """What its probabilities came of, one of :data:`SOURCES`."""
    maker: str = ""
    own: OwnMaker | None = None
    followed: Followed | None = None
    """How far people follow its verdicts where they see them; None where none could be shown."""

    @property
    def invalid_share(self) -> float | None:
        asked = self.votes + self.invalid
        return self.invalid / asked if asked else None

    @property
    def too_few(self) -> bool:
        return self.people < FEW

    @property
    def few_prompts(self) -> bool:
        """Whether intervals are rough, prompts being the sample."""
        return self.agrees is not None and self.agrees.prompts < FEW

    @property
    def below_people(self) -> bool:
        """Whether it is surely less of people's mind than they are of each other's."""
        difference = self.ceiling.difference if self.ceiling else None
        return bool(difference and difference.hi is not None and difference.hi < 0)

    @property
    def no_better_than_chance(self) -> bool:
        return bool(self.kappa and self.kappa.lo is not None and self.kappa.lo <= 0)

    @property
    def seconds_a_call(self) -> float | None:
        return self.spent["seconds"] / self.spent["calls"] if self.spent["calls"] else None


def card_of(judge: Annotator) -> Card:
    """All that its votes and people's say of a judge now; withdrawn ones are left out. Made anew
    only where votes have changed since."""
    return replace(
        kept(judge.project, ("card", judge.pk), lambda: made_card(judge)),
        judge=judge,
        spent=spent(judge),
    )


def made_card(judge: Annotator) -> Card:
    said = _said(judge)
    invalid = Judgment.objects.current().filter(annotator=judge, details__has_key="invalid").count()
    maker = _maker(judge)
    card: dict[str, Any] = {
        "judge": judge,
        "votes": len(said),
        "invalid": invalid,
        "spent": spent(judge),
        "maker": maker,
        "followed": followed(judge),
    }
    if not said:
        return Card(**card)
    card["habits"], card["drawn"] = _habits(judge, said)
    people = _people(judge)
    if not people:
        return Card(**card)
    return Card(**card, **_with_people(judge, said, people, maker))


def _with_people(
    judge: Annotator, said: dict[int, Said], people: list[tuple[int, int, str]], maker: str
) -> dict[str, Any]:
    of = [said[pair] for pair, _, _ in people]
    theirs = [outcome for _, _, outcome in people]
    prompts = [one.prompt for one in of]
    equal = [float(one.outcome == outcome) for one, outcome in zip(of, theirs, strict=True)]
    confusion: dict[tuple[str, str], int] = defaultdict(int)
    for one, outcome in zip(of, theirs, strict=True):
        confusion[outcome, one.outcome] += 1
    categories = [one.category for one in of]
    sources = {one.source for one in of}
    calibrated = None
    if len(set(prompts)) > 1:
        calibrated = calibration.cross_fitted(
            [one.p for one in of], [WORTH[outcome] for outcome in theirs], prompts
        )
    return {
        "people": len(people),
        "agrees": winrate.clustered(equal, prompts),
        "kappa": agreement.cohen(theirs, [one.outcome for one in of], OUTCOMES, clusters=prompts),
        "ceiling": agreement.human_ceiling(
            [pair for pair, _, _ in people],
            [annotator for _, annotator, _ in people],
            theirs,
            {pair: one.outcome for pair, one in said.items()},
        ),
        "by_category": slices.win_rates(equal, prompts, categories) if any(categories) else [],
        "confusion": dict(confusion),
        "calibrated": calibrated,
        "source": sources.pop() if len(sources) == 1 else "mixed",
        "own": _own_maker(judge, said, people, maker),
    }


def spent(judge: Annotator) -> dict[str, Any]:
    """What all its runs have used up."""
    names = ("calls", "cached", "tokens_in", "tokens_out", "cost", "seconds")
    sums = JudgeSpending.objects.filter(judge=judge).aggregate(**{n: Sum(n) for n in names})
    return {name: sums[name] or 0 for name in names}


def _said(judge: Annotator) -> dict[int, Said]:
    rows = Judgment.objects.decisive().standing(judge.project).filter(annotator=judge)
    columns = rows.order_by("pk").values_list(
        "pair_id",
        "pair__prompt__key",
        "pair__prompt__category",
        "outcome",
        "strength",
        "swapped",
        "details__orders",
        "details__p_a",
        "battle_a",
        "battle_b",
    )
    found = {}
    strengths = set()
    for pair, prompt, category, outcome, strength, swapped, orders, told, a, b in columns.iterator(
        2000
    ):
        p, source = _told(orders)
        if p is None and judge.is_jury and told is not None:
            p, source = told, "posterior"
        strengths.add(abs(strength))
        found[pair] = Said(
            pair=pair,
            prompt=prompt,
            category=category,
            outcome=outcome,
            models=(a, b),
            p=WORTH[outcome] if p is None else p,
            source=source,
            shown=_shown(outcome, swapped, orders),
            strength=strength,
        )
    if len(strengths - {0}) < 2:
        return found
    return {pair: _by_strength(one) for pair, one in found.items()}


def _told(orders: Sequence[dict[str, Any]] | None) -> tuple[float | None, str]:
    """The mean over orders of the probability that a is better, and what it came of."""
    told: list[Any] = [order.get("probabilities") for order in orders or []]
    if not told or not all(told):
        return None, "verdict"
    samples = [sample for order in orders or [] for sample in order.get("samples", [])]
    shares = any(one.get("outcome") and not one.get("probabilities") for one in samples)
    p = min(1.0, max(0.0, sum(map(p_a, told)) / len(told)))
    return p, "samples" if shares else "tokens"


def _by_strength(one: Said) -> Said:
    """Where strengths differ, a verdict that is by far counts for more."""
    if one.source != "verdict":
        return one
    return replace(one, p=0.5 - one.strength / 6)


def _shown(
    outcome: str, swapped: bool | None, orders: Sequence[dict[str, Any]] | None
) -> list[tuple[bool, str]]:
    told = [(order["swapped"], order["outcome"]) for order in orders or [] if order.get("outcome")]
    if told:
        return told
    return [] if swapped is None else [(swapped, outcome)]


def _habits(judge: Annotator, said: dict[int, Said]) -> tuple[position.Position | None, bool]:
    rows = [(one, *order) for one in said.values() for order in one.shown]
    if not rows or judge.scorer:
        return None, False
    found = position.position_bias(
        [judge.pk] * len(rows),
        [one.prompt for one, _, _ in rows],
        [one.pair for one, _, _ in rows],
        [WORTH[outcome] for _, _, outcome in rows],
        [swapped for _, swapped, _ in rows],
    )
    both = all(len(one.shown) != 1 for one in said.values())
    return found[0], both or judge.can_be_asked


def _people(judge: Annotator) -> list[tuple[int, int, str]]:
    """Pair, annotator and outcome of people's votes on pairs that it has judged, without those of
    people who saw a judge's verdict before."""
    own = Judgment.objects.decisive().standing(judge.project).filter(annotator=judge)
    rows = Judgment.objects.decisive().by_people().unaided().standing(judge.project)
    rows = rows.filter(pair__in=own.values("pair"), pair__is_training=False).order_by("pk")
    return list(rows.values_list("pair_id", "annotator_id", "outcome"))


def _maker(judge: Annotator) -> str:
    return maker_of(judge.model) if judge.model else maker_of_name(judge.name)


def _own_maker(
    judge: Annotator, said: dict[int, Said], people: list[tuple[int, int, str]], maker: str
) -> OwnMaker | None:
    """None where no pair of its maker's model against another's was judged by both."""
    if not maker:
        return None
    voted: dict[int, list[float]] = defaultdict(list)
    for pair, _, outcome in people:
        voted[pair].append(WORTH[outcome])
    pks = {pk for pair in voted for pk in said[pair].models}
    models = ModelVersion.objects.select_related("base").in_bulk(pks)
    own = {pk for pk, model in models.items() if maker_of(model) == maker}
    judged, crowd, prompts = [], [], []
    for pair, worth in voted.items():
        a, b = said[pair].models
        if (a in own) == (b in own):
            continue
        of_judge, of_people = WORTH[said[pair].outcome], float(np.mean(worth))
        judged.append(of_judge if a in own else 1.0 - of_judge)
        crowd.append(of_people if a in own else 1.0 - of_people)
        prompts.append(said[pair].prompt)
    if not judged:
        return None
    gap = [(1.0 + one - other) / 2.0 for one, other in zip(judged, crowd, strict=True)]
    return OwnMaker(
        maker=maker,
        by_judge=winrate.win_rate(judged, prompts),
        by_people=winrate.win_rate(crowd, prompts),
        gap=winrate.win_rate(gap, prompts),
    )
