"""All that was said of an evaluation's comparisons with its baseline, as columns of numbers.

Ten thousand comparisons are two queries and no object for each of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from django.db.models import Case, F, FloatField, IntegerField, Q, Value, When
from django.db.models.functions import Coalesce, Extract, Length

from annotation.models import Annotator, Judgment
from evaluation.contestants import contestants
from evaluation.drawn import came_in, places_of, with_ties
from evaluation.met import met
from evaluation.models import Evaluation
from evaluation.numbers import SCORE_OF_A, flag, outcome_number, read_numbers
from evaluation.plan import Plan

PEOPLE = 0
"""The source of people's votes; any other is the pk of a judge or scorer."""


@dataclass(frozen=True)
class Cast:
    """Votes of one source on one candidate: of people in the order in which they came, those that
    came in together and those of a judge in the order drawn. With them, as ties that nobody was
    asked about, comparisons of two identical outputs, as far as the order has come to them."""

    score: np.ndarray
    """The candidate's: 1 where it is better, ½ for ties."""
    prompt: np.ndarray
    row: np.ndarray
    """Of :attr:`Votes.comparisons`."""
    annotator: np.ndarray
    """0 where the outputs are identical."""
    strength: np.ndarray
    """Of the verdict, for the candidate."""

    @property
    def size(self) -> int:
        return int(self.score.size)

    def of(self, mine: np.ndarray) -> Cast:
        return Cast(
            self.score[mine],
            self.prompt[mine],
            self.row[mine],
            self.annotator[mine],
            self.strength[mine],
        )


@dataclass(frozen=True)
class Votes:
    comparisons: dict[str, np.ndarray]
    """``pk``, ``pair``, ``prompt``, ``candidate``, ``candidate_is_a``, ``identical``,
    ``by_chance`` (−1 where all pairs are asked), ``asked`` (when people were, or could first be),
    ``place`` in the order drawn and ``longer``, by how many characters the candidate's answer is
    longer; in the order of their pks."""
    judgments: dict[str, np.ndarray]
    """``pk``, ``row`` of the comparison, ``annotator``, ``source``, ``said``, ``score`` and
    ``strength`` of the candidate, and ``at``, when a person's became evidence (0 of a judge's); in
    the order of their pks."""
    judges: dict[int, Annotator]
    """Judges and scorers that have voted, by pk."""
    skipped: dict[int, list[int]]
    """Pairs to which judges' answers were none, by judge."""
    ties: np.ndarray | None
    """Pairs of identical outputs that stand beside people's votes; None where the order of prompts
    tells, since no pairs of models are chosen."""

    def sources_of(self, candidate: int) -> list[int]:
        """Who has voted on a candidate: people first, then judges by name."""
        mine = self.comparisons["candidate"][self.judgments["row"]] == candidate
        found = np.unique(self.judgments["source"][mine]).tolist()
        return sorted(found, key=lambda pk: (pk != PEOPLE, self.judges[pk].name if pk else ""))

    def cast(self, candidate: int, source: int) -> Cast:
        rows, votes = self.comparisons, self.judgments
        own = np.flatnonzero(rows["candidate"] == candidate)
        said = (rows["candidate"][votes["row"]] == candidate) & (votes["source"] == source)
        said &= rows["identical"][votes["row"]] == 0
        row = votes["row"][said]
        first = np.full(rows["pk"].size, np.inf)
        np.minimum.at(first, row, votes["at"][said])
        same, done = rows["identical"][own] == 1, np.isfinite(first[own])
        if source != PEOPLE:
            done |= np.isin(rows["pair"][own], self.skipped.get(source, []))
            first[own[done]] = 0.0
        come, since = with_ties(rows["place"][own], same, done, first[own])
        if source == PEOPLE and self.ties is not None:
            come = np.isin(rows["pair"][own], self.ties)
        ties = own[come & same]
        row = np.concatenate([ties, row])
        order = np.lexsort(
            (
                np.arange(row.size),
                rows["place"][row],
                np.concatenate([since[come & same], votes["at"][said]]),
            )
        )
        return Cast(
            np.concatenate([np.full(ties.size, 0.5), votes["score"][said]])[order],
            rows["prompt"][row][order],
            row[order],
            np.concatenate([np.zeros(ties.size, dtype=int), votes["annotator"][said]])[order],
            np.concatenate([np.zeros(ties.size, dtype=int), votes["strength"][said]])[order],
        )


