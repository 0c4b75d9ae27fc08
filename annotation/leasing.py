"""The statements by which pairs are handed out, in SQL.

They run for every pair that anybody is shown, and must walk an index of a million pairs in its
order and stop at the first that fits. So each condition on a pair is a subquery that PostgreSQL
looks up in an index for one pair after another, never a join that it could plan otherwise: of a
``NOT EXISTS`` it makes one that holds all judgments of somebody whom its statistics do not know yet
against every pair.
"""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import Field

from annotation.models import Judgment
from annotation.querysets import QUEUE_ORDERS
from steelyard.web.prepared import send_together

_PAIR_FITS = """
    not item.closed and not item.is_training and item.judged < item.wanted
    and (select said.id from annotation_judgment said
         where said.pair_id = item.id and said.annotator_id + 0 = %(annotator)s
         and said.is_current) is null
    and item.output_a_id not in (select id from annotation_output where author_id = %(annotator)s)
    and item.output_b_id not in (select id from annotation_output where author_id = %(annotator)s)
    and item.judged < item.wanted - (
        select count(*) from annotation_assignment lease
        where lease.pair_id = item.id and lease.annotator_id <> %(annotator)s
        and lease.expires_at > %(now)s)
"""
"""Open, not judged nor skipped nor written by the annotator, with a place that nobody holds. The
sum keeps PostgreSQL to the few judgments of a pair: of somebody whom its statistics do not know yet
it would read all that they have given, for each pair anew."""

_SET_FITS = """
    not item.closed and not item.is_training and item.judged < item.wanted
    and (select said.id from annotation_ranking said
         where said.output_set_id = item.id and said.annotator_id + 0 = %(annotator)s
         and said.is_current) is null
    and (select link.id from annotation_outputset_outputs link where link.outputset_id = item.id
         and link.output_id in (select id from annotation_output where author_id = %(annotator)s)
         limit 1) is null
    and item.judged < item.wanted - (
        select count(*) from annotation_rankinglease lease
        where lease.output_set_id = item.id and lease.annotator_id <> %(annotator)s
        and lease.expires_at > %(now)s)
"""
"""The same of a set to rank."""

TAKE = f"""
insert into annotation_assignment
    (project_id, pair_id, annotator_id, swapped, draft, leased_at, expires_at)
select item.project_id, item.id, %(annotator)s, %(swapped)s, '{{}}', %(now)s, %(until)s
from annotation_pair item
where item.id = %(pair)s and item.project_id = %(project)s and {_PAIR_FITS}
on conflict (pair_id, annotator_id) do update set expires_at = excluded.expires_at
returning id
"""

_STANDING = """
select trained_at is null and exists (
           select from annotation_pair pair where pair.project_id = person.project_id
           and pair.is_training and not pair.closed and pair.known_outcome <> ''),
       array(select group_id from annotation_group_members where annotator_id = person.id
             order by group_id)
from annotation_annotator person where person.id = %(annotator)s
"""

_LOCK = "for no key update"

_HELD = """
select lease.pair_id,
       lease.expires_at > %(now)s and pair.judged < pair.wanted and not pair.closed
from annotation_assignment lease join annotation_pair pair on pair.id = lease.pair_id
where lease.annotator_id = %(annotator)s
order by lease.leased_at, lease.id
"""


class Standing(NamedTuple):
    """What decides which pairs somebody may be given at all."""

    needs_training: bool
    groups: list[int]


class Kind(NamedTuple):
    """What is handed out: a table, which of its rows somebody may be given, and how one is locked
    for them."""

    table: str
    fits: str
    lock: str


PAIRS = Kind("annotation_pair", _PAIR_FITS, "for update")
SETS = Kind("annotation_outputset", _SET_FITS, _LOCK)


class Place(NamedTuple):
    """The place of a pair, or of a set, in the queue of its group."""

    id: int
    priority: int
    judged: int
    key: str

    def value(self, name: str) -> Any:
        return getattr(self, name)

    def rank(self, policy: str) -> tuple[Any, ...]:
        """Sorts the places of several groups; the keys of one policy."""
        order = [(name.lstrip("-"), name.startswith("-")) for name in QUEUE_ORDERS[policy]]
        values = [-self.value(name) if down else self.value(name) for name, down in order]
        return (-self.priority, *values)


def standing_of(annotator: int, *, lock: bool = False) -> Standing:
    """With ``lock``, two requests of one person follow each other; others' writing of rows that
    point to the annotator goes on."""
    with connection.cursor() as cursor:
        cursor.execute(_STANDING + (_LOCK if lock else ""), {"annotator": annotator})
        return Standing(*cursor.fetchone())


def locked_standing(annotator: int, now: datetime) -> tuple[Standing, dict[int, bool]]:
    """:func:`standing_of` with the lock, and :func:`held_by` as it is once the lock is there."""
    said = {"annotator": annotator, "now": now}
    with connection.cursor() as cursor:
        send_together(cursor, (_STANDING + _LOCK, said), (_HELD, said))
        standing = Standing(*cursor.fetchone())
        cursor.nextset()
        return standing, dict(cursor.fetchall())


