"""What has been made of a project's votes, kept in this process until a vote changes."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from django.db import connection

from steelyard.projects.models import Project

Made = TypeVar("Made")
MOST = 64
"""Boards that a process keeps."""
LONGEST = 600.0
"""Seconds after which a board is made again, though no vote seems to have changed: a prompt's
category may have."""
_MARK = """
select coalesce(max(id), 0), coalesce(min(id), 0), count(*),
       (select (count(*), max(id))::text
        from annotation_battlechange where project_id = %(project)s),
       (select max(id) from annotation_heldbattles where project_id = %(project)s),
       (select (count(*), count(lifted_at), max(id), max(lifted_at))::text
        from annotation_withdrawal where project_id = %(project)s)
from (select id from annotation_judgment where project_id = %(project)s
      order by id desc limit 10000) as last
"""
"""Votes are only ever added: a correction is a new row. The last ten thousand are looked at, not
the last one, and counted, since a vote with a smaller number may come in sight later, when its
transaction ends. That one only ceased to stand, as a jury's does whose members' votes were taken
back, is among the changes; these are only added until they are gathered, and what is held then is
a new row."""


@dataclass
class _Kept:
    mark: tuple[object, ...] | None = None
    made: object = None
    at: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)


_boards: OrderedDict[tuple[object, ...], _Kept] = OrderedDict()
_guard = threading.Lock()


def change_mark(project: Project) -> tuple[object, ...]:
    """Another one whenever a vote of the project was cast, corrected, withdrawn or given back;
    found by an index, however many votes there are."""
    with connection.cursor() as cursor:
        cursor.execute(_MARK, {"project": project.pk})
        return cursor.fetchone()


def kept(
    project: Project,
    key: tuple[object, ...],
    make: Callable[[], Made],
    mark_of: Callable[[Project], tuple[object, ...]] = change_mark,
) -> Made:
    """What ``make`` returns, made anew only where the project's votes have changed since.

    Two requests for the same wait for one making.

    Args:
        mark_of: what tells a change, where it is not the votes that are read.
    """
    full = (connection.settings_dict["NAME"], project.pk, *key)
    with _guard:
        entry = _boards.setdefault(full, _Kept())
        _boards.move_to_end(full)
        while len(_boards) > MOST:
            _boards.popitem(last=False)
    with entry.lock:
        # before the votes are read: one that comes between is seen as a change the next time
        mark = mark_of(project)
        if mark != entry.mark or time.monotonic() - entry.at > LONGEST:
            entry.made, entry.mark, entry.at = make(), mark, time.monotonic()
        return entry.made  # type: ignore[return-value]
