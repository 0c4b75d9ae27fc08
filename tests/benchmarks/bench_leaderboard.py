"""A leaderboard of 100 models from a million votes in PostgreSQL, against evalica's points alone
and against arena-rank.

::

    STEELYARD_ARENA_RANK=/path/to/python \\
    python -m steelyard.servers.test_env python tests/benchmarks/bench_leaderboard.py [VOTES]

Ours is what the page calls: rows to ratings, intervals clustered by prompt, and rank ranges.
Evalica's is rows to ratings without any interval (its bootstrap would fit a thousand times more).
arena-rank pins JAX and NumPy, so it has an environment of its own, whose Python the variable names;
without it its lines are left out. Its time is that of votes in a data frame to ratings with
intervals, once it is warm. The strict comparison leaves it at that, while the database is in ours;
the like-for-like one adds what its user does before: the names and winners of the same rows into a
data frame, read here. CPU seconds are of this process, and of all of PostgreSQL's beside it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# ruff: noqa: T201

MODELS, PROMPTS, WORKERS = 100, 5000, 1000

PLAN = """
create temporary table plan as
select n, (power(random(), 1.5) * {models})::int % {models} as i,
       (random() * ({models} - 1))::int as step,
       (random() * {prompts})::int % {prompts} as prompt, random() as luck, random() as tie
from generate_series(1, {pairs}) n
"""
"""Uneven exposure: the first models meet more often."""

OUTPUTS = """
insert into annotation_output
    (project_id, prompt_id, model_id, text, parameters, key, created_at)
select {project}, {first_prompt} + prompt, {first_model} + (i + side * (1 + step)) % {models},
       'An answer.', '{{}}', n || '-' || side, now()
from plan, (values (0), (1)) as sides(side)
"""

PAIRS = """
insert into annotation_pair (project_id, prompt_id, output_a_id, output_b_id, key, origin,
                             priority, wanted, judged, closed, is_training, known_outcome,
                             known_reason, created_at)
select {project}, a.prompt_id, a.id, b.id, n::text, 'import', 0, 2, 2, false, false, '', '', now()
from plan
join annotation_output a on a.project_id = {project} and a.key = n || '-0'
join annotation_output b on b.project_id = {project} and b.key = n || '-1'
"""

VOTES = """
insert into annotation_judgment (uuid, project_id, pair_id, annotator_id, outcome, strength,
    aspects, rationale, tags, evidence, segments, skip_reason, swapped, exposure, details,
    is_current, created_at)
select gen_random_uuid(), {project}, id, {first_worker} + (number * 2 + vote) % {workers}, outcome,
       case outcome when 'a' then -1 when 'b' then 1 else 0 end,
       '{{}}', '', '[]', '[]', '[]', '', false, '{{}}', '{{}}', true, now()
from (
    select p.id, p.key::int as number, vote,
           case when random() < 0.14 then 'tie'
                when random() < 1 / (1 + exp((a.model_id - b.model_id) / 40.0)) then 'a'
                else 'b' end as outcome
    from annotation_pair p
    join annotation_output a on a.id = p.output_a_id
    join annotation_output b on b.id = p.output_b_id, (values (0), (1)) as votes(vote)
    where p.project_id = {project}
) as cast_votes
"""


def fill(votes: int) -> Any:
    """A project with so many votes, two a pair, all in SQL."""
    from django.db import connection

    from annotation.held import gather
    from annotation.models import Annotator, Prompt
    from steelyard.projects.models import Project
    from steelyard.registry.models import ModelVersion

    project = Project.objects.create(slug="bench", name="Bench", modality="text")
    models = ModelVersion.objects.bulk_create(
        ModelVersion(project=project, name=f"m{n:03}", modality="text", family="imported")
        for n in range(MODELS)
    )
    prompts = Prompt.objects.bulk_create(
        Prompt(project=project, messages=[], key=str(n)) for n in range(PROMPTS)
    )
    workers = Annotator.objects.bulk_create(
        Annotator(project=project, name=f"w{n}", kind="person") for n in range(WORKERS)
    )
    numbers = {
        "project": project.pk,
        "pairs": votes // 2,
        "models": MODELS,
        "prompts": PROMPTS,
        "workers": WORKERS,
        "first_model": models[0].pk,
        "first_prompt": prompts[0].pk,
        "first_worker": workers[0].pk,
    }
    with connection.cursor() as cursor:
        cursor.execute("select setseed(0.25)")
        for statement in (PLAN, OUTPUTS, PAIRS, VOTES):
            cursor.execute(statement.format(**numbers))
            cursor.execute("analyze")
        # as autovacuum and the worker would have done it, by and by
        cursor.execute("vacuum annotation_judgment")
        start = time.perf_counter()
        assert gather(project)
        print(f"their numbers gathered in {time.perf_counter() - start:.1f} s")
        cursor.execute("vacuum analyze annotation_heldbattles, annotation_battlechange")
    return project


ARENA_RANK = """
import sys, time
import pandas as pd
from arena_rank.models.bradley_terry import BradleyTerry
from arena_rank.utils.data_utils import PairDataset

