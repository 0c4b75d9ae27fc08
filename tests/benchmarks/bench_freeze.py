"""Freezing, beside the least it could take: rows a second to Parquet, and what memory it needs.

    python -m steelyard.servers.test_env python tests/benchmarks/bench_freeze.py

STEELYARD_BENCH_JUDGMENTS sets the size (100 000; there are 2.5 judgments a pair). The limit is
measured in the same run: psycopg copies the same rows' columns in text form and pyarrow writes them
to zstd Parquet, with no verdict, no order and no digest. Prompts have 200 characters, answers 800,
and every fifth vote a rationale of 150. Parts are measured in turn, and the best of three is told.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import django
import pyarrow as pa
import pyarrow.parquet as pq

JUDGMENTS = int(os.environ.get("STEELYARD_BENCH_JUDGMENTS", "100000"))
PAIRS = JUDGMENTS * 2 // 5
REPEATS = int(os.environ.get("STEELYARD_BENCH_REPEATS", "3"))
BATCH = 10_000
_COLUMNS = """select p.key, pr.key, pr.category, pr.messages::text, a.text, b.text, ma.name,
    mb.name, v.votes::text from annotation_pair p join annotation_prompt pr on pr.id = p.prompt_id
    join annotation_output a on a.id = p.output_a_id
    join annotation_output b on b.id = p.output_b_id
    join registry_modelversion ma on ma.id = a.model_id
    join registry_modelversion mb on mb.id = b.model_id
    join (select pair_id, jsonb_agg(jsonb_build_array(uuid, annotator_id, outcome, strength,
        rationale)) as votes from annotation_judgment where project_id = %s group by pair_id) v
    on v.pair_id = p.id"""


def main() -> None:
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    from annotation.recipe import Recipe
    from annotation.services.versions import preview, publish_version
    from steelyard.registry.comparing import compare
    from steelyard.registry.models import DatasetVersion
    from steelyard.registry.rows import Rows, jsonl
    from steelyard.registry.searching import RowFilter, search
    from steelyard.registry.statistics import statistics

    project = fill()
    version: Any = None
    limits, ours = [], []
    for repeat in range(REPEATS):
        limits.append(timed(lambda: copy_out(project.pk)))
        recipe = Recipe(ties="keep", seed=repeat)
        name = f"bench {repeat}"
        started = time.perf_counter()
        version = publish_version(project=project, dataset_name=name, recipe=recipe, by=None)
        ours.append(time.perf_counter() - started)
    in_the_background(project)
    n = version.counts["rows"]
    tell("limit: COPY to zstd Parquet", PAIRS, min(limits))
    tell("freezing to Parquet", n, min(ours))
    say(f"freezing takes {min(ours) / min(limits):.2f} times the limit")
    tell("preview of a recipe", PAIRS, timed(lambda: preview(project=project, recipe=Recipe())))
    tell("export as JSON lines", n, timed(lambda: sum(map(len, jsonl(version)))))
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


def tell(what: str, rows: int, seconds: float) -> None:
    say(f"{what}: {rows / seconds:,.0f} rows/s ({rows:,} in {seconds:.2f} s)")


def timed(step: Callable[[], Any]) -> float:
    started = time.perf_counter()
    step()
    return time.perf_counter() - started


def in_the_background(project: Any) -> None:
    """The same as a run, in a process of its own, whose memory is looked at."""
    from annotation.freeze_runner import environment
    from annotation.recipe import Recipe
    from annotation.services.versions import start_freeze

    run = start_freeze(project=project, dataset_name="run", recipe=Recipe(ties="keep"), by=None)
    run.dir.create({"kind": "freeze", "project": project.pk, **run.spec})
    idle_code = "import django; django.setup(); import annotation.freezing.content, psutil; "
    idle_code += "print(psutil.Process().memory_info().rss)"
    env = {**os.environ, **environment(run)}
    idle = int(subprocess.check_output([sys.executable, "-c", idle_code], env=env))
    started = time.perf_counter()
    child = subprocess.Popen([sys.executable, "-m", "annotation.freezing", run.dir.path], env=env)
    _pid, status, used = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - started
    result = run.dir.result()
    rows = result["counts"]["rows"] if result and not status else 0
    tell("freezing in the background", rows, seconds)
    say(f"peak memory above idle while freezing: {(used.ru_maxrss * 1024 - idle) / 2**20:.0f} MiB")


def copy_out(project: int) -> None:
    from django.db import connection

    names = ["pair", "prompt", "category", "messages", "a", "b", "model_a", "model_b", "votes"]
    schema = pa.schema([(name, pa.string()) for name in names])
    with (
        tempfile.TemporaryDirectory() as folder,
        pq.ParquetWriter(Path(folder) / "rows.parquet", schema, compression="zstd") as writer,
        connection.cursor() as cursor,
        cursor.copy(f"copy ({_COLUMNS}) to stdout", [project]) as copy,
    ):
        rows: list[tuple[Any, ...]] = []
        for row in copy.rows():
            rows.append(row)
            if len(rows) == BATCH:
                writer.write_table(pa.table(list(zip(*rows, strict=True)), schema=schema))
                rows = []
        if rows:
            writer.write_table(pa.table(list(zip(*rows, strict=True)), schema=schema))


def fill() -> Any:
    """Material like that of a real project, written with COPY."""
    from annotation.keys import pair_key, prompt_key
    from annotation.models import Annotator, Judgment, Output, Pair, Prompt
    from steelyard.projects.models import Project
    from steelyard.registry.services import register_model

    draw = random.Random(0)
    vocabulary = [
        "".join(draw.choices("abcdefghijklmnopqrst", k=draw.randint(2, 9))) for _ in range(20_000)
    ]
    slice_of = " ".join(draw.choices(vocabulary, k=200_000))

    def words(length: int) -> str:
        start = draw.randrange(len(slice_of) - length)
        return slice_of[start : start + length]

    project = Project.objects.create(
        slug=f"bench-{draw.getrandbits(32)}-{int(time.time())}", name="Bench", modality="text"
    )
    models = [
        register_model(project=project, name=f"model {n}", modality="text", family="imported")
        for n in range(12)
    ]
    people = [
        Annotator.objects.create(project=project, kind="person", name=f"rater {n:03}")
        for n in range(200)
    ]
    judged = 0
    for start in range(0, PAIRS, BATCH):
        n = min(BATCH, PAIRS - start)
        messages = [[{"role": "user", "content": words(200)}] for _ in range(n)]
        prompts = Prompt.objects.bulk_create(
            Prompt(
                project=project,
                messages=said,
                category=f"category {at % 8}",
                key=prompt_key([*said, {"n": start + at}]),
            )
            for at, said in enumerate(messages)
        )
        outputs = Output.objects.bulk_create(
            Output(
                project=project,
                prompt=prompt,
                model=draw.choice(models),
                text=words(800),
                key=f"{draw.getrandbits(256):064x}",
            )
            for prompt in prompts
            for _ in range(2)
        )
        pairs = Pair.objects.bulk_create(
            Pair(
                project=project,
                prompt=prompt,
                output_a=outputs[2 * at],
                output_b=outputs[2 * at + 1],
                key=pair_key(prompt.key, outputs[2 * at].key, outputs[2 * at + 1].key),
                wanted=3,
                judged=2 + at % 2,
            )
            for at, prompt in enumerate(prompts)
        )
        votes = []
        for at, pair in enumerate(pairs):
            for person in draw.sample(people, 2 + at % 2):
                outcome = draw.choices(["a", "b", "tie"], [5, 4, 1])[0]
                strength = {"a": -1, "b": 1}.get(outcome, 0) * draw.randint(1, 3)
                votes.append(
                    Judgment(
                        project=project,
                        pair=pair,
                        annotator=person,
                        outcome=outcome,
                        strength=strength,
                        swapped=draw.random() < 0.5,
                        rationale=words(150) if draw.random() < 0.2 else "",
                    )
                )
        Judgment.objects.bulk_create(votes, batch_size=5000)
        judged += len(votes)
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("analyze")
    say(f"{judged:,} judgments on {PAIRS:,} pairs")
    return project


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "steelyard.settings")
    sys.path.insert(0, str(Path(__file__).parents[2]))
    django.setup()
    with tempfile.TemporaryDirectory() as place:
        from django.conf import settings

        settings.VERSIONS_DIR, settings.RUNS_DIR = Path(place) / "versions", Path(place) / "runs"
        main()
