"""What an evaluation's page says beyond win rates: a verdict in words, the interval over time,
slices, length, questions, and how far judges agree with people. From votes to the engine's pure
functions and back; one candidate and one source at a time, so that nothing is mixed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db.models import F, Func, IntegerField
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from annotation.models import Judgment, Prompt
from evaluation.engine import agreement, length_control, ppi, sequential, slices, stopping, winrate
from evaluation.explorer import counts
from evaluation.models import Evaluation, EvaluationJudge
from evaluation.plan import Plan
from evaluation.presets import figures_of
from evaluation.routing import corrected
from evaluation.standings import unreadable, win_rates
from evaluation.stopping import CandidateState, StoppingState, state_of
from evaluation.training_line import line_of
from evaluation.votes import PEOPLE, Cast, Votes, votes_of
from steelyard.projects.models import Modality
from steelyard.registry.models import ModelVersion
from steelyard.web.plotting import Point, Row, Series

BINS = 8
FEWEST = 2
"""Prompts of a slice that a chart has room for."""


# --- The verdict ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Verdict:
    """What may be said now of one candidate by one source, however often it is looked at."""

    candidate: ModelVersion
    source: int
    who: str
    standing: stopping.Standing
    decision: str
    """``better``, ``worse``, ``no difference`` or ``keep voting``."""
    after: int | None
    """Prompts after which it was decided, where that is known."""
    delta: float
    alpha: float
    waiting: str = ""
    """How many of the prompts with votes have all of theirs, where not all have."""

    @property
    def mark(self) -> str:
        return {"better": "up", "worse": "down"}.get(self.decision, "")

    @property
    def level(self) -> str:
        return f"{100 * (1 - self.alpha):g}"

    @property
    def early(self) -> bool:
        return self.standing.prompts < sequential.EARLY


def verdicts(
    evaluation: Evaluation,
    votes: Votes,
    candidates: Sequence[ModelVersion],
    state: StoppingState | None = None,
) -> list[Verdict]:
    """One for each candidate with votes, by people where they have voted, else by its first judge.

    Of people it is that by which the evaluation stops; of a judge each candidate is held against
    the baseline by its own meetings, all candidates together (e-BH).
    """
    plan = Plan.of(evaluation.plan)
    led: dict[int, list[ModelVersion]] = {}
    for candidate in candidates:
        sources = votes.sources_of(candidate.pk)
        if sources:
            led.setdefault(sources[0], []).append(candidate)
    found: dict[int, Verdict] = {}
    for source, own in led.items():
        who = name_of(votes, source)
        if source == PEOPLE and evaluation.ask_people:
            for one in (state or state_of(evaluation, paths=False)).candidates:
                found[one.candidate.pk] = Verdict(
                    candidate=one.candidate,
                    source=source,
                    who=who,
                    standing=one.now,
                    decision=one.decision,
                    after=_after(one, votes, plan),
                    delta=plan.delta,
                    alpha=plan.alpha,
                    waiting=one.waiting_words,
                )
            continue
        scores = [_in_order(votes.cast(candidate.pk, source)) for candidate in own]
        standings = stopping.direct(scores, delta=plan.delta, alpha=plan.alpha)
        for candidate, x, now in zip(own, scores, standings, strict=True):
            after = None
            if now.decision != stopping.KEEP_VOTING:
                after = _decided_after(x, plan.delta, plan.alpha) if len(own) == 1 else now.prompts
            found[candidate.pk] = Verdict(
                candidate, source, who, now, now.decision, after, plan.delta, plan.alpha
            )
    return [found[candidate.pk] for candidate in candidates if candidate.pk in found]


def name_of(votes: Votes, source: int) -> str:
    return _("people") if source == PEOPLE else votes.judges[source].name


def _in_order(cast: Cast) -> np.ndarray:
    """One score a prompt, in the order of their first votes."""
    return sequential.by_prompt(cast.score.tolist(), cast.prompt.tolist())


def _after(state: CandidateState, votes: Votes, plan: Plan) -> int | None:
    """Prompts after which people had decided, as it was kept or, until that is done, reckoned."""
    if state.is_open:
        return None
    if state.decided is not None:
        return state.decided.prompts
    scores = _in_order(votes.cast(state.candidate.pk, PEOPLE))
    return min(state.now.prompts, _decided_after(scores, plan.delta, plan.alpha))


def _decided_after(scores: np.ndarray, delta: float, alpha: float) -> int:
    """The first number of prompts at which a lone candidate was decided; it stands from then on."""
    low, high = 1, scores.size
    while low < high:
        middle = (low + high) // 2
        (now,) = stopping.direct([scores[:middle]], delta=delta, alpha=alpha)
        if now.decision == stopping.KEEP_VOTING:
            low = middle + 1
        else:
            high = middle
    return low


def path(cast: Cast, alpha: float = sequential.ALPHA) -> list[Point]:
    """The win rate and its always-valid interval after each prompt, thinned."""
    scores = _in_order(cast)
    if not scores.size:
        return []
    whole = stopping.thinned(stopping.interval_path(scores, alpha), stopping.POINTS)
    return [
        Point(n, rate, *((lo, hi) if n >= sequential.EARLY else (None, None)))
        for n, rate, lo, hi in zip(
            whole.prompts.tolist(),
            whole.rate.tolist(),
            whole.lo.tolist(),
            whole.hi.tolist(),
            strict=True,
        )
    ]


# --- People, helped by a judge ----------------------------------------------------------------


@dataclass(frozen=True)
class Assisted:
    """The win rate as people would give it on all comparisons, from those that they judged and a
    judge's votes on the rest."""

    candidate: ModelVersion
    judge: Any
    estimate: ppi.Assisted | None
    """None under 30 prompts with votes of people."""
    labelled: int
    drawn: bool
    """Whether only comparisons that chance drew are taken, since the others were chosen."""


