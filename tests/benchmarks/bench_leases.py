"""Whether anything is lost or handed out twice while web processes die.

100,000 judgments by 64 annotators at once, by the API, on four web processes of which one, or all
with their master, are killed with ``kill -9`` at random moments and started again. At the end the
database's books are looked through. Run it by ``make bench``, or::

    python -m steelyard.servers.test_env python tests/benchmarks/bench_leases.py

STEELYARD_BENCH_JUDGMENTS makes it smaller. It ends with an error where a pair has more judgments
than its overlap, an acknowledged judgment is not there, or a person judged a pair twice.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "steelyard.settings")
os.environ.setdefault("STEELYARD_LOG_LEVEL", "ERROR")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import django

django.setup()

from django.core.management import call_command  # noqa: E402

from tests import crowd  # noqa: E402

JUDGMENTS = int(os.environ.get("STEELYARD_BENCH_JUDGMENTS", "100000"))
ANNOTATORS, OVERLAP = 64, 3


def main() -> None:
    call_command("migrate", verbosity=0)
    # so many pairs that the last of them are raced for
    project = crowd.project_of(-(-JUDGMENTS // OVERLAP), overlap=OVERLAP, lease_seconds=30)
    crowd.settle_tables()
    with tempfile.TemporaryDirectory() as data, crowd.serving(Path(data)) as server:
        people = crowd.clients(project, ANNOTATORS, server.address)
        started = time.monotonic()
        tally = crowd.Tally()
        with crowd.killing(server, tally, every=(100, 1500), all_of=0.2) as kills:
            crowd.label(people, JUDGMENTS, tally)
        taken = time.monotonic() - started
    books = crowd.books_of(project, tally.acknowledged)
    refused = ", ".join(sorted(set(tally.refused))) or "none"
    say(
        f"{books.judgments} judgments by {ANNOTATORS} annotators in {taken:.0f} s "
        f"({books.judgments / taken:.0f} /s), {len(tally.acknowledged)} acknowledged, "
        f"{len(tally.refused)} refused ({refused}); killed {kills.count('one')} processes and "
        f"{kills.count('all')} times all"
    )
    say(
        f"p50 of next {1000 * statistics.median(tally.next_seconds):.0f} ms, of submit "
        f"{1000 * statistics.median(tally.submit_seconds):.0f} ms"
    )
    say(f"ratio of pairs over their overlap: {books.over_overlap} of {-(-JUDGMENTS // OVERLAP)}")
    say(f"ratio of acknowledged judgments lost: {books.lost} of {len(tally.acknowledged)}")
    say(f"pairs miscounted {books.miscounted}, judged twice by one person {books.twice_by_one}")
    if books.over_overlap or books.lost or books.miscounted or books.twice_by_one:
        sys.exit("The books are not in order.")


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