def held_by(annotator: int, now: datetime) -> dict[int, bool]:
    """Pairs of all the annotator's leases, the oldest lease first, and whether each is live and
    of use: others may have completed the pair, or the owner have taken it out."""
    with connection.cursor() as cursor:
        cursor.execute(_HELD, {"annotator": annotator, "now": now})
        return dict(cursor.fetchall())


def search(
    *,
    of: Kind = PAIRS,
    annotator: int,
    project: int,
    group: int | None,
    policy: str,
    now: datetime,
    without: list[int],
    behind: Place | None = None,
    lock: bool = True,
) -> Place | None:
    """The first of a group that fits, its row locked; rows that others have locked are
    passed over. It fitted when the search began: take it to be sure.

    The group stands in the order although it is the same for all: so PostgreSQL sees that an
    index has this very order, which ``is null`` does not tell it.

    Args:
        policy: a key of QUEUE_ORDERS.
        without: what is not to be found.
        behind: begin at this place, and end with its priority and, where the policy goes by that,
            its number of judgments.
        lock: whether to lock it at all.
    """
    names = [name.lstrip("-") for name in QUEUE_ORDERS[policy]]
    order = [
        f"item.{name.lstrip('-')}{' desc' * name.startswith('-')}" for name in QUEUE_ORDERS[policy]
    ]
    said: dict[str, Any] = {
        "annotator": annotator,
        "project": project,
        "group": group,
        "now": now,
        "without": without,
    }
    where = [
        "item.project_id = %(project)s",
        f"item.group_id {'is null' if group is None else '= %(group)s'}",
    ]
    if without:
        where.append("item.id <> all(%(without)s)")
    if behind:
        *same, last = ["priority", *names]
        where += [f"item.{name} = %(at_{name})s" for name in same]
        where.append(f"item.{last} >= %(at_{last})s")
        said |= {f"at_{name}": behind.value(name) for name in (*same, last)}
    sql = f"""
        select item.id, item.priority, item.judged, item.key from {of.table} item
        where {" and ".join(where)} and {of.fits}
        order by item.group_id, item.priority desc, {", ".join(order)} limit 1
        {f"{of.lock} of item skip locked" if lock else ""}
    """
    with connection.cursor() as cursor:
        cursor.execute(sql, said)
        row = cursor.fetchone()
    return Place(*row) if row else None


def take(said: dict[str, Any]) -> int | None:
    """Write a lease on a pair whose row the caller has locked, or take up one of the annotator's
    own that ran out, with its draft.

    Looks again whether the pair fits, now that nobody else can lease it.

    Args:
        said: annotator, project, pair, swapped, now and until, as TAKE names them.

    Returns:
        the lease's primary key, or None where the pair does not fit any more.
    """
    with connection.cursor() as cursor:
        cursor.execute(TAKE, said)
        row = cursor.fetchone()
    return row[0] if row else None


def give_back(lease: int) -> bool:
    """Delete a lease; whether it was still there."""
    with connection.cursor() as cursor:
        cursor.execute(_GIVE_BACK, [lease])
        return bool(cursor.rowcount)


def exchange(lease: int, judgment: Judgment, *, counts: bool) -> bool:
    """Give a lease back for a judgment, in one statement: the lease is deleted, the judgment
    stored, and where it ``counts`` its pair has one more. The caller holds the pair's lock.

    Returns:
        whether the lease was still there; if not, nothing is written.
    """
    fields = _judgment_fields()
    values = [f.get_db_prep_save(f.pre_save(judgment, True), connection) for f in fields]
    with connection.cursor() as cursor:
        cursor.execute(_exchange(counts), [lease, *values])
        row = cursor.fetchone()
    if row is None:
        return False
    judgment.pk = row[0]
    judgment._state.adding, judgment._state.db = False, connection.alias
    return True


_GIVE_BACK = "delete from annotation_assignment where id = %s"

_COUNTED = """, counted as (
    update annotation_pair pair set judged = judged + 1 from gone where pair.id = gone.pair_id)
"""


@cache
def _judgment_fields() -> list[Field]:
    fields = Judgment._meta.concrete_fields
    return [field for field in fields if not (field.primary_key or field.generated)]


@cache
def _exchange(counts: bool) -> str:
    names = [str(field.column) for field in _judgment_fields()]
    return f"""
        with gone as ({_GIVE_BACK} returning pair_id) {_COUNTED if counts else ""}
        insert into annotation_judgment ({", ".join(names)})
        select {", ".join(["%s"] * len(names))} from gone returning id
    """


def count(*, pair: int, change: int) -> None:
    """So many judgments more of a pair whose row the caller has locked."""
    with connection.cursor() as cursor:
        cursor.execute(
            "update annotation_pair set judged = judged + %s where id = %s", [change, pair]
        )