def assisted(votes: Votes, candidate: ModelVersion, judge: int) -> Assisted | None:
    """None where people and the judge have not both voted."""
    people, judged = votes.cast(candidate.pk, PEOPLE), votes.cast(candidate.pk, judge)
    human, robot = _by_row(people), _by_row(judged)
    chosen = bool((votes.comparisons["by_chance"][people.row] >= 0).any())
    by_chance = votes.comparisons["by_chance"] == 1
    both = [row for row in human if row in robot and (not chosen or by_chance[row])]
    if not both or not people.annotator.any():
        return None
    held = set(both)
    rest = [row for row in robot if row not in held]
    prompt = votes.comparisons["prompt"]
    try:
        found = ppi.win_rate(
            [human[row] for row in both],
            [robot[row] for row in both],
            prompt[both].tolist(),
            [robot[row] for row in rest],
            prompt[rest].tolist() if rest else [],
        )
    except ppi.TooFewLabels:
        found = None
    return Assisted(
        candidate, votes.judges[judge], found, int(np.unique(prompt[both]).size), chosen
    )


def _by_row(cast: Cast) -> dict[int, float]:
    """Mean score of each comparison."""
    rows, at = np.unique(cast.row, return_inverse=True)
    means = np.bincount(at, weights=cast.score) / np.bincount(at) if rows.size else rows
    return dict(zip(rows.tolist(), means.tolist(), strict=True))


# --- Slices -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sliced:
    """One way of cutting the prompts, with a win rate of each part."""

    title: str
    rows: list[Row]
    left_out: int
    """Slices with a single prompt, which no interval can be given for."""


def sliced(evaluation: Evaluation, votes: Votes, cast: Cast) -> list[Sliced]:
    """By category, by length of the prompt and by turns, where there are two slices or more."""
    if not cast.size:
        return []
    facts = _prompts(evaluation)
    at = [facts[pk] for pk in cast.prompt.tolist()]
    length = np.array([fact[1] for fact in at])
    ways: list[tuple[str, list[Any], Any]] = [
        (_("By category"), [fact[0] or _("(none)") for fact in at], None),
        (_("By length of the prompt"), *_thirds(length)),
        (_("By turns"), [min(fact[2], 4) for fact in at], _turns),
    ]
    found = []
    for title, names, said in ways:
        if len(set(names)) < 2:
            continue
        parts = slices.win_rates(cast.score.tolist(), cast.prompt.tolist(), names)
        rows = [
            Row(
                name=said(part.name) if said else str(part.name),
                value=part.rate.rate,
                lo=part.rate.lo,
                hi=part.rate.hi,
                n=part.rate.prompts,
                note=_("stands out") if part.stands_out else "",
                marked=part.stands_out,
            )
            for part in parts
            if part.rate.prompts >= FEWEST
        ]
        if len(rows) > 1:
            found.append(Sliced(title, rows, len(parts) - len(rows)))
    return found


def _turns(number: Any) -> str:
    if number >= 4:
        return _("four turns or more")
    return [_("no turn"), _("one turn"), _("two turns"), _("three turns")][number]