frame = pd.read_csv(sys.argv[1])
for turn in range(3):
    wall, cpu = time.perf_counter(), time.process_time()
    data = PairDataset.from_pandas(frame)
    model = BradleyTerry(n_competitors=len(data.competitors))
    model.compute_ratings_and_cis(data, significance_level=0.05)
    print(time.perf_counter() - wall, time.process_time() - cpu, flush=True)
"""
"""The first turn compiles; the others are warm."""


def ours(project: Any) -> Any:
    from evaluation import kept
    from evaluation.leaderboard import standings

    kept._boards.clear()
    return standings(project, source="people")


def ours_again(project: Any) -> Any:
    """The page's second call, with no vote between."""
    from evaluation.leaderboard import standings

    return standings(project, source="people")


def ours_read(project: Any) -> Any:
    """Only the rows from the database."""
    from evaluation.board_votes import Options, counted, read_votes

    return read_votes(project, counted(project, Options()).standing(project))


FRAME = """
select a.name, b.name, case outcome when 'a' then 'model_a' when 'b' then 'model_b' else outcome end
from annotation_judgment
join registry_modelversion a on a.id = battle_a
join registry_modelversion b on b.id = battle_b
where annotation_judgment.project_id = %s and is_current and outcome <> 'skip'
      and battle_a <> battle_b
"""


def frame(project: Any) -> Any:
    """Votes as arena-rank takes them."""
    import pandas as pd
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(FRAME, [project.pk])
        return pd.DataFrame(cursor.fetchall(), columns=["model_a", "model_b", "winner"])


def arena_ranks(python: str, votes: Any) -> tuple[float, float] | None:
    """Wall and CPU seconds of arena-rank once it is warm; None where it is not there."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "votes.csv"
        votes.to_csv(file, index=False)
        command = [python, "-c", ARENA_RANK, str(file)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"arena-rank failed: {done.stderr.strip().splitlines()[-1]}")
        return None
    turns = [tuple(map(float, line.split())) for line in done.stdout.splitlines()]
    wall, cpu = (min(turn[at] for turn in turns[1:]) for at in (0, 1))
    name = "arena-rank, votes in memory to intervals, warm"
    print(f"{name:<52} {wall:7.2f} s wall {cpu:7.2f} s CPU")
    print(f"{'  (its first call, which compiles)':<52} {turns[0][0]:7.2f} s wall")
    return wall, cpu


def database_cpu() -> float:
    """CPU seconds of all of PostgreSQL so far, workers that have ended among them; 0 where it does
    not run here."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("select pg_backend_pid()")
        backend = cursor.fetchone()[0]
    tick = os.sysconf("SC_CLK_TCK")

    def stat(pid: int | str) -> list[str]:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()

    try:
        postmaster = stat(backend)[1]
        own = stat(postmaster)
        total = sum(map(int, own[11:15]))
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                one = stat(entry.name)
            except OSError:
                continue
            if one[1] == postmaster:
                total += int(one[11]) + int(one[12])
    except OSError:
        return 0.0
    return total / tick


