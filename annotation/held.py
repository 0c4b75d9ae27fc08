"""Numbers of votes, held together for leaderboards, and gathered anew when many have changed."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError
from django.db import connection, transaction
from django.db.models import Count, Sum
from django.db.models.functions import Length

from annotation.models import BattleChange, HeldBattles
from steelyard.projects.models import Project

_FEW = 10_000
_SHARE = 20
"""Changes are let be while they are few, or less than this part of what is held: so a vote is
written some twenty times in all, however many there come to be."""
_LOCK = 5_114_207
"""Any number that is not another lock's."""
_GATHER = """
with seen as (
    delete from annotation_battlechange where project_id = %(project)s
), counted as materialized (
    select annotator_id, battle, case when kind = 'person' then 0 else annotator_id end as whose
    from annotation_judgment vote join annotation_annotator one on one.id = annotator_id
    where vote.project_id = %(project)s and is_current and outcome <> 'skip'
          and battle_a <> battle_b and battle is not null
), of_each as (
    select whose, annotator_id, count(*) as votes from counted group by whose, annotator_id
)
insert into annotation_heldbattles (project_id, annotators, votes, packed)
select %(project)s, array_agg(annotator_id), array_agg(votes),
       (select string_agg(int8send(battle), ''::bytea order by battle) from counted
        where counted.whose = of_each.whose)
from of_each group by whose
"""
"""One statement sees one state: the votes that are counted are those of which the changes go."""


def gather_where_due() -> None:
    """Of all projects."""
    counts = BattleChange.objects.order_by().values("project").annotate(n=Count("pk"))
    changes = dict(counts.values_list("project", "n"))
    standing = Project.objects.in_bulk(changes)
    for pk, number in changes.items():
        project = standing.get(pk)
        if project is None:  # deleted, and its votes after it
            BattleChange.objects.filter(project=pk).delete()
            HeldBattles.objects.filter(project=pk).delete()
        elif number > _FEW + held(project) // _SHARE:
            gather(project)


def held(project: Project) -> int:
    """How many votes are."""
    rows = HeldBattles.objects.filter(project=project)
    return (rows.aggregate(n=Sum(Length("packed")))["n"] or 0) // 8


def gather(project: Project) -> bool:
    """Read the project's votes and hold their numbers; False where another does it now.

    Whatever was held before does not matter.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        # before the state that the next statement sees, or an older one could win
        cursor.execute("select pg_try_advisory_xact_lock(%s, %s)", [_LOCK, project.pk])
        if not cursor.fetchone()[0]:
            return False
        HeldBattles.objects.filter(project=project).delete()
        cursor.execute(_GATHER, {"project": project.pk})
    return True


def refuse_loaded(*, raw: bool, **_: Any) -> None:
    """Held numbers are not loaded from a fixture: the votes beside them bring the same numbers
    again, by their triggers, and every vote would count twice.

    Raises:
        CommandError: ``raw``, as ``loaddata`` saves.
    """
    if raw:
        raise CommandError(
            "Held numbers of votes are not loaded, for the votes themselves bring them: add "
            "--exclude annotation.heldbattles --exclude annotation.battlechange to loaddata."
        )
