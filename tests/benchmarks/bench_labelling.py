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

STEELYARD_LABEL_STUDIO names the Python of a virtual environment with label-studio (see
tests/label_studio.py). Then Label Studio does the same work beside it, turn by turn: on the same
PostgreSQL server, with as many processes, with as many tasks as the smallest project has pairs.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "steelyard.settings")
os.environ.setdefault("STEELYARD_LOG_LEVEL", "ERROR")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import django

django.setup()

from django.core.management import call_command  # noqa: E402

from steelyard.projects.models import Project  # noqa: E402
from tests import crowd, label_studio  # noqa: E402

LABEL_STUDIO_CPU_MS = 124
"""Of Label Studio 1.23.2 for an annotation (fetch and submit) with one annotator and ten thousand
tasks, four uwsgi processes on the same kind of machine; with 8 and 32 annotators 166 and 198."""

LABEL_STUDIO = os.environ.get("STEELYARD_LABEL_STUDIO", "")

TURNS = 8


def numbers(name: str, default: str) -> list[int]:
    return [int(part) for part in os.environ.get(f"STEELYARD_BENCH_{name}", default).split(",")]


SIZES = numbers("PAIRS", "10000,1000000")
ANNOTATORS = numbers("ANNOTATORS", "1,8,32")
[VERDICTS] = numbers("VERDICTS", "400")


@dataclass
class Cell:
    """One project under one number of annotators."""

    people: Sequence[crowd.Worker]
    cpu_seconds: Callable[[], float]
    """Of the processes that serve them, so far."""
    cpu: list[float] = field(default_factory=list)
    """CPU seconds a judgment, of each turn."""
    wall: float = 0
    tally: crowd.Tally = field(default_factory=crowd.Tally)

    def run(self, verdicts: int) -> None:
        cpu, wall = self.cpu_seconds(), time.monotonic()
        seen = crowd.label(self.people, verdicts)
        self.cpu.append((self.cpu_seconds() - cpu) / len(seen.acknowledged))
        self.wall += time.monotonic() - wall
        self.tally.next_seconds += seen.next_seconds
        self.tally.submit_seconds += seen.submit_seconds
        self.tally.acknowledged |= seen.acknowledged
        self.tally.refused += seen.refused

    @property
    def cpu_ms(self) -> float:
        return 1000 * statistics.fmean(self.cpu)

    def told(self) -> str:
        return (
            f"CPU {self.cpu_ms:5.1f} ms a judgment "
            f"(least disturbed turn {1000 * min(self.cpu):.1f}), "
            f"{len(self.tally.acknowledged) / self.wall:5.1f} /s; "
            f"next {spread(self.tally.next_seconds)}, submit {spread(self.tally.submit_seconds)}"
        )


def main() -> None:
    call_command("migrate", verbosity=0)
    projects = {}
    for size in SIZES:
        started = time.monotonic()
        projects[size] = crowd.project_of(size, overlap=2)
        say(f"{size:>9} pairs written in {time.monotonic() - started:.0f} s")
    crowd.settle_tables()
    with ExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(crowd.serving(data))
        studio = stack.enter_context(beside(data)) if LABEL_STUDIO else None
        warm_up(server, studio)
        for number in ANNOTATORS:
            compare(server, studio, projects, number)


def beside(data: Path) -> AbstractContextManager[label_studio.Studio]:
    return label_studio.serving(
        Path(LABEL_STUDIO), data, tasks=min(SIZES), people=max(*ANNOTATORS, 8)
    )


def warm_up(server: crowd.WebServer, studio: label_studio.Studio | None) -> None:
    """Every process has imported and connected before anything is measured."""
    crowd.label(crowd.clients(crowd.project_of(500), 16, server.address), 200)
    if studio:
        crowd.label(studio.people[:8], 24)


def compare(
    server: crowd.WebServer,
    studio: label_studio.Studio | None,
    projects: dict[int, Project],
    number: int,
) -> None:
    cells = {
        size: Cell(crowd.clients(project, number, server.address), server.cpu_seconds)
        for size, project in projects.items()
    }
    other = Cell(studio.people[:number], studio.cpu_seconds) if studio else None
    for _ in range(TURNS):
        for cell in [*cells.values(), *([other] if other else [])]:
            cell.run(VERDICTS // TURNS)
    for size, cell in cells.items():
        books = crowd.books_of(projects[size], cell.tally.acknowledged)
        say(
            f"{size:>9} pairs, {number:>2} annotators: {cell.told()}; over their overlap "
            f"{books.over_overlap}, lost {books.lost}, refused {len(cell.tally.refused)}"
        )
    few, many = min(cells), max(cells)
    worst = max(cell.cpu_ms for cell in cells.values())
    p95 = {size: cut(cell.tally.next_seconds, 95) for size, cell in cells.items()}
    if other:
        say(
            f"Label Studio, {min(SIZES)} tasks, {number:>2} annotators: {other.told()}; "
            f"refused {len(other.tally.refused)}"
        )
        ratio = cells[min(SIZES)].cpu_ms / other.cpu_ms
        say(f"ratio to Label Studio's CPU beside it: {ratio:.3f}")
    else:
        known = LABEL_STUDIO_CPU_MS
        say(f"ratio to Label Studio's CPU ({known} ms, measured before): {worst / known:.3f}")
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
