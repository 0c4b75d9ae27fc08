"""Publishing a leaderboard, and what has become of its votes since."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from django.db import connection, transaction
from django.db.models import Max

from annotation.models import Judgment
from evaluation.board_votes import Options, counted
from evaluation.leaderboard import Standings, standings
from evaluation.models_board import PublishedBoard
from evaluation.numbers import read_numbers
from steelyard.accounts.models import User
from steelyard.lib.errors import UserError
from steelyard.projects.models import Project

_DIGEST = """
select encode(sha256(convert_to(string_agg(uuid::text, E'\\n' order by uuid), 'UTF8')), 'hex')
from annotation_judgment where id = any(%s)
"""


@transaction.atomic
def publish_board(
    *, project: Project, options: Options, title: str, note: str = "", by: User | None
) -> PublishedBoard:
    """Keep a leaderboard as it stands now, under a number that never changes.

    Raises:
        UserError: there is no rating to publish.
    """
    from evaluation.serializers_board import board_as_json

    # whoever else publishes in this project waits: numbers come without gaps
    Project.objects.select_for_update().get(pk=project.pk)
    ballots, board = _read_together(project, options)
    if not board.rated:
        raise UserError(
            board.refused
            or "No model is rated by these votes yet, so there is nothing to publish.",
            code="board_without_ratings",
        )
    last = PublishedBoard.objects.filter(project=project).aggregate(n=Max("number"))["n"] or 0
    return PublishedBoard.objects.create(
        project=project,
        number=last + 1,
        title=title.strip() or f"{project.name} {last + 1}",
        note=note,
        options=options.as_json(),
        result=board_as_json(board),
        votes=ballots.size,
        digest=_digest(ballots),
        ballots=_packed(ballots),
        code_version=code_version(),
        created_by=by,
    )


def _read_together(project: Project, options: Options) -> tuple[np.ndarray, Standings]:
    """The votes and the board that was made of them; read again where one came in between."""
    before = _ballots(project, options)
    for _ in range(5):
        board = standings(project, options)
        after = _ballots(project, options)
        if np.array_equal(before, after) and board.votes + board.others == after.size:
            return after, board
        before = after
    raise UserError(
        "Votes came in faster than the board could be read. Try again.",
        code="board_in_motion",
        status=409,
    )


def _ballots(project: Project, options: Options) -> np.ndarray:
    """Primary keys of the votes that the board counts, sorted."""
    rows = counted(project, options).standing(project)
    return np.sort(read_numbers(rows.order_by().values_list("pk"), pk="i8")["pk"])


def _digest(ballots: np.ndarray) -> str:
    with connection.cursor() as cursor:
        cursor.execute(_DIGEST, [ballots.tolist()])
        return cursor.fetchone()[0] or hashlib.sha256(b"").hexdigest()


def _packed(ballots: np.ndarray) -> bytes:
    """Sorted numbers as their steps, which are small and alike."""
    return zlib.compress(np.diff(ballots, prepend=0).astype("<i8").tobytes())


def ballots_of(published: PublishedBoard) -> np.ndarray:
    """Primary keys of the votes that it was made of, sorted."""
    steps = np.frombuffer(zlib.decompress(bytes(published.ballots)), dtype="<i8")
    return np.cumsum(steps)


@dataclass(frozen=True)
class Since:
    """What has become of a published board's votes."""

    withdrawn: int
    """Those that a withdrawal now in force is about."""
    corrected: int
    """Those that their annotator has since replaced."""
    added: int
    """Votes that the same options count today and did not then."""


def since(published: PublishedBoard) -> Since:
    """Compared with the votes as they stand now."""
    project = published.project
    then = ballots_of(published)
    of_project = Judgment.objects.filter(project=project).order_by()
    withdrawn = read_numbers(of_project.withdrawn(project).values_list("pk"), pk="i8")["pk"]
    replaced = read_numbers(of_project.filter(is_current=False).values_list("pk"), pk="i8")["pk"]
    now = _ballots(project, Options.from_json(project, published.options))
    return Since(
        withdrawn=int(np.isin(withdrawn, then).sum()),
        corrected=int(np.isin(replaced, then).sum()),
        added=int((~np.isin(now, then)).sum()),
    )


@dataclass(frozen=True)
class Change:
    """A model's place then and now; None where it had or has none."""

    model: str
    rating: float | None
    rating_now: float | None
    ranks: str
    ranks_now: str

    @property
    def difference(self) -> float | None:
        if self.rating is None or self.rating_now is None:
            return None
        return self.rating_now - self.rating


def changes(published: PublishedBoard) -> list[Change]:
    """The same options on today's votes, beside what was published."""
    from evaluation.serializers_board import board_as_json

    options = Options.from_json(published.project, published.options)
    now = board_as_json(standings(published.project, options))["standings"]
    before = {row["model"]: row for row in published.result["standings"]}
    today = {row["model"]: row for row in now}
    names = [*before, *(name for name in today if name not in before)]
    return [
        Change(
            model=name,
            rating=before.get(name, {}).get("rating"),
            rating_now=today.get(name, {}).get("rating"),
            ranks=_ranks(before.get(name)),
            ranks_now=_ranks(today.get(name)),
        )
        for name in names
    ]


def _ranks(row: dict | None) -> str:
    if row is None:
        return ""
    lo, hi = row["rank_lo"], row["rank_hi"]
    return str(lo) if lo == hi else f"{lo}–{hi}"


@cache
def code_version() -> str:
    """Of the program: its number, and its commit where it runs from a checkout."""
    try:
        number = version("steelyard")
    except PackageNotFoundError:
        number = "unknown"
    commit = _commit(Path(__file__).resolve().parents[1] / ".git")
    return f"{number}+{commit[:12]}" if commit else number


def _commit(git: Path) -> str:
    """What HEAD of a checkout is; empty where there is none."""
    try:
        head = (git / "HEAD").read_text(encoding="utf-8").strip()
        if not head.startswith("ref: "):
            return head
        name = head.removeprefix("ref: ")
        loose = git / name
        if loose.is_file():
            return loose.read_text(encoding="utf-8").strip()
        packed = (git / "packed-refs").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.split()[0] for line in packed if line.endswith(f" {name}")), "")
