from __future__ import annotations

import json
from collections.abc import Collection
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Self

from django.apps import apps
from django.db import models
from django.db.models import (
    BooleanField,
    Case,
    Count,
    Exists,
    F,
    Func,
    IntegerField,
    OuterRef,
    Q,
    Subquery,
    TextField,
    Value,
    When,
)
from django.db.models.functions import Coalesce
from django.utils import timezone

if TYPE_CHECKING:
    from annotation.models import Annotator
    from steelyard.projects.models import Project
    from steelyard.registry.models import ModelVersion


QUEUE_ORDERS = {
    "in_order": ["id"],
    "shuffled": ["key"],
    "finish_first": ["-judged", "id"],
    "spread": ["judged", "id"],
}
"""The orders in which a project may hand out pairs of the same priority."""


def _counted(rows: models.QuerySet, by: str) -> Coalesce:
    """How many rows a correlated subquery has, 0 where it has none."""
    counts = rows.order_by().values(by).annotate(n=Count("pk")).values("n")
    return Coalesce(Subquery(counts, output_field=IntegerField()), 0)


def _covered(project: Project) -> Q | None:
    """What the project's withdrawals in force are about; None where there are none."""
    rows = apps.get_model("annotation", "Withdrawal").objects
    said = [one.covers() for one in rows.filter(project=project, lifted_at=None)]
    return reduce(or_, said) if said else None


class PromptQuerySet(models.QuerySet):
    def with_counts(self) -> Self:
        """Adds ``n_outputs`` and ``n_pairs``."""
        outputs = apps.get_model("annotation", "Output").objects.filter(prompt=OuterRef("pk"))
        pairs = apps.get_model("annotation", "Pair").objects.filter(prompt=OuterRef("pk"))
        return self.annotate(
            n_outputs=_counted(outputs, "prompt"), n_pairs=_counted(pairs, "prompt")
        )

    def saying(self, words: str) -> Self:
        """Prompts whose messages contain the words."""
        # in the text of JSON, quotes and line breaks are written as JSON writes them
        written = json.dumps(words, ensure_ascii=False)[1:-1]
        return self.annotate(said=_Contents("messages")).filter(said__icontains=written)


class _Contents(Func):
    """The contents of chat messages as one text."""

    template = "jsonb_path_query_array(%(expressions)s, '$[*].content')::text"
    output_field = TextField()


class _HandedOut(models.QuerySet):
    """What annotators are given: pairs, or sets to rank."""

    def in_groups(self, groups: Collection[int]) -> Self:
        """Those that anybody may be given, and those of the groups."""
        return (
            self.filter(Q(group=None) | Q(group__in=groups)) if groups else self.filter(group=None)
        )


class PairQuerySet(_HandedOut):
    def open(self) -> Self:
        """Pairs that still want a person's judgment."""
        return self.filter(judged__lt=F("wanted"), closed=False, is_training=False)

    def training(self) -> Self:
        """Pairs with a known answer that are shown before the real work, in their order."""
        rows = self.filter(is_training=True, closed=False).exclude(known_outcome="")
        return rows.order_by("pk")

    def not_seen_by(self, annotator: Annotator) -> Self:
        """Without those that the annotator has judged or skipped."""
        judgments = apps.get_model("annotation", "Judgment").objects
        mine = judgments.filter(pair=OuterRef("pk"), annotator=annotator, is_current=True)
        return self.filter(~Exists(mine))

    def not_written_by(self, annotator: Annotator) -> Self:
        """Without those of which the annotator wrote one side."""
        outputs = apps.get_model("annotation", "Output").objects
        # two lists that PostgreSQL reads once, not a join for every pair it passes
        own = outputs.filter(author=annotator).values("pk")
        return self.exclude(output_a__in=own).exclude(output_b__in=own)

    def waiting_for(self, annotator: Annotator) -> Self:
        """Open pairs that would suit the annotator, whether or not others hold them now. Groups
        are not looked at."""
        mine = self.open().filter(project=annotator.project_id)
        return mine.not_seen_by(annotator).not_written_by(annotator)

    def complete(self) -> Self:
        """Pairs that have all the judgments by people that they want."""
        return self.filter(judged__gte=F("wanted"))

    def of_model(self, model: ModelVersion) -> Self:
        """Pairs with an output of that model on either side."""
        return self.filter(Q(output_a__model=model) | Q(output_b__model=model))

    def with_judges_votes(self) -> Self:
        """Adds ``judges_votes``: how many AI judges have said something of the pair."""
        judgments = apps.get_model("annotation", "Judgment").objects
        votes = judgments.decisive().by_judges().filter(pair=OuterRef("pk"))
        return self.annotate(judges_votes=_counted(votes, "pair"))

    def with_answers(self) -> Self:
        """With all that an annotator is shown; which model made what is not among it."""
        return self.select_related("prompt", "output_a__asset", "output_b__asset")

    def with_content(self) -> Self:
        """With all that a page shows of a pair."""
        return self.select_related(
            "prompt",
            "output_a__model",
            "output_b__model",
            "output_a__asset",
            "output_b__asset",
        )


class _Leases(models.QuerySet):
    """What is kept for annotators."""

    of: str
    """The field of what is kept: a pair, or a set to rank."""

    def live(self) -> Self:
        """Leases that have not run out."""
        return self.filter(expires_at__gt=timezone.now())

    def useful(self) -> Self:
        """Leases on what still wants a verdict; an import may have completed it, or the owner have
        taken it out."""
        wants = {f"{self.of}__judged__lt": F(f"{self.of}__wanted"), f"{self.of}__closed": False}
        return self.filter(**wants)

    def of_others(self, on: models.Model, annotator: Annotator) -> Self:
        """Live ones of other people on the same pair or set."""
        return self.live().filter(**{self.of: on}).exclude(annotator=annotator)

    def keep_draft(self, annotator: Annotator, on: int | None, draft: dict | None) -> None:
        """Write in somebody's lease what they have said so far; None leaves what is there."""
        if draft is not None and on is not None:
            self.filter(**{self.of: on}, annotator=annotator).update(draft=draft)


