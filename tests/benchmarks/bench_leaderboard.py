"""A leaderboard of 100 models from a million votes in PostgreSQL, against evalica's points alone.

::

    python -m steelyard.servers.test_env python tests/benchmarks/bench_leaderboard.py [VOTES]

Ours is what the page calls: rows to ratings, intervals clustered by prompt, and rank ranges.
Evalica's is rows to ratings without any interval (its bootstrap would fit a thousand times more).
CPU seconds are of this process; wall seconds have the database's work in them.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
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
    return project


def ours(project: Any) -> Any:
    from evaluation.leaderboard import standings

    return standings(project, source="people")


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
        [row[1] for row in found], [row[2] for row in found], [winners[row[3]] for row in found]
    )


def timed(name: str, work: Callable[[], Any], times: int = 3) -> tuple[Any, float, float]:
    """The result, and the best wall and CPU seconds of a few calls."""
    walls, cpus = [], []
    for _ in range(times):
        wall, cpu = time.perf_counter(), time.process_time()
        result = work()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    print(f"{name:<52} {min(walls):7.2f} s wall {min(cpus):7.2f} s CPU")
    return result, min(walls), min(cpus)


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
    scores, their_wall, their_cpu = timed("evalica, rows to points", lambda: evalicas(project))
    timed("ours, votes in memory to the same", from_arrays(project))
    import numpy as np

    points = {standing.model.name: standing.row.rating for standing in board.groups[0]}
    logs = np.log(scores.scores)
    theirs = 1000 + 400 / np.log(10) * (logs - logs.mean())
    gap = max(abs(points[name] - theirs[name]) for name in points)
    print(f"{len(points)} models from {board.votes:,} votes; points differ by at most {gap:.1e}")
    print(f"evalica / ours: {their_wall / wall:.1f} in wall time, {their_cpu / cpu:.1f} in CPU")


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "steelyard.settings")
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
