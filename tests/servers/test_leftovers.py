from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from steelyard.servers import leftovers
from steelyard.servers.process import Process

Engine = Callable[[str], subprocess.Popen[str]]
WHEN_ASKED = "import signal, time\nsignal.signal(signal.SIGTERM, lambda *_: exit(75))\n"
NEVER = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """A process in a run folder with the pid file that the launcher writes."""
    made: list[subprocess.Popen[str]] = []

    def start(code: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", f"{code}print(1, flush=True)\ntime.sleep(60)"],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        made.append(process)
        assert process.stdout is not None
        process.stdout.readline()
        folder = tmp_path / "runs" / str(len(made))
        folder.mkdir(parents=True)
        known = Process.of(process.pid)
        (folder / "pid").write_text(f"{known.pid} {known.started}")
        return process

    yield start
    for process in made:
        process.kill()
        process.communicate()


def test_running_engines_are_asked_for_a_checkpoint_and_end(tmp_path: Path, engine: Engine) -> None:
    process = engine(WHEN_ASKED)
    running = leftovers.engines(tmp_path)
    assert [one.pid for one in running] == [process.pid]
    assert leftovers.end_engines(running, lambda: False) == 0
    assert process.wait(60) == 75
    assert leftovers.engines(tmp_path) == []


def test_one_that_does_not_end_is_killed_when_told_to_hurry(tmp_path: Path, engine: Engine) -> None:
    process = engine(NEVER)
    assert leftovers.end_engines(leftovers.engines(tmp_path), lambda: True) == 1
    assert process.wait(60) == -9


def test_a_pid_that_passed_to_somebody_else_is_left_alone(
    tmp_path: Path, bystander: subprocess.Popen[bytes]
) -> None:
    for number, words in enumerate((f"{bystander.pid} 12.5", "", "half", "1 2 3")):
        folder = tmp_path / "runs" / str(number)
        folder.mkdir(parents=True)
        (folder / "pid").write_text(words)
    assert leftovers.engines(tmp_path) == []


def test_children_of_a_start_that_was_killed_are_ended_by_the_next(
    tmp_path: Path, engine: Engine
) -> None:
    process, told = engine(WHEN_ASKED), list[str]()
    file = tmp_path / "up.children"
    leftovers.write_children(file, [Process.of(process.pid)])
    leftovers.end_children(file, told.append)
    assert process.wait(60) == 75
    assert str(process.pid) in told[0]
    assert not file.exists()


@pytest.mark.parametrize("text", ["", "half [", '{"pid": 1}', '[{"pid": 1}]'])
def test_a_broken_list_of_children_is_no_obstacle(tmp_path: Path, text: str) -> None:
    file = tmp_path / "up.children"
    file.write_text(text)
    leftovers.end_children(file, pytest.fail)
    assert not file.exists()