class AssignmentQuerySet(_Leases):
    of = "pair"

    def with_content(self) -> Self:
        """With all that a page shows of the pair; which model made what is not among it."""
        return self.select_related("pair__prompt", "pair__output_a__asset", "pair__output_b__asset")


class JudgmentQuerySet(models.QuerySet):
    def current(self) -> Self:
        """Those that no correction has superseded."""
        return self.filter(is_current=True)

    def decisive(self) -> Self:
        """Current ones that say something of the pair: skips are left out."""
        return self.current().exclude(outcome="skip")

    def by_people(self) -> Self:
        return self.filter(annotator__kind="person")

    def by_judges(self) -> Self:
        return self.filter(annotator__kind="judge")

    def unaided(self) -> Self:
        """Without those of people who saw a judge's verdict before they gave theirs."""
        return self.exclude(prelabel__contains={"shown": True})

    def chosen(
        self,
        *,
        by: str = "",
        annotator: Annotator | None = None,
        model: ModelVersion | None = None,
        category: str = "",
        outcome: str = "",
        run: int | None = None,
        pair: int | None = None,
        superseded: bool = False,
    ) -> Self:
        """Current ones that meet all that is said, with superseded ones too if wanted; by is
        people or judges."""
        rows = self.all() if superseded else self.current()
        if by:
            rows = rows.by_people() if by == "people" else rows.by_judges()
        if model:
            rows = rows.of_model(model)
        if category:
            rows = rows.filter(pair__prompt__category=category)
        exact = {"annotator": annotator, "outcome": outcome, "run": run, "pair": pair}
        return rows.filter(**{name: value for name, value in exact.items() if value})

    def of_model(self, model: ModelVersion) -> Self:
        """Judgments on pairs with an output of that model on either side."""
        return self.filter(Q(battle_a=model.pk) | Q(battle_b=model.pk))

    def rated(self) -> Self:
        """Those that a leaderboard counts: decisive, between different models."""
        return self.decisive().exclude(battle_a=F("battle_b"))

    def withdrawn(self, project: Project) -> Self:
        """Those that a withdrawal in force is about."""
        covered = _covered(project)
        return self.filter(covered) if covered else self.none()

    def standing(self, project: Project) -> Self:
        """Those that no withdrawal in force is about."""
        covered = _covered(project)
        return self.exclude(covered) if covered else self.all()

    def with_withdrawn(self, project: Project) -> Self:
        """Adds ``is_withdrawn``."""
        covered = _covered(project)
        whens = [When(covered, then=Value(True))] if covered else []
        said = Case(*whens, default=Value(False), output_field=BooleanField())
        return self.annotate(is_withdrawn=said)

    def with_content(self) -> Self:
        """With all that a page shows of a judgment."""
        return self.select_related(
            "annotator", "pair__prompt", "pair__output_a__model", "pair__output_b__model", "run"
        )


class OutputSetQuerySet(_HandedOut):
    def open(self) -> Self:
        """Sets that still want a person's ranking."""
        return self.filter(judged__lt=F("wanted"), closed=False, is_training=False)

    def training(self) -> Self:
        """Sets with a known order that are shown before the real work, in their order."""
        return self.filter(is_training=True, closed=False).order_by("pk")

    def with_answers(self) -> Self:
        """With what an annotator is shown of it besides its outputs."""
        return self.select_related("prompt")

    def complete(self) -> Self:
        """Sets that have all the rankings by people that they want."""
        return self.filter(judged__gte=F("wanted"))

    def waiting_for(self, annotator: Annotator) -> Self:
        """Open sets that the annotator has neither ranked nor skipped, and to which they wrote no
        output; whether or not others hold them now. Groups are not looked at."""
        rankings = apps.get_model("annotation", "Ranking").objects
        # the sum keeps PostgreSQL to the few rankings of a set, see annotation.leasing
        mine = rankings.current().alias(by=F("annotator_id") + 0)
        mine = mine.filter(output_set=OuterRef("pk"), by=annotator.pk)
        outputs = apps.get_model("annotation", "Output").objects
        own = outputs.filter(output_sets=OuterRef("pk"), author=annotator)
        rows = self.open().filter(project=annotator.project_id)
        return rows.filter(~Exists(mine), ~Exists(own))

    def with_place_for(self, annotator: Annotator) -> Self:
        """Those of which others' live leases leave a place."""
        leases = apps.get_model("annotation", "RankingLease").objects.live()
        others = leases.filter(output_set=OuterRef("pk")).exclude(annotator=annotator)
        return self.alias(held=_counted(others, "output_set")).filter(
            judged__lt=F("wanted") - F("held")
        )

    def of_model(self, model: ModelVersion) -> Self:
        """Sets with an output of that model."""
        outputs = apps.get_model("annotation", "Output").objects
        return self.filter(Exists(outputs.filter(output_sets=OuterRef("pk"), model=model)))


class RankingLeaseQuerySet(_Leases):
    of = "output_set"


class RankingQuerySet(models.QuerySet):
    def current(self) -> Self:
        """Those that no correction has superseded."""
        return self.filter(is_current=True)

    def decisive(self) -> Self:
        """Current ones that are no skips."""
        return self.current().filter(skipped=False)
