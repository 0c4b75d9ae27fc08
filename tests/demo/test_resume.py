"""Killed at any moment, a part goes on and ends as if it had never been."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from steelyard.demo.engine.lines import written
from steelyard.lib.rundir import RunDir

LIMIT = 6


def contents(rundir: RunDir) -> dict[str, bytes]:
    """What counts: a kill may leave a hidden file that was half written."""
    kept = (path for path in rundir.media.iterdir() if not path.name.startswith("."))
    files = [rundir.path / "outputs.jsonl", *sorted(kept)]
    return {path.name: path.read_bytes() for path in files}


HELD = """
import sys, time
from pathlib import Path
from steelyard.demo.engine import photos
from steelyard.demo.engine.__main__ import work
from steelyard.lib import engine

here, plain = Path(sys.argv[1]), photos.append

def append(*told):
    plain(*told)
    while (here / "hold").exists() and (here / "outputs.jsonl").read_bytes().count(b"\\n") >= 3:
        time.sleep(0.01)

photos.append = append
engine.run(work)
"""
"""The engine; it stays behind its third line as long as there is a file "hold"."""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_stopped_in_the_middle_and_started_again(
    folder: Callable[..., RunDir], engine: Callable[..., Any], number: signal.Signals
) -> None:
    whole, cut = folder("photos", LIMIT, "whole"), folder("photos", LIMIT, "cut")
    assert engine(whole).wait() == 0

    (cut.path / "hold").touch()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-c", HELD, str(cut.path)], env=environment)
    outputs = cut.path / "outputs.jsonl"
    end = time.monotonic() + 300
    while not outputs.exists() or outputs.read_bytes().count(b"\n") < 3:
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.01)
    process.send_signal(number)
    (cut.path / "hold").unlink()
    assert process.wait() in {-signal.SIGKILL, 75}
    assert cut.result() is None
    before = outputs.read_bytes()
    with outputs.open("ab") as stream:  # as a kill in the middle of a write leaves it
        stream.write(b'{"prompt": [{"role": "us')

    assert engine(cut).wait() == 0

    assert contents(cut) == contents(whole)
    assert outputs.read_bytes().startswith(before)
    assert len(written(cut, "outputs.jsonl")) == LIMIT


def test_a_part_that_does_not_exist_is_named(
    folder: Callable[..., RunDir], engine: Callable[..., Any]
) -> None:
    rundir = folder("sculptures")

    assert engine(rundir).wait() == 0

    result = rundir.result()
    assert result is not None
    assert (result["status"], result["code"]) == ("failed", "unknown_part")
    assert "text, photos, digits, clips" in result["message"]
