"""Freezing, beside the least it could take: rows a second to Parquet, and what memory it needs.

    python -m steelyard.servers.test_env python tests/benchmarks/bench_freeze.py

STEELYARD_BENCH_JUDGMENTS sets the size (a million; there are 2.5 judgments a pair). The limit is
measured in the same run: ADBC copies the same rows' columns and pyarrow writes them to zstd Parquet
as they come, with no verdict, no order and no digest; votes with their pairs or in a file of their
own, and the quicker of the two is the limit. Prompts have 200 characters, answers 800, and every
fifth vote a rationale of 150. Freezing is the run that a site starts for so many votes. The two are
measured in turn, and the best of some compared.
"""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import django
import psutil
import pyarrow.parquet as pq

JUDGMENTS = int(os.environ.get("STEELYARD_BENCH_JUDGMENTS", "1000000"))
PAIRS = JUDGMENTS * 2 // 5
REPEATS = int(os.environ.get("STEELYARD_BENCH_REPEATS", "2"))
_PAIRS = """select p.key, pr.key as prompt_key, pr.category, pr.messages::text, a.text as text_a,
    b.text as text_b, ma.name as model_a, mb.name as model_b{votes}
    from annotation_pair p join annotation_prompt pr on pr.id = p.prompt_id
    join annotation_output a on a.id = p.output_a_id
    join annotation_output b on b.id = p.output_b_id
    join registry_modelversion ma on ma.id = a.model_id
    join registry_modelversion mb on mb.id = b.model_id {joined} where p.project_id = {project}"""
_GROUPED = """join (select pair_id, jsonb_agg(jsonb_build_array(uuid, annotator_id, outcome,
    strength, rationale))::text as votes from annotation_judgment where project_id = {project}
    group by pair_id) v on v.pair_id = p.id"""
_VOTES = """select pair_id, uuid::text, annotator_id, outcome, strength, rationale
    from annotation_judgment where project_id = {project}"""
WAYS = {
    "votes with their pairs": [(_PAIRS, ", v.votes", _GROUPED)],
    "votes in a file of their own": [(_PAIRS, "", ""), (_VOTES, "", "")],
}


def main() -> None:
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    from annotation.recipe import Recipe
    from annotation.services.versions import preview
    from steelyard.registry.comparing import compare
    from steelyard.registry.models import DatasetVersion
    from steelyard.registry.rows import Rows, jsonl
    from steelyard.registry.searching import RowFilter, search
    from steelyard.registry.statistics import statistics

    project = fill()
    limits: dict[str, list[Took]] = {way: [] for way in WAYS}
    ours = []
    version: Any = None
    for repeat in range(REPEATS):
        for way, took in limits.items():
            took.append(measured(lambda way=way: copy_out(project.pk, way)))
            tell(f"limit, ADBC COPY to zstd Parquet, {way}", PAIRS, took[-1])
        run, peak, version = in_the_background(project, repeat)
        ours.append(run)
        tell("freezing to Parquet, in the background", version.counts["rows"], run)
        say(f"peak memory above idle while freezing: {peak:.0f} MiB")
    limit, best = min(map(min, limits.values())), min(ours)
    n = version.counts["rows"]
    say(f"freezing takes {best.wall / limit.wall:.2f} times the limit")
    say(f"in processor time {best.processor / limit.processor:.2f} times")
    tell("preview of a recipe", PAIRS, measured(lambda: preview(project=project, recipe=Recipe())))
    tell("export as JSON lines", n, measured(lambda: sum(map(len, jsonl(version)))))
    size = sum(path.stat().st_size for path in version.files)
    seconds = timed(lambda: [path.read_bytes() for path in version.files])
    say(f"export as Parquet: {size / 2**20 / seconds:.0f} MiB/s, {len(version.files)} files")
    say(f"a page of rows: {1000 * timed(lambda: Rows(version)[n - 20 : n]):.0f} ms")
    for what, asked in (
        ("a category", RowFilter(category="category 3", split="test")),
        ("words that are rare", RowFilter(q="no row says this")),
    ):
        first = 1000 * timed(lambda asked=asked: search(version, asked)[:20])
        again = 1000 * timed(lambda asked=asked: search(version, asked)[20:40])
        say(f"rows by {what}: {first:.0f} ms, the next page {again:.0f} ms")
    other = DatasetVersion.objects.filter(project=project).exclude(pk=version.pk).first() or version
    say(f"difference of two versions: {1000 * timed(lambda: compare(other, version)):.0f} ms")
    say(f"statistics: {1000 * timed(lambda: statistics(version)):.0f} ms, once")


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


