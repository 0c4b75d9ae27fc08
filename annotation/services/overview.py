"""How far the labelling of a project is, and who does it.

Counts over all pairs or judgments of a project take a second or two at a million of them. What
took long is kept for a while, and says when it was counted; what is quick is counted anew.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic
from typing import Any, Generic, TypeVar

from django.core.cache import cache
from django.db.models import Aggregate, Count, F, FloatField, Max, Min, Q
from django.db.models.functions import TruncDate, TruncHour
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation.models import (
    Annotator,
    Assignment,
    Flag,
    Judgment,
    Outcome,
    OutputSet,
    Pair,
    Ranking,
    RankingLease,
)
from annotation.querysets import (
    JudgmentQuerySet,
    OutputSetQuerySet,
    PairQuerySet,
    RankingQuerySet,
)
from steelyard.projects.models import Project

SLOW_SECONDS = 0.2
"""A count that takes longer is kept …"""
KEPT_TIMES = 60
"""… for so many times as long as it took."""
QUICK_PAIRS = 20_000
"""Up to so many pairs of a project are counted while a page is being made."""
DAYS = 14
_COUNTS = ("coverage", "throughput", "people")
T = TypeVar("T")


@dataclass(frozen=True)
class Counted(Generic[T]):
    value: T
    at: datetime
    kept: bool
    """Whether it is from before this request."""


@dataclass
class Tally:
    """Pairs by how far they are."""

    pairs: int = 0
    complete: int = 0
    open: int = 0
    closed: int = 0
    """Taken out, complete or not."""
    begun: int = 0
    """Open ones with a verdict."""
    raised: int = 0
    """Those that want more verdicts than the project's overlap."""
    verdicts: int = 0
    wanted: int = 0

    @property
    def not_begun(self) -> int:
        return self.open - self.begun

    @property
    def share(self) -> float | None:
        """Complete ones of those that are not taken out."""
        left = self.pairs - self.closed
        return self.complete / left if left else None

    def add(self, judged: int, wanted: int, closed: bool, n: int, overlap: int) -> None:
        self.pairs += n
        self.verdicts += judged * n
        self.wanted += wanted * n
        self.raised += n if wanted > overlap else 0
        if closed:
            self.closed += n
        elif judged >= wanted:
            self.complete += n
        else:
            self.open += n
            self.begun += n if judged else 0


@dataclass
class Coverage:
    total: Tally = field(default_factory=Tally)
    by_verdicts: dict[tuple[int, int], int] = field(default_factory=dict)
    """(verdicts there are, verdicts wanted) to pairs, without those taken out"""
    by_category: dict[str, Tally] = field(default_factory=dict)


@dataclass(frozen=True)
class AtWork:
    """Somebody who holds pairs at this moment."""

    annotator: Annotator
    leases: int
    since: datetime
    """When the oldest of the pairs was given to them."""
    last_hour: int
    """Verdicts in the last sixty minutes."""
    last_verdict: datetime | None


@dataclass(frozen=True)
class Person:
    """What one person has done. Skips and superseded judgments are no verdicts. Where the project
    asks for rankings, a ranking is one verdict, however many pairs it comes to."""

    annotator: Annotator
    verdicts: int = 0
    skips: int = 0
    amended: int = 0
    """Current judgments that took the place of an earlier one."""
    seconds: float | None = None
    """Median time for a verdict in the last days; sorting a million of them would take seconds."""
    last: datetime | None = None
    known: int = 0
    """Verdicts on pairs with a known answer, outside the training round."""
    known_right: int = 0
    leases: int = 0

    @property
    def known_share(self) -> float | None:
        return self.known_right / self.known if self.known else None


@dataclass(frozen=True)
class Throughput:
    days: dict[str, list[tuple[float, float | None]]]
    """Name to (day, verdicts); day 0 is today, -1 yesterday, in UTC"""
    hours: dict[str, list[tuple[float, float | None]]]
    """Name to (hour of today in UTC, verdicts)"""
    today: int
    """Verdicts of today."""
    fortnight: int


class Median(Aggregate):
    function = "PERCENTILE_CONT"
    template = "%(function)s(0.5) WITHIN GROUP (ORDER BY %(expressions)s)"
    output_field = FloatField()


def is_quick(project: Project) -> bool:
    """Whether all counts are kept or made in a moment, so that a page can wait for them."""
    if len(cache.get_many(_keys(project))) == len(_COUNTS):
        return True
    return project.pairs.all()[: QUICK_PAIRS + 1].count() <= QUICK_PAIRS


