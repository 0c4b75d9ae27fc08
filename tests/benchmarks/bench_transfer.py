"""Bringing files in and writing versions out, as runs in processes of their own.

    python -m steelyard.servers.test_env python tests/benchmarks/bench_transfer.py

STEELYARD_BENCH_ROWS sets the size (a million rows, each a vote; 2.5 on a pair). Prompts have 200
characters, answers 800. Beside the numbers stand those that were measured of Label Studio 1.23.2:
1 618 tasks a second in; out, of 10 thousand tasks, 142 rows a second, 400 of its processor's, and
of 100 thousand none, for its server gave up after 300 seconds.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django

ROWS = int(os.environ.get("STEELYARD_BENCH_ROWS", "1000000"))
PEER_IN, PEER_OUT = 1618, 142
PEER_FAILED = (
    "Label Studio's export of 100 thousand tasks failed after 300 s, with an empty answer\n"
)


def main() -> None:
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    from annotation import export_runner, import_runner
    from annotation.recipe import Recipe
    from annotation.services import transfer
    from annotation.services.versions import publish_version
    from annotation.transfer.outgoing import Order
    from steelyard.projects.models import Project

    project: Any = None
    for mode in ("good", "all"):
        project = Project.objects.create(
            slug=f"bench-{mode}-{int(time.time())}", name="Bench", modality="text"
        )
        with tempfile.NamedTemporaryFile(suffix=".jsonl") as file:
            file.writelines(lines())
            file.seek(0)
            upload = transfer.receive(project=project, name="pairs.jsonl", data=file, by=None)
        run = transfer.start_import(
            project=project, upload=upload, said={"mode": mode}, by=None, background=True
        )
        done = driven(run, import_runner, f"import, mode {mode}", "rows", PEER_IN)
        assert done["judgments"] == ROWS, done
    version = publish_version(
        project=project, dataset_name="All", recipe=Recipe(ties="keep"), by=None
    )
    for container in ("jsonl", "parquet"):
        order = Order("trl_preference", container)
        run = transfer.start_export(version=version, order=order, by=None, background=True)
        driven(run, export_runner, f"export as TRL preference, {container}", "rows", PEER_OUT)
    sys.stdout.write(PEER_FAILED)


def driven(run: Any, runner: Any, what: str, count: str, peer: int) -> dict[str, Any]:
    """Do a run in its process, and tell how fast it was and what memory it took above idle."""
    run.dir.create(runner.prepare(run))
    env = {**os.environ, **runner.environment(run)}
    idle_code = f"import django; django.setup(); import psutil, {_WORK[run.kind]}; "
    idle_code += "print(psutil.Process().memory_info().rss)"
    idle = int(subprocess.check_output([sys.executable, "-c", idle_code], env=env))
    started = time.perf_counter()
    child = subprocess.Popen([sys.executable, "-m", runner.engine, run.dir.path], env=env)
    _pid, _status, used = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - started
    result: dict[str, Any] = run.dir.result() or {}
    assert result.get("status") == "succeeded", result
    rate = result[count] / seconds
    above = (used.ru_maxrss * 1024 - idle) / 2**20
    processor = used.ru_utime + used.ru_stime
    sys.stdout.write(
        f"{what}: {rate:,.0f} rows/s ({result[count]:,} in {seconds:.1f} s, with the start of its "
        f"process), {rate / peer:.1f} times Label Studio's {peer:,}; {processor:.1f} s of the "
        f"processor, so {result[count] / processor:,.0f} rows a second of it; peak memory above "
        f"idle {above:.0f} MiB\n"
    )
    sys.stdout.flush()
    return result


_WORK = {"import": "annotation.transfer.incoming", "export": "annotation.transfer.outgoing"}


def lines() -> Iterator[bytes]:
    """Votes of two or three people on each pair."""
    draw = random.Random(0)
    vocabulary = [
        "".join(draw.choices("abcdefghijklmnopqrst", k=draw.randint(2, 9))) for _ in range(20_000)
    ]
    slice_of = " ".join(draw.choices(vocabulary, k=200_000))

    def words(length: int) -> str:
        start = draw.randrange(len(slice_of) - length)
        return slice_of[start : start + length]

    left = ROWS
    number = 0
    while left:
        number += 1
        pair = {
            "prompt": f"{number} {words(200)}",
            "a": words(800),
            "b": words(800),
            "model_a": f"model {number % 6}",
            "model_b": f"model {6 + number % 6}",
            "category": f"category {number % 8}",
        }
        votes = min(left, 2 + number % 2)
        for person in draw.sample(range(200), votes):
            outcome = draw.choices(["a", "b", "tie"], [5, 4, 1])[0]
            vote = {"annotator": f"rater {person:03}", "outcome": outcome}
            yield json.dumps(pair | vote).encode() + b"\n"
        left -= votes


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "steelyard.settings")
    sys.path.insert(0, str(Path(__file__).parents[2]))
    django.setup()
    with tempfile.TemporaryDirectory() as place:
        from django.conf import settings

        settings.DATA_DIR = Path(place)
        settings.VERSIONS_DIR, settings.RUNS_DIR = Path(place) / "versions", Path(place) / "runs"
        main()