def _thirds(length: np.ndarray) -> tuple[list[int], Any]:
    """Short, middling and long, by the thirds of what was asked."""
    ends = np.unique(np.quantile(length, [1 / 3, 2 / 3]).round().astype(int))
    at = np.searchsorted(ends, length, side="left")
    edges = [0, *ends.tolist(), None]

    def said(number: Any) -> str:
        low, high = edges[number], edges[number + 1]
        if high is None:
            return _("over %(n)s characters") % {"n": low}
        return (
            _("up to %(n)s characters") % {"n": high}
            if not low
            else (_("%(low)s to %(high)s characters") % {"low": low + 1, "high": high})
        )

    return at.tolist(), said


def _prompts(evaluation: Evaluation) -> dict[int, tuple[str, int, int]]:
    """Category, characters and turns of the user, by pk."""
    asked = "jsonb_path_query_array(%(expressions)s, '$[*] ? (@.role == \"user\")')"
    turns = Func(
        F("messages"), template=f"jsonb_array_length({asked})", output_field=IntegerField()
    )
    chars = Func(
        F("messages"),
        template="length(jsonb_path_query_array(%(expressions)s, '$[*].content')::text) - 4",
        output_field=IntegerField(),
    )
    used = evaluation.comparisons.values("pair__prompt")
    rows = Prompt.objects.filter(pk__in=used).order_by()
    return {
        pk: (category, max(0, length), number)
        for pk, category, length, number in rows.annotate(_chars=chars, _turns=turns).values_list(
            "pk", "category", "_chars", "_turns"
        )
    }


# --- Length -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Length:
    """How much length has to do with it; of texts."""

    ours: length_control.LengthControlled
    theirs: length_control.AlpacaEval | None
    """AlpacaEval's estimator on the same votes, one score a prompt."""
    bins: list[Point]
    longer: float
    """Share of prompts on which the candidate's answer is the longer one."""
    mean: float
    """How many characters it is longer on average."""

    @property
    def apart(self) -> float:
        return abs(self.mean)


def length(evaluation: Evaluation, votes: Votes, cast: Cast) -> Length | None:
    if evaluation.project.modality != Modality.TEXT or not cast.size:
        return None
    longer = votes.comparisons["longer"][cast.row].astype(float)
    ours = length_control.length_controlled(cast.score, -longer, cast.prompt)
    prompts, first = np.unique(cast.prompt, return_index=True)
    score = _in_order(cast)
    # as the scores, in the order of the prompts' first votes
    difference = longer[np.sort(first)]
    theirs = None
    if prompts.size >= length_control.FOLDS:
        theirs = length_control.alpaca_eval(score, -difference)
    return Length(
        ours=ours,
        theirs=theirs,
        bins=_bins(cast, longer),
        longer=1.0 - ours.shorter,
        mean=float(difference.mean()),
    )


def _bins(cast: Cast, longer: np.ndarray) -> list[Point]:
    """Win rate over the difference in length, in bins of as many votes each."""
    number = min(BINS, max(1, np.unique(cast.prompt).size // 4))
    edges = np.unique(np.quantile(longer, np.linspace(0, 1, number + 1)[1:-1]))
    at = np.searchsorted(edges, longer, side="left")
    points = []
    for here in (at == k for k in np.unique(at)):
        rate = winrate.win_rate(cast.score[here], cast.prompt[here])
        low, high = int(longer[here].min()), int(longer[here].max())
        name = f"{low:+d} … {high:+d}" if low < high else f"{low:+d}"
        points.append(
            Point(float(longer[here].mean()), rate.rate, rate.lo, rate.hi, rate.prompts, name)
        )
    return points


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

    @property
    def length_series(self) -> list[Series]:
        return [Series(self.who, self.length.bins if self.length else [], 0, "joined")]


def closer(evaluation: Evaluation, votes: Votes, candidate: ModelVersion, source: int) -> Closer:
    cast = votes.cast(candidate.pk, source)
    who = name_of(votes, source)
    points = path(cast, Plan.of(evaluation.plan).alpha)
    return Closer(
        candidate=candidate,
        source=source,
        who=who,
        path=[Series(who, points, 0 if source == PEOPLE else 1, "path")] if points else [],
        prompts=int(np.unique(cast.prompt).size),
        slices=sliced(evaluation, votes, cast),
        length=length(evaluation, votes, cast),
        questions=questions(evaluation, votes, candidate.pk, source),
    )


def page(evaluation: Evaluation, chosen: Mapping[str, str], *, whole: bool) -> dict[str, Any]:
    """What an evaluation's page shows of its votes.

    Args:
        chosen: of the address: ``candidate`` and ``by``, a pk each; people are 0.
        whole: with all that does not change from second to second.
    """
    votes = votes_of(evaluation)
    candidates = list(evaluation.candidates.select_related("project").order_by("name"))
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