def coverage(project: Project) -> Counted[Coverage]:
    """Pairs by their verdicts, in all and by category; training pairs are left out."""
    return _counted(project, "coverage", lambda: _coverage(project))


def _coverage(project: Project) -> Coverage:
    groups = (
        Pair.objects.filter(project=project, is_training=False)
        .order_by()
        .values_list("prompt__category", "judged", "wanted", "closed")
        .annotate(n=Count("pk"))
    )
    found = Coverage()
    by_verdicts: dict[tuple[int, int], int] = defaultdict(int)
    by_category: dict[str, Tally] = defaultdict(Tally)
    for category, judged, wanted, closed, n in groups:
        for tally in (found.total, by_category[category]):
            tally.add(judged, wanted, closed, n, project.overlap)
        if not closed:
            by_verdicts[judged, wanted] += n
    found.by_verdicts = dict(sorted(by_verdicts.items(), key=lambda item: item[0][::-1]))
    found.by_category = dict(sorted(by_category.items()))
    return found


def sets_of(project: Project) -> Tally:
    """Sets to rank by how far they are; they are few beside their pairs."""
    sets = project.output_sets.filter(is_training=False).order_by()
    rows = sets.values_list("judged", "wanted", "closed")
    found = Tally()
    for judged, wanted, closed, n in rows.annotate(n=Count("pk")):
        found.add(judged, wanted, closed, n, project.overlap)
    return found


def throughput(project: Project) -> Counted[Throughput]:
    """Verdicts of the last days and of today's hours, by person; a day is one of UTC."""
    return _counted(project, "throughput", lambda: _throughput(project))


def _throughput(project: Project) -> Throughput:
    now = timezone.now()
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    votes = _votes(project)
    since = today - timedelta(days=DAYS - 1)
    by_day: dict[int, dict[int, int]] = defaultdict(dict)
    for pk, day, n in _per(votes.filter(created_at__gte=since), TruncDate("created_at")):
        by_day[pk][(day - today.date()).days] = n
    by_hour: dict[int, dict[int, int]] = defaultdict(dict)
    for pk, hour, n in _per(votes.filter(created_at__gte=today), TruncHour("created_at")):
        by_hour[pk][hour.hour] = n
    names = dict(_people(project).values_list("pk", "name"))
    return Throughput(
        days=_lines(by_day, names, range(1 - DAYS, 1)),
        hours=_lines(by_hour, names, range(now.hour + 1)),
        today=sum(n for days in by_hour.values() for n in days.values()),
        fortnight=sum(n for days in by_day.values() for n in days.values()),
    )


def _per(votes: JudgmentQuerySet | RankingQuerySet, moment: Any) -> Iterable[tuple[int, Any, int]]:
    rows = votes.order_by().annotate(moment=moment).values_list("annotator", "moment")
    return rows.annotate(n=Count("pk"))


MOST_LINES = 5


def _lines(
    counts: dict[int, dict[int, int]], names: dict[int, str], span: range
) -> dict[str, list[tuple[float, float | None]]]:
    """A line for each of those who did most; the others share one, so that lines stay apart."""
    busiest = sorted(counts, key=lambda pk: (-sum(counts[pk].values()), names[pk]))
    alone = busiest if len(busiest) <= MOST_LINES + 1 else busiest[:MOST_LINES]
    rest = busiest[len(alone) :]
    shared = [(names[pk], [pk]) for pk in alone]
    if rest:
        shared.append((_("%(n)s others") % {"n": len(rest)}, rest))
    return {
        name: [(float(x), float(sum(counts[pk].get(x, 0) for pk in theirs))) for x in span]
        for name, theirs in shared
    }


def at_work(project: Project) -> list[AtWork]:
    """Who holds pairs at this moment, by name. Indexes answer, however much there is."""
    leases = _leases(project).values("annotator").annotate(n=Count("pk"), since=Min("leased_at"))
    held = {row["annotator"]: row for row in leases}
    people = Annotator.objects.filter(pk__in=held).select_related("project")
    found = []
    for person in people:
        mine = _votes(project).filter(annotator=person)
        hour = mine.filter(created_at__gte=timezone.now() - timedelta(hours=1)).count()
        last = mine.order_by("-created_at").values_list("created_at", flat=True).first()
        row = held[person.pk]
        found.append(AtWork(person, row["n"], row["since"], hour, last))
    return found