def rows(project: Any) -> list[tuple[Any, ...]]:
    """Every vote as it is: prompt, models, outcome."""
    from annotation.models import Judgment

    return list(
        Judgment.objects.rated()
        .by_people()
        .filter(project=project)
        .order_by()
        .values_list(
            "pair__prompt_id",
            "pair__output_a__model__name",
            "pair__output_b__model__name",
            "outcome",
        )
    )


def evalicas(project: Any) -> Any:
    import evalica

    winners = {"a": evalica.Winner.X, "b": evalica.Winner.Y, "tie": evalica.Winner.Draw}
    found = rows(project)
    return evalica.bradley_terry(
        [row[1] for row in found],
        [row[2] for row in found],
        [winners[row[3]] for row in found],
        tolerance=1e-13,
        limit=100_000,
    )


def timed(name: str, work: Callable[[], Any], times: int = 3) -> tuple[Any, float, float]:
    """The result, and the best wall and CPU seconds of a few calls."""
    walls, cpus, theirs = [], [], []
    for _ in range(times):
        before, wall, cpu = database_cpu(), time.perf_counter(), time.process_time()
        result = work()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
        theirs.append(database_cpu() - before)
    print(
        f"{name:<52} {min(walls):7.2f} s wall {min(cpus):7.2f} s CPU "
        f"{min(theirs):6.2f} s of PostgreSQL"
    )
    return result, min(walls), min(cpus) + min(theirs)


def from_arrays(project: Any) -> Callable[[], Any]:
    """The engine alone on single votes in memory."""
    import numpy as np

    from evaluation.engine.ratings import leaderboard

    found = rows(project)
    worth = {"a": 1.0, "b": 0.0, "tie": 0.5}
    prompt = np.array([row[0] for row in found])
    i, j = (np.array([int(row[side][1:]) for row in found]) for side in (1, 2))
    y = np.array([worth[row[3]] for row in found])
    return lambda: leaderboard(prompt, i, j, y, MODELS)


def main(votes: int) -> None:
    start = time.perf_counter()
    project = fill(votes)
    print(f"{votes:,} votes made in {time.perf_counter() - start:.0f} s")
    board, wall, cpu = timed(
        "ours, rows to ratings with intervals and ranks", lambda: ours(project)
    )
    timed("  of which the rows from the database", lambda: ours_read(project))
    timed("ours again, no vote between", lambda: ours_again(project))
    scores, their_wall, their_cpu = timed("evalica, rows to points", lambda: evalicas(project))
    timed("ours, votes in memory to the same", from_arrays(project))
    import numpy as np

    points = {standing.model.name: standing.row.rating for standing in board.groups[0]}
    logs = np.log(scores.scores)
    theirs = 1000 + 400 / np.log(10) * (logs - logs.mean())
    gap = max(abs(points[name] - theirs[name]) for name in points)
    print(f"{len(points)} models from {board.votes:,} votes; points differ by at most {gap:.1e}")
    assert gap < 1e-6, "evalica gives other ratings"
    print(f"evalica / ours: {their_wall / wall:.1f} in wall time, {their_cpu / cpu:.1f} in CPU")
    python = os.environ.get("STEELYARD_ARENA_RANK", "")
    if not python:
        print("arena-rank / ours: left out, STEELYARD_ARENA_RANK names no Python that has it")
        return
    votes_of, read_wall, read_cpu = timed("the same rows to a data frame", lambda: frame(project))
    arena = arena_ranks(python, votes_of)
    if arena:
        both = arena[0] + read_wall, arena[1] + read_cpu
        for name, (theirs_wall, theirs_cpu) in (
            ("its votes in memory, ours from rows (strict)", arena),
            ("both from the same rows (like for like)", both),
        ):
            print(
                f"arena-rank / ours, {name}: "
                f"{theirs_wall / wall:.1f} in wall time, {theirs_cpu / cpu:.1f} in CPU"
            )


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "steelyard.settings")
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