@dataclass(order=True)
class Took:
    wall: float
    client: float
    """Seconds of a processor."""
    database: float
    """The same, of its server; 0 where that is on another machine."""

    @property
    def processor(self) -> float:
        return self.client + self.database


def tell(what: str, rows: int, took: Took) -> None:
    say(
        f"{what}: {rows / took.wall:,.0f} rows/s ({rows:,} in {took.wall:.2f} s; processor "
        f"{took.client:.2f} s, and the database's {took.database:.2f} s)"
    )


def measured(step: Callable[[], Any]) -> Took:
    before = of_database(), time.process_time(), time.perf_counter()
    step()
    after = of_database(), time.process_time(), time.perf_counter()
    database, client, wall = (b - a for a, b in zip(before, after, strict=True))
    return Took(wall, client, database)


def of_database() -> float:
    """Seconds of a processor that the database's server has used, where it is on this machine."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("select pg_backend_pid()")
        (pid,) = cursor.fetchone()
    try:
        server = psutil.Process(pid).parent()
    except psutil.NoSuchProcess:
        return 0.0
    if server is None:
        return 0.0
    there = 0.0
    for child in server.children():
        with contextlib.suppress(psutil.NoSuchProcess):
            there += sum(child.cpu_times()[:2])
    return sum(server.cpu_times()[:4]) + there


def timed(step: Callable[[], Any]) -> float:
    started = time.perf_counter()
    step()
    return time.perf_counter() - started


def in_the_background(project: Any, number: int) -> tuple[Took, float, Any]:
    """The run that a site starts for so many votes, with the start of its process: what it took,
    MiB at its peak above an idle one, and the version."""
    from annotation.freeze_runner import environment, finish
    from annotation.recipe import Recipe
    from annotation.services.versions import start_freeze
    from steelyard.registry.models import DatasetVersion

    recipe = Recipe(ties="keep", seed=number)
    run = start_freeze(project=project, dataset_name=f"bench {number}", recipe=recipe, by=None)
    run.dir.create({"kind": "freeze", "project": project.pk, **run.spec})
    idle_code = "import django; django.setup(); import annotation.freezing.content, psutil; "
    idle_code += "print(psutil.Process().memory_info().rss)"
    env = {**os.environ, **environment(run)}
    idle = int(subprocess.check_output([sys.executable, "-c", idle_code], env=env))
    database, started = of_database(), time.perf_counter()
    child = subprocess.Popen([sys.executable, "-m", "annotation.freezing", run.dir.path], env=env)
    _pid, status, used = os.wait4(child.pid, 0)
    wall = time.perf_counter() - started
    took = Took(wall, used.ru_utime + used.ru_stime, of_database() - database)
    result = run.dir.result()
    if status or result is None:
        sys.exit(f"freezing ended with {status}: {run.dir.log_tail()}")
    finish(run, result)
    version = DatasetVersion.objects.get(pk=run.spec["version"])
    return took, (used.ru_maxrss * 1024 - idle) / 2**20, version


def copy_out(project: int, way: str) -> None:
    """The least that it could take: the same columns out of the database and into zstd Parquet by
    ADBC, in whatever order they come."""
    import adbc_driver_postgresql.dbapi as adbc

    from annotation.freezing.address import database_url

    with adbc.connect(database_url()) as there, there.cursor() as cursor:
        for sql, votes, joined in WAYS[way]:
            values = {"project": project, "votes": votes}
            cursor.execute(sql.format(joined=joined.format(**values), **values))
            rows = cursor.fetch_record_batch()
            with (
                tempfile.TemporaryDirectory() as folder,
                pq.ParquetWriter(f"{folder}/rows", rows.schema, compression="zstd") as writer,
            ):
                for batch in rows:
                    writer.write_batch(batch)


def fill() -> Any:
    """Material like that of a real project, made by the database itself."""
    from django.db import connection

    from annotation.models import Annotator
    from steelyard.projects.models import Project
    from steelyard.registry.services import register_model

    draw = random.Random(0)
    vocabulary = [
        "".join(draw.choices("abcdefghijklmnopqrst", k=draw.randint(2, 9))) for _ in range(20_000)
    ]
    some = " ".join(draw.choices(vocabulary, k=400_000)).encode()
    project = Project.objects.create(
        slug=f"bench-{time.time_ns()}", name="Bench", modality="text", overlap=3
    )
    models = [
        register_model(project=project, name=f"model {n}", modality="text", family="imported").pk
        for n in range(12)
    ]
    people = [
        Annotator.objects.create(project=project, kind="person", name=f"rater {n:03}").pk
        for n in range(200)
    ]
    started = time.perf_counter()
    with connection.cursor() as cursor:
        cursor.execute("create temporary table words as select %s::bytea as said", [some])
        cursor.execute("alter table words alter said set storage external")
        cursor.execute(
            """create function pg_temp.words(n integer) returns text language plpgsql as $$
            begin return convert_from(substring((select said from words)
                from 1 + (random() * 2000000)::integer for n), 'UTF8'); end $$"""
        )
        values = {"project": project.pk, "pairs": PAIRS, "models": models, "people": people}
        for sql in _FILL:
            cursor.execute(sql, values)
        cursor.execute(
            "select count(*) from annotation_judgment where project_id = %(project)s", values
        )
        (judged,) = cursor.fetchone()
        cursor.execute("vacuum analyze")
    say(f"{judged:,} judgments on {PAIRS:,} pairs, made in {time.perf_counter() - started:.0f} s")
    return project


_FILL = (
    """insert into annotation_prompt (project_id, messages, media, category, reference_answer,
        held_out, key, created_at)
    select %(project)s, jsonb_build_array(jsonb_build_object('role', 'user', 'content',
        pg_temp.words(200))), '[]', 'category ' || n %% 8, '', false,
        encode(sha256(('p' || n)::bytea), 'hex'), now() from generate_series(1, %(pairs)s) n""",
    """insert into annotation_output (project_id, prompt_id, model_id, text, parameters, key,
        created_at)
    select project_id, id, (%(models)s::bigint[])[1 + (id * 7 + side * 5 + id / 12) %% 12],
        pg_temp.words(800), '{}', encode(sha256((id || ' ' || side)::bytea), 'hex'), now()
    from annotation_prompt, generate_series(0, 1) side where project_id = %(project)s""",
    """insert into annotation_pair (project_id, prompt_id, output_a_id, output_b_id, key, origin,
        priority, wanted, judged, closed, is_training, known_outcome, known_reason, created_at)
    select %(project)s, prompt_id, min(id), max(id),
        encode(sha256(('k' || prompt_id)::bytea), 'hex'), 'import', 0, 3, 2 + prompt_id %% 2, false,
        false, '', '', now()
    from annotation_output where project_id = %(project)s group by prompt_id""",
    """insert into annotation_judgment (uuid, project_id, pair_id, annotator_id, outcome, strength,
        aspects, rationale, tags, evidence, segments, skip_reason, swapped, exposure, details,
        duration_ms, is_current, created_at)
    select gen_random_uuid(), %(project)s, id,
        (%(people)s::bigint[])[1 + (id * 13 + place * 71) %% 200],
        case when said < 5 then 'a' when said < 9 then 'b' else 'tie' end,
        case when said < 5 then -1 when said < 9 then 1 else 0 end * strength, '{}',
        case when (id + place) %% 5 = 0 then pg_temp.words(150) else '' end, '[]', '[]', '[]', '',
        random() < 0.5, '{}', '{}', 5000, true, now()
    from (select id, place, floor(random() * 10)::integer as said,
            1 + floor(random() * 3)::integer as strength
        from annotation_pair, generate_series(1, 3) place
        where project_id = %(project)s and place <= judged) as votes""",
)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "steelyard.settings")
    sys.path.insert(0, str(Path(__file__).parents[2]))
    django.setup()
    with tempfile.TemporaryDirectory() as place:
        from django.conf import settings

        settings.VERSIONS_DIR, settings.RUNS_DIR = Path(place) / "versions", Path(place) / "runs"
        main()