def people(project: Project) -> Counted[list[Person]]:
    """What each person has done, by name. What is settled for them and what they hold is always
    as it is now."""
    counted = _counted(project, "people", lambda: _figures(project))
    leases = dict(_leases(project).values_list("annotator").annotate(n=Count("pk")))
    persons = [
        Person(one, leases=leases.get(one.pk, 0), **counted.value.get(one.pk, {}))
        for one in _people(project)
    ]
    return Counted(persons, counted.at, counted.kept)


def _figures(project: Project) -> dict[int, dict[str, Any]]:
    mine = Judgment.objects.current().by_people().filter(project=project).order_by()
    said = ~Q(outcome=Outcome.SKIP)
    done: Any = mine
    if _is_ranking(project):
        done = Ranking.objects.current().filter(project=project).order_by()
        decisive = Q(skipped=False)
    else:
        decisive = said
    lately = done.filter(decisive, created_at__gte=timezone.now() - timedelta(days=DAYS))
    done = done.values("annotator").annotate(
        verdicts=Count("pk", filter=decisive),
        skips=Count("pk", filter=~decisive),
        amended=Count("pk", filter=Q(supersedes__isnull=False)),
        last=Max("created_at", filter=decisive),
    )
    # somebody may begin between one question and the next
    figures: dict[int, dict[str, Any]] = defaultdict(dict)
    for row in done:
        figures[row["annotator"]].update(_without_name(row))
    for pk, ms in lately.values_list("annotator").annotate(ms=Median(F("duration_ms"))):
        figures[pk]["seconds"] = None if ms is None else ms / 1000
    known = mine.filter(said, pair__is_training=False).exclude(pair__known_outcome="")
    gold = known.values("annotator").annotate(
        known=Count("pk"), known_right=Count("pk", filter=Q(outcome=F("pair__known_outcome")))
    )
    for right in gold:
        figures[right["annotator"]].update(_without_name(right))
    return dict(figures)


def _without_name(row: Any) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "annotator"}


def flagged(project: Project, *, decided: bool = False) -> PairQuerySet:
    """Pairs with a word that something is wrong and waits for the owner's, or that has it; the
    newest word first. Each has ``flagged_at``."""
    state = Q(flags__state=Flag.State.OPEN)
    return (
        Pair.objects.filter(~state if decided else state, project=project, flags__isnull=False)
        .annotate(flagged_at=Max("flags__created_at"))
        .order_by("-flagged_at", "-pk")
    )


def flagged_sets(project: Project, *, decided: bool = False) -> OutputSetQuerySet:
    """The same of sets to rank."""
    state = Q(flags__state=Flag.State.OPEN)
    return (
        OutputSet.objects.filter(~state if decided else state, project=project, flags__isnull=False)
        .annotate(flagged_at=Max("flags__created_at"))
        .order_by("-flagged_at", "-pk")
    )


def forget(project: Project) -> None:
    """What was kept is counted anew; said by whoever changes pairs or people in bulk."""
    cache.delete_many(_keys(project))


def _leases(project: Project) -> Any:
    """Live ones: of sets where the project asks for rankings, else of pairs."""
    kept = RankingLease if _is_ranking(project) else Assignment
    return kept.objects.live().useful().filter(project=project).order_by()


def _people(project: Project) -> Any:
    return Annotator.objects.filter(project=project, kind=Annotator.Kind.PERSON).order_by("name")


def _is_ranking(project: Project) -> bool:
    return project.scheme["task"] == "ranking"


def _votes(project: Project) -> JudgmentQuerySet | RankingQuerySet:
    """What people have said, as they said it: a ranking is one vote."""
    if _is_ranking(project):
        return Ranking.objects.decisive().filter(project=project)
    return Judgment.objects.decisive().by_people().filter(project=project)


def _keys(project: Project) -> list[str]:
    return [_key(project, name) for name in _COUNTS]


def _key(project: Project, name: str) -> str:
    return f"labelling-{name}-{project.pk}"


def _counted(project: Project, name: str, count: Callable[[], T]) -> Counted[T]:
    key = _key(project, name)
    kept: Counted[T] | None = cache.get(key)
    if kept is not None:
        return kept
    begun = monotonic()
    counted = Counted(count(), timezone.now(), kept=False)
    took = monotonic() - begun
    if took > SLOW_SECONDS:
        cache.set(key, Counted(counted.value, counted.at, kept=True), took * KEPT_TIMES)
    return counted
