"""A real Celery worker, killed and replaced, while an engine goes on."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import connection

from steelyard.runs import launchers

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]
COUNTING = Path(__file__).parent / "counting"


def url_of_database() -> str:
    """The database of this test as a URL, for a process of its own."""
    values = connection.settings_dict
    query = urlencode({"host": values["HOST"]} if values["HOST"].startswith("/") else {})
    host = "" if query else f"{values['HOST']}:{values['PORT']}"
    return f"postgres://{values['USER']}:{values['PASSWORD']}@{host}/{values['NAME']}?{query}"


@pytest.fixture
def worker(counting: Any, tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Start a worker with beat, as ``make up`` does."""
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "counting_settings",
        "PYTHONPATH": str(COUNTING),
        "STEELYARD_DATA": str(tmp_path),
        "DATABASE_URL": url_of_database(),
    }
    command = [
        *(sys.executable, "-m", "celery", "-A", "steelyard", "worker", "--beat"),
        *("--schedule", str(tmp_path / "beat"), "--concurrency", "1", "--loglevel", "INFO"),
        *("--without-gossip", "--without-mingle"),
    ]
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        log = (tmp_path / f"worker-{len(started)}.log").open("wb")
        started.append(
            subprocess.Popen(
                command, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        )
        return started[-1]

    yield start
    for process in started:
        kill(process)


def kill(worker: subprocess.Popen[bytes]) -> None:
    """The worker and its pool, without a word."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()


def at(run: Any, step: int) -> bool:
    return ((run.dir.read_progress() or {}).get("done") or 0) >= step


def test_the_engine_outlives_its_worker_and_the_next_one_takes_its_result_in(
    counting: Any, worker: Any, until: Any
) -> None:
    run = counting(steps=120, pause=0.03, hold_at=115)
    first = worker()
    until(lambda: at(run, 20), watch=False)
    kill(first)
    engine = launchers.find(run.dir)
    assert engine is not None
    reached = run.dir.read_progress()["done"]
    until(lambda: at(run, min(reached + 20, 115)), watch=False)
    assert engine.is_alive()
    (run.dir.path / "go-on").touch()
    worker()
    until(lambda: not type(run).objects.get(pk=run.pk).is_active, watch=False, timeout=240)
    run.refresh_from_db()
    assert (run.state, run.attempt) == ("succeeded", 1)
    assert run.points.filter(name="loss").count() == 120
    assert (run.dir.path / "finished").read_text() == "once\n"


def test_a_worker_that_comes_back_revives_an_engine_that_died_with_it(
    counting: Any, worker: Any, until: Any
) -> None:
    run = counting(steps=60, hold_at=25)
    first = worker()
    until(lambda: at(run, 20), watch=False)
    kill(first)
    engine = launchers.find(run.dir)
    assert engine is not None
    engine.signal(signal.SIGKILL)
    until(lambda: not engine.is_alive(), watch=False)
    (run.dir.path / "go-on").touch()
    worker()
    until(lambda: not type(run).objects.get(pk=run.pk).is_active, watch=False, timeout=240)
    run.refresh_from_db()
    assert (run.state, run.attempt) == ("succeeded", 2)
    assert run.points.filter(name="loss").count() == 60
