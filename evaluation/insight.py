"""What an evaluation's page says beyond win rates: a verdict in words, the interval over time,
slices, length, questions, and how far judges agree with people. From votes to the engine's pure
functions and back; one candidate and one source at a time, so that nothing is mixed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from annotation.models import Judgment
from evaluation.contestants import by_name
from evaluation.engine import agreement, winrate
from evaluation.explorer import counts
from evaluation.length import Length, length
from evaluation.models import Evaluation, EvaluationJudge, PromptSet
from evaluation.plan import Plan
from evaluation.presets import figures_of
from evaluation.prompts import source_of
from evaluation.routing import corrected
from evaluation.slicing import Sliced, sliced
from evaluation.standings import unreadable, win_rates
from evaluation.stopping import state_of
from evaluation.training_line import line_of
from evaluation.verdicts import Assisted, assisted, name_of, path, verdicts
from evaluation.votes import PEOPLE, Votes, votes_of
from steelyard.registry.models import ModelVersion
from steelyard.web.plotting import Row, Series

# --- Questions --------------------------------------------------------------------------------


def questions(evaluation: Evaluation, votes: Votes, candidate: int, source: int) -> list[Row]:
    """A win rate for each aspect that was asked about: the sign of what was said of it."""
    mine = (votes.comparisons["candidate"][votes.judgments["row"]] == candidate) & (
        votes.judgments["source"] == source
    )
    row_of = dict(
        zip(
            votes.judgments["pk"][mine].tolist(), votes.judgments["row"][mine].tolist(), strict=True
        )
    )
    told = Judgment.objects.filter(pk__in=list(row_of)).exclude(aspects={})
    scores: dict[str, list[tuple[float, int]]] = {}
    for pk, aspects in told.order_by("pk").values_list("pk", "aspects"):
        row = row_of[pk]
        sign = -1 if votes.comparisons["candidate_is_a"][row] else 1
        for name, strength in aspects.items():
            value = 0.5 + 0.5 * float(np.sign(sign * strength))
            scores.setdefault(name, []).append((value, int(votes.comparisons["prompt"][row])))
    order = [one["name"] for one in evaluation.questions or []]
    names = [n for n in order if n in scores] + sorted(scores.keys() - set(order))
    rows = []
    for name in names:
        values, prompts = zip(*scores[name], strict=True)
        rate = winrate.win_rate(values, prompts)
        rows.append(Row(name, rate.rate, rate.lo, rate.hi, rate.prompts))
    return rows


# --- Judges against people --------------------------------------------------------------------


@dataclass(frozen=True)
class WithPeople:
    """How often a judge says what people say, on the comparisons that both have judged."""

    judge: Any
    raw: winrate.WinRate
    kappa: agreement.Estimate
    ceiling: agreement.Ceiling
    comparisons: int


def with_people(votes: Votes) -> list[WithPeople]:
    """Every judge that has voted where people have, all candidates together: whether it is right
    does not hang on the model."""
    said = np.where(
        votes.judgments["score"] > 0.5, 2, np.where(votes.judgments["score"] < 0.5, 0, 1)
    )
    row, source = votes.judgments["row"], votes.judgments["source"]
    people = source == PEOPLE
    found = []
    for judge in sorted(votes.judges, key=lambda pk: votes.judges[pk].name):
        mine = source == judge
        of_judge = dict(zip(row[mine].tolist(), said[mine].tolist(), strict=True))
        both = people & np.isin(row, row[mine])
        if not both.any():
            continue
        rows, told = row[both], said[both]
        theirs = np.array([of_judge[one] for one in rows.tolist()])
        prompts = votes.comparisons["prompt"][rows]
        ceiling = agreement.human_ceiling(
            rows.tolist(), votes.judgments["annotator"][both].tolist(), told.tolist(), of_judge
        )
        found.append(
            WithPeople(
                votes.judges[judge],
                winrate.win_rate((theirs == told).astype(float), prompts),
                agreement.cohen(
                    theirs.tolist(), told.tolist(), [0, 1, 2], clusters=prompts.tolist()
                ),
                ceiling,
                int(np.unique(rows).size),
            )
        )
    return found


# --- All of it for a page ---------------------------------------------------------------------


@dataclass(frozen=True)
class Closer:
    """What stands under the win rates, of one candidate by one source."""

    candidate: ModelVersion
    source: int
    who: str
    path: list[Series]
    prompts: int
    slices: list[Sliced]
    length: Length | None
    questions: list[Row]
    set: PromptSet | None
    """Of its prompts, where they are a set."""

    @property
    def length_series(self) -> list[Series]:
        return [Series(self.who, self.length.bins if self.length else [], 0, "joined")]


def closer(evaluation: Evaluation, votes: Votes, candidate: ModelVersion, source: int) -> Closer:
    cast = votes.cast(candidate.pk, source)
    who = name_of(votes, source)
    points = path(cast, Plan.of(evaluation.plan).alpha)
    found = source_of(evaluation.project, evaluation.prompt_set)
    return Closer(
        candidate=candidate,
        source=source,
        who=who,
        path=[Series(who, points, 0 if source == PEOPLE else 1, "path")] if points else [],
        prompts=int(np.unique(cast.prompt).size),
        slices=sliced(evaluation, votes, cast),
        length=length(evaluation, votes, candidate.pk, source),
        questions=questions(evaluation, votes, candidate.pk, source),
        set=found if isinstance(found, PromptSet) else None,
    )


def page(evaluation: Evaluation, chosen: Mapping[str, str], *, whole: bool) -> dict[str, Any]:
    """What an evaluation's page shows of its votes.

    Args:
        chosen: of the address: ``candidate`` and ``by``, a pk each; people are 0.
        whole: with all that does not change from second to second.
    """
    votes = votes_of(evaluation)
    candidates = by_name(evaluation.candidates.select_related("project"))
    rows = win_rates(evaluation, votes)
    judges = list(votes.judges)
    routed = {model.pk: corrected(evaluation, votes, model.pk) for model in candidates}
    helped = [
        one
        for candidate in candidates
        for judge in sorted(judges, key=lambda pk: votes.judges[pk].name)
        # what was drawn by the judges' doubt is no random part of all
        if routed[candidate.pk] is None and (one := assisted(votes, candidate, judge)) is not None
    ]
    state = state_of(evaluation, paths=False) if evaluation.is_voting else None
    found: dict[str, Any] = {
        "candidates": candidates,
        "chosen": next((m for m in candidates if str(m.pk) == chosen.get("candidate")), None),
        "win_rates": rows,
        "verdicts": verdicts(evaluation, votes, candidates, state),
        "helped": helped,
        "routed": [(model, drawn) for model in candidates if (drawn := routed[model.pk])],
        "overview": overview(candidates, rows, helped),
        "line": line_of(evaluation, rows),
        "stopping": state,
        "figures": figures_of(evaluation, votes),
        "panel": panel(evaluation, votes),
    }
    if not whole:
        return found
    model = found["chosen"] or next((m for m in candidates if votes.sources_of(m.pk)), None)
    sources = votes.sources_of(model.pk) if model else []
    if model is not None and sources:
        source = next((pk for pk in sources if str(pk) == chosen.get("by")), sources[0])
        found["closer"] = closer(evaluation, votes, model, source)
        found["sources"] = [(pk, name_of(votes, pk)) for pk in sources]
    return found | {"with_people": with_people(votes), "kinds": counts(evaluation)}


@dataclass(frozen=True)
class OnPanel:
    """A judge's seat, and how many of its answers nothing could be read in."""

    seat: EvaluationJudge
    unreadable: int
    share: float
    """Of all its answers on the evaluation's pairs."""