def votes_of(evaluation: Evaluation) -> Votes:
    """Current decisive votes that no withdrawal is about, but for those of people who saw a
    judge's verdict before; comparisons of two candidates with each other are left out."""
    against = evaluation.comparisons.filter(opponent=None)
    rows = _comparisons(evaluation)
    cast = Judgment.objects.decisive().unaided().standing(evaluation.project)
    cast = cast.filter(pair__in=against.values("pair")).order_by("pk")
    people = When(annotator__kind="person", then=Value(PEOPLE))
    source = Case(people, default=F("annotator_id"), output_field=IntegerField())
    votes = read_numbers(
        cast.values_list(
            "pk",
            "pair_id",
            "annotator_id",
            source,
            outcome_number(),
            "strength",
            Extract("created_at", "epoch", output_field=FloatField()),
            flag(Q(annotator__user=None)),
        ),
        pk="i8",
        pair="i8",
        annotator="i8",
        source="i8",
        said="i8",
        strength="i8",
        at="f8",
        from_file="i8",
    )
    order = np.argsort(rows["pair"], kind="stable")
    at = order[np.searchsorted(rows["pair"], votes["pair"], sorter=order)]
    sign = np.where(rows["candidate_is_a"][at] == 1, 1, -1)
    of_a = SCORE_OF_A[votes["said"]]
    by_people = votes["source"] == PEOPLE
    since = rows["asked"][at][by_people]
    when = np.zeros(votes["at"].size)
    when[by_people] = came_in(votes["at"][by_people], votes["from_file"][by_people] == 1, since)
    judgments = {
        "pk": votes["pk"],
        "row": at,
        "annotator": votes["annotator"],
        "source": votes["source"],
        "said": votes["said"],
        "score": np.where(sign == 1, of_a, 1.0 - of_a),
        # negative means that a is better
        "strength": -sign * votes["strength"],
        "at": when,
    }
    judges = Annotator.objects.in_bulk(np.unique(votes["source"]).tolist())
    skipped: dict[int, list[int]] = {}
    ties = None
    if rows["identical"].any():
        none = Judgment.objects.current().filter(outcome="skip", annotator__in=list(judges))
        none = none.filter(pair__in=against.values("pair")).order_by()
        for pair, judge in none.values_list("pair_id", "annotator_id"):
            skipped.setdefault(judge, []).append(pair)
        if Plan.of(evaluation.plan).is_active:
            ties = met(evaluation, contestants(evaluation)).ties
    return Votes(rows, judgments, judges, skipped, ties)


def _comparisons(evaluation: Evaluation) -> dict[str, np.ndarray]:
    files = Q(pair__output_a__asset=F("pair__output_b__asset"))
    files |= Q(pair__output_a__asset=None, pair__output_b__asset=None)
    identical = Q(pair__output_a__text=F("pair__output_b__text")) & files
    chance = [When(by_chance=True, then=Value(1)), When(by_chance=False, then=Value(0))]
    rows = evaluation.comparisons.filter(opponent=None).order_by("pk")
    columns = read_numbers(
        rows.values_list(
            "pk",
            "pair_id",
            "pair__prompt_id",
            "candidate_id",
            flag(Q(candidate_is_a=True)),
            flag(identical),
            Case(*chance, default=Value(-1), output_field=IntegerField()),
            Coalesce(Extract("asked_at", "epoch"), 0.0, output_field=FloatField()),
        ),
        pk="i8",
        pair="i8",
        prompt="i8",
        candidate="i8",
        candidate_is_a="i8",
        identical="i8",
        by_chance="i8",
        asked="f8",
    )
    begun = evaluation.created_at.timestamp()
    columns["asked"] = np.maximum(columns["asked"] * bool(evaluation.plan), begun)
    columns["place"] = places_of(evaluation, columns["prompt"])
    return _Columns(columns, evaluation)


class _Columns(dict[str, np.ndarray]):
    """``longer`` is read when it is asked for: for it the database has to read every text."""

    def __init__(self, columns: dict[str, np.ndarray], evaluation: Evaluation) -> None:
        super().__init__(columns)
        self.evaluation = evaluation

    def __missing__(self, name: str) -> np.ndarray:
        if name != "longer":
            raise KeyError(name)
        a, b = Length("pair__output_a__text"), Length("pair__output_b__text")
        rows = self.evaluation.comparisons.filter(pk__in=self["pk"].tolist()).order_by("pk")
        signed = Case(When(candidate_is_a=True, then=a - b), default=b - a)
        self[name] = read_numbers(rows.values_list(signed), longer="i8")["longer"]
        return self[name]
