from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from steelyard.servers import children
from steelyard.servers.children import Child
from steelyard.servers.process import wait_until

MakeChild = Callable[[str], Child]


@pytest.fixture
def child(tmp_path: Path) -> Iterator[MakeChild]:
    made: list[Child] = []

    def make(code: str) -> Child:
        log = tmp_path / "logs" / "child.log"
        one = Child("web", [sys.executable, "-c", code], tmp_path, dict(os.environ), log)
        made.append(one)
        return one

    yield make
    for one in made:
        one.stop(0)


def test_what_it_prints_goes_to_its_log(child: MakeChild) -> None:
    one = child("print('hello')")
    one.start()
    assert wait_until(lambda: not one.is_running(), 60)
    assert one.log.read_text() == "hello\n"


def test_one_that_ends_is_started_again_a_little_later_each_time(
    child: MakeChild, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(children.time, "monotonic", lambda: now)
    one = child("raise SystemExit(3)")
    one.start()
    for pause in ("1 s", "2 s", "4 s"):
        assert one.process is not None
        one.process.wait()
        news = one.tend()
        assert news is not None
        assert "web ended with exit code 3" in news
        assert pause in news
        assert one.tend() is None
        assert one.process is None
        now += 5
        one.tend()
        assert one.process is not None


def test_a_kill_is_told_by_name(child: MakeChild) -> None:
    one = child("import time; time.sleep(60)")
    one.start()
    assert one.process is not None
    os.kill(one.process.pid, signal.SIGKILL)
    one.process.wait()
    assert "was killed by SIGKILL" in (one.tend() or "")


def test_what_a_killed_one_leaves_behind_is_cleared(child: MakeChild) -> None:
    one = child(
        "import subprocess, time; p = subprocess.Popen(['sleep', '60']);"
        "print(p.pid, flush=True); time.sleep(60)"
    )
    one.start()
    assert one.process is not None
    assert wait_until(lambda: one.log.read_text().strip().isdigit(), 60)
    left = psutil.Process(int(one.log.read_text()))
    os.kill(one.process.pid, signal.SIGKILL)
    one.process.wait()
    one.tend()
    assert wait_until(lambda: _gone(left), 60)


def test_one_that_ignores_the_request_to_stop_is_killed(child: MakeChild) -> None:
    one = child(
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "print('deaf', flush=True); time.sleep(60)"
    )
    one.start()
    assert wait_until(lambda: one.log.read_text() == "deaf\n", 60)
    before = time.monotonic()
    one.stop(0.2)
    assert not one.is_running()
    assert time.monotonic() - before < 30


def test_a_log_that_grows_is_cut_under_its_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "LOG_LIMIT", 10)
    log = tmp_path / "web.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"a long first line\n")
        children.trim(log)
        writer.write(b"next\n")
    assert log.read_bytes() == b"next\n"
    assert (tmp_path / "web.log.1").read_bytes() == b"a long first line\n"


def _gone(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