def panel(evaluation: Evaluation, votes: Votes) -> list[OnPanel]:
    garbled = unreadable(evaluation) if evaluation.seats else {}
    found = []
    for seat in evaluation.seats:
        bad = garbled.get(seat.judge_id, 0)
        read = int((votes.judgments["source"] == seat.judge_id).sum())
        found.append(OnPanel(seat, bad, bad / max(1, bad + read)))
    return found


def overview(
    candidates: Sequence[ModelVersion], rows: Sequence[Any], helped: Sequence[Assisted]
) -> list[Row]:
    """Every win rate of the page in one chart: people, each judge, people helped by a judge."""
    several = len(candidates) > 1
    found = []
    for candidate in candidates:
        for row in (one for one in rows if one.candidate == candidate):
            who = row.judge.name if row.judge else _("people")
            if not row.asked:
                who = _("%(who)s, not asked here") % {"who": who}
            found.append(
                Row(
                    name=f"{candidate.name}" if several else who,
                    value=row.rate.rate,
                    lo=row.rate.lo,
                    hi=row.rate.hi,
                    n=row.rate.prompts,
                    note=who if several else "",
                    colour=1 if row.judge else 0,
                )
            )
        for one in helped:
            if one.candidate != candidate or one.estimate is None:
                continue
            who = _("people, helped by %(judge)s") % {"judge": one.judge.name}
            found.append(
                Row(
                    name=candidate.name if several else who,
                    value=one.estimate.rate,
                    lo=one.estimate.lo,
                    hi=one.estimate.hi,
                    n=one.estimate.labelled,
                    note=who if several else pgettext("kind of estimate", "corrected"),
                    colour=2,
                )
            )
    return found
