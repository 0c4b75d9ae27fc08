"""What asking a judge about pairs will come to, before anybody is asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db.models import Q, Sum, TextField, Value
from django.db.models.functions import Cast, Coalesce, Length
from django.utils.translation import gettext as _

from annotation.models import Annotator, JudgeSpending, Pair
from annotation.querysets import PairQuerySet
from annotation.services.judge_checks import ASKING, SAMPLING
from steelyard.inference.judging.prompting import question
from steelyard.inference.loading import CONCURRENCY
from steelyard.lib.errors import UserError
from steelyard.projects.models import Modality
from steelyard.registry.layered import config_of
from steelyard.registry.models import ModelFamily

CHARACTERS = 4
"""Of a token, about: of English; other scripts have fewer."""
PICTURE = 800
"""Tokens of a picture, about."""
ENOUGH = 20
"""So many calls say better what an answer takes than a guess does."""
GUESSED_OUT = 150
"""Tokens of an answer, where nothing is known yet."""


@dataclass(frozen=True)
class Estimate:
    """All of it about; answers known from before cost nothing and are not taken off."""

    pairs: int
    calls: int
    tokens_in: int
    tokens_out: int
    cost: float | None
    """By the judge's prices; None where it has none."""
    minutes: float | None
    """At the limits, or at the pace so far; None where neither is known."""
    known: bool
    """Whether length and pace of answers are those of earlier calls."""

    @property
    def tokens(self) -> int:
        return self.tokens_in + self.tokens_out


def estimate(*, judge: Annotator, pairs: Sequence[Pair]) -> Estimate:
    """Tokens, money and time for a judge to compare pairs, both orders and all samples counted. Of
    a jury it is the sum of its members', each of the pairs that it has not judged.

    Raises:
        UserError: it cannot be asked.
    """
    if judge.is_jury:
        members = judge.members.select_related("project", "model")
        asked = [
            estimate(judge=one, pairs=list(_not_seen(one, pairs)))
            for one in members
            if one.can_be_asked
        ]
        if not asked:
            raise UserError(
                _("%(jury)s has no members that can be asked.") % {"jury": judge.name},
                code="not_a_judge",
            )
        return _sum(asked)
    if not judge.can_be_asked:
        raise UserError(
            _("%(judge)s has no model to ask; its votes came from a file.") % {"judge": judge.name},
            code="not_a_judge",
        )
    asking = {**ASKING, **judge.asking}
    each = asking["samples"] * (2 if asking["orders"] == "both" else 1)
    # a pipeline puts each question to its members, at most so often
    if judge.model is not None and judge.model.family == ModelFamily.PIPELINE:
        each *= config_of(judge.model).calls
    rows = Pair.objects.filter(pk__in=[pair.pk for pair in pairs])
    frame = len(question_of(judge)) * len(pairs)
    tokens_in = each * (
        (frame + _characters(rows)) // CHARACTERS
        + PICTURE * _pictures(judge, rows, asking["frames"])
    )
    return _of_calls(judge, len(pairs), each * len(pairs), tokens_in)


def estimate_words(*, judge: Annotator, rows: PairQuerySet, calls: int, frame: int) -> Estimate:
    """The same for so many questions about pairs, each asked once in one order.

    Args:
        frame: characters of the question without its pair.
    """
    pairs = rows.count()
    pictures = PICTURE * _pictures(judge, rows, {**ASKING, **judge.asking}["frames"])
    of_pairs = _characters(rows) // CHARACTERS + pictures
    tokens_in = frame * calls // CHARACTERS + (of_pairs * calls // pairs if pairs else 0)
    return _of_calls(judge, pairs, calls, tokens_in)


def _of_calls(judge: Annotator, pairs: int, calls: int, tokens_in: int) -> Estimate:
    so_far = JudgeSpending.objects.filter(judge__in=judge.line).aggregate(
        calls=Sum("calls"), out=Sum("tokens_out"), seconds=Sum("seconds")
    )
    known = (so_far["calls"] or 0) >= ENOUGH
    longest = {**SAMPLING, **judge.sampling}["max_new_tokens"]
    one = so_far["out"] / so_far["calls"] if known else min(GUESSED_OUT, longest)
    tokens_out = round(calls * one)
    limits = judge.limits
    priced = "price_in" in limits or "price_out" in limits
    cost = (tokens_in * limits.get("price_in", 0) + tokens_out * limits.get("price_out", 0)) / 1e6
    pace = so_far["seconds"] / so_far["calls"] if known else None
    return Estimate(
        pairs=pairs,
        calls=calls,
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        cost=cost if priced else None,
        minutes=_minutes(judge, calls, tokens_in + tokens_out, pace),
        known=known,
    )


def _not_seen(judge: Annotator, pairs: Sequence[Pair]) -> Iterable[Pair]:
    return Pair.objects.filter(pk__in=[pair.pk for pair in pairs]).not_seen_by(judge)


def _sum(some: Sequence[Estimate]) -> Estimate:
    def total(values: Sequence[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return sum(known) if len(known) == len(values) else None

    return Estimate(
        pairs=max(one.pairs for one in some),
        calls=sum(one.calls for one in some),
        tokens_in=sum(one.tokens_in for one in some),
        tokens_out=sum(one.tokens_out for one in some),
        cost=total([one.cost for one in some]),
        minutes=total([one.minutes for one in some]),
        known=all(one.known for one in some),
    )


def question_of(judge: Annotator) -> str:
    """What a judge is asked, without a pair in it."""
    asked = question(
        messages=[{"role": "user", "content": ""}],
        criteria=judge.criteria,
        first="",
        second="",
        version=judge.template_version,
        template=judge.template,
        rubric=judge.rubric,
    )
    return str(asked[0]["content"])


def _characters(rows: object) -> int:
    sums = rows.aggregate(  # type: ignore[attr-defined]
        request=Sum(Length(Cast("prompt__messages", TextField()))),
        a=Sum(Length("output_a__text")),
        b=Sum(Length("output_b__text")),
    )
    return sum(value or 0 for value in sums.values())


def _pictures(judge: Annotator, rows: object, frames: int) -> int:
    """How many pictures are shown; what a prompt is about counts as one each."""
    sums = rows.aggregate(  # type: ignore[attr-defined]
        media=Coalesce(
            Sum(Length(Cast("prompt__media", TextField())), filter=~Q(prompt__media=[])), Value(0)
        ),
    )
    there = sums["media"] // 68
    if judge.project.modality == Modality.TEXT:
        return there
    of_one = frames if judge.project.modality == Modality.VIDEO else 1
    return there + 2 * of_one * rows.count()  # type: ignore[attr-defined]


def _minutes(judge: Annotator, calls: int, tokens: int, pace: float | None) -> float | None:
    limits = judge.limits
    found = []
    if "requests_per_minute" in limits:
        found.append(calls / limits["requests_per_minute"])
    if "tokens_per_minute" in limits:
        found.append(tokens / limits["tokens_per_minute"])
    if pace is not None:
        found.append(calls * pace / limits.get("at_once", CONCURRENCY) / 60)
    return max(found) if found else None
