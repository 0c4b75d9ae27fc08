"""All that was said of an evaluation's comparisons with its baseline, as columns of numbers.

Ten thousand comparisons are two queries and no object for each of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from django.db.models import Case, F, IntegerField, Q, Value, When
from django.db.models.functions import Length

from annotation.models import Annotator, Judgment
from evaluation.models import Evaluation
from evaluation.numbers import SCORE_OF_A, flag, outcome_number, read_numbers

PEOPLE = 0
"""The source of people's votes; any other is the pk of a judge or scorer."""


@dataclass(frozen=True)
class Cast:
    """Votes of one source on one candidate, in the order in which they came. A comparison of two
    identical outputs stands first, as a tie that nobody was asked about."""

    score: np.ndarray
    """The candidate's: 1 where it is better, ½ for ties."""
    prompt: np.ndarray
    row: np.ndarray
    """Of :attr:`Votes.comparisons`."""
    annotator: np.ndarray
    """0 where the outputs are identical."""

    @property
    def size(self) -> int:
        return int(self.score.size)

    def of(self, mine: np.ndarray) -> Cast:
        return Cast(self.score[mine], self.prompt[mine], self.row[mine], self.annotator[mine])


@dataclass(frozen=True)
class Votes:
    comparisons: dict[str, np.ndarray]
    """``pk``, ``pair``, ``prompt``, ``candidate``, ``candidate_is_a``, ``identical``,
    ``by_chance`` (−1 where all pairs are asked) and ``longer``, by how many characters the
    candidate's answer is longer; in the order of their pks."""
    judgments: dict[str, np.ndarray]
    """``pk``, ``row`` of the comparison, ``annotator``, ``source``, ``said``, ``score`` and
    ``strength`` of the candidate; in the order of their pks."""
    judges: dict[int, Annotator]
    """Judges and scorers that have voted, by pk."""

    def sources_of(self, candidate: int) -> list[int]:
        """Who has voted on a candidate: people first, then judges by name."""
        mine = self.comparisons["candidate"][self.judgments["row"]] == candidate
        found = np.unique(self.judgments["source"][mine]).tolist()
        return sorted(found, key=lambda pk: (pk != PEOPLE, self.judges[pk].name if pk else ""))

    def cast(self, candidate: int, source: int) -> Cast:
        rows, votes = self.comparisons, self.judgments
        same = np.flatnonzero((rows["candidate"] == candidate) & (rows["identical"] == 1))
        said = (rows["candidate"][votes["row"]] == candidate) & (votes["source"] == source)
        said &= rows["identical"][votes["row"]] == 0
        row = np.concatenate([same, votes["row"][said]])
        return Cast(
            np.concatenate([np.full(same.size, 0.5), votes["score"][said]]),
            rows["prompt"][row],
            row,
            np.concatenate([np.zeros(same.size, dtype=int), votes["annotator"][said]]),
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
        cast.values_list("pk", "pair_id", "annotator_id", source, outcome_number(), "strength"),
        pk="i8",
        pair="i8",
        annotator="i8",
        source="i8",
        said="i8",
        strength="i8",
    )
    order = np.argsort(rows["pair"], kind="stable")
    at = order[np.searchsorted(rows["pair"], votes["pair"], sorter=order)]
    sign = np.where(rows["candidate_is_a"][at] == 1, 1, -1)
    of_a = SCORE_OF_A[votes["said"]]
    judgments = {
        "pk": votes["pk"],
        "row": at,
        "annotator": votes["annotator"],
        "source": votes["source"],
        "said": votes["said"],
        "score": np.where(sign == 1, of_a, 1.0 - of_a),
        # negative means that a is better
        "strength": -sign * votes["strength"],
    }
    judges = Annotator.objects.in_bulk(np.unique(votes["source"]).tolist())
    return Votes(rows, judgments, judges)


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
        ),
        pk="i8",
        pair="i8",
        prompt="i8",
        candidate="i8",
        candidate_is_a="i8",
        identical="i8",
        by_chance="i8",
    )
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
