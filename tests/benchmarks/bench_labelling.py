"""What a judgment costs the web server, over HTTP, and whether a project's size matters.

Annotators ask for a pair, hand in a verdict with a rationale and ask again (API, token, four web
processes as ``make up`` starts them), 1, 8 and 32 of them, in a project of ten thousand pairs and
one of a million, in turns, so that whatever else the machine does weighs on both. Run it by
``make bench``, or::

    python -m steelyard.servers.test_env python tests/benchmarks/bench_labelling.py

STEELYARD_BENCH_PAIRS (``10000,1000000``), STEELYARD_BENCH_ANNOTATORS (``1,8,32``) and
STEELYARD_BENCH_VERDICTS (400 for each of them in each project) make it smaller. Aims: a tenth of
what Label Studio takes a judgment, and a p95 of ``next`` with a million pairs at most 1.3 times
that with ten thousand.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "steelyard.settings")
os.environ.setdefault("STEELYARD_LOG_LEVEL", "ERROR")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import django

django.setup()

from django.core.management import call_command  # noqa: E402

from steelyard.projects.models import Project  # noqa: E402
from tests import crowd  # noqa: E402

LABEL_STUDIO_CPU_MS = 124
"""Of Label Studio 1.23.2 for an annotation (fetch and submit) with one annotator and ten thousand
tasks, four uwsgi processes on the same kind of machine; with 8 and 32 annotators 166 and 198."""

TURNS = 8


def numbers(name: str, default: str) -> list[int]:
    return [int(part) for part in os.environ.get(f"STEELYARD_BENCH_{name}", default).split(",")]


SIZES = numbers("PAIRS", "10000,1000000")
ANNOTATORS = numbers("ANNOTATORS", "1,8,32")
[VERDICTS] = numbers("VERDICTS", "400")


@dataclass
class Cell:
    """One project under one number of annotators."""

    project: Project
    people: list[crowd.Client]
    cpu: list[float] = field(default_factory=list)
    """CPU seconds a judgment, of each turn."""
    wall: float = 0
    tally: crowd.Tally = field(default_factory=crowd.Tally)

    def run(self, server: crowd.WebServer, verdicts: int) -> None:
        cpu, wall = server.cpu_seconds(), time.monotonic()
        seen = crowd.label(self.people, verdicts)
        self.cpu.append((server.cpu_seconds() - cpu) / len(seen.acknowledged))
        self.wall += time.monotonic() - wall
        self.tally.next_seconds += seen.next_seconds
        self.tally.submit_seconds += seen.submit_seconds
        self.tally.acknowledged |= seen.acknowledged
        self.tally.refused += seen.refused

    @property
    def cpu_ms(self) -> float:
        return 1000 * statistics.fmean(self.cpu)


def main() -> None:
    call_command("migrate", verbosity=0)
    projects = {}
    for size in SIZES:
        started = time.monotonic()
        projects[size] = crowd.project_of(size, overlap=2)
        say(f"{size:>9} pairs written in {time.monotonic() - started:.0f} s")
    crowd.settle_tables()
    with tempfile.TemporaryDirectory() as data, crowd.serving(Path(data)) as server:
        warm_up(server)
        for number in ANNOTATORS:
            compare(server, projects, number)


def warm_up(server: crowd.WebServer) -> None:
    """Every process has imported and connected before anything is measured."""
    crowd.label(crowd.clients(crowd.project_of(500), 16, server.address), 200)


def compare(server: crowd.WebServer, projects: dict[int, Project], number: int) -> None:
    cells = {
        size: Cell(project, crowd.clients(project, number, server.address))
        for size, project in projects.items()
    }
    for _ in range(TURNS):
        for cell in cells.values():
            cell.run(server, VERDICTS // TURNS)
    for size, cell in cells.items():
        tally, books = cell.tally, crowd.books_of(cell.project, cell.tally.acknowledged)
        say(
            f"{size:>9} pairs, {number:>2} annotators: CPU {cell.cpu_ms:5.1f} ms a judgment "
            f"(least disturbed turn {1000 * min(cell.cpu):.1f}), "
            f"{len(tally.acknowledged) / cell.wall:5.1f} /s; next {spread(tally.next_seconds)}, "
            f"submit {spread(tally.submit_seconds)}; over their overlap {books.over_overlap}, "
            f"lost {books.lost}, refused {len(tally.refused)}"
        )
    few, many = min(cells), max(cells)
    worst = max(cell.cpu_ms for cell in cells.values())
    p95 = {size: cut(cell.tally.next_seconds, 95) for size, cell in cells.items()}
    say(
        f"ratio to Label Studio's CPU ({LABEL_STUDIO_CPU_MS} ms): {worst / LABEL_STUDIO_CPU_MS:.3f}"
    )
    say(f"ratio of p95(next), {many} pairs to {few}: {p95[many] / p95[few]:.2f}")


def spread(seconds: list[float]) -> str:
    p50, p95, p99 = (1000 * cut(seconds, percent) for percent in (50, 95, 99))
    return f"p50/p95/p99 {p50:.1f}/{p95:.1f}/{p99:.1f} ms"


def cut(seconds: list[float], percent: int) -> float:
    return statistics.quantiles(seconds, n=100)[percent - 1]


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
