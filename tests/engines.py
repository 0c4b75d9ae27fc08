"""Run directories and real engine processes for tests of engines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from steelyard.lib.rundir import RunDir
from tests import forked


def make_rundir(folder: Path, spec: dict[str, Any]) -> RunDir:
    rundir = RunDir(folder)
    rundir.create(spec)
    return rundir


def start(engine: str, rundir: RunDir, *, cold: bool = False, **env: str) -> Any:
    """Start the engine as the launcher does; what it prints goes to the run's log.

    Args:
        cold: by its command, not forked from a process that has loaded the libraries.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", **env}
    if not cold:
        return forked.start(engine, rundir.path, rundir.log, environment)
    with rundir.log.open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", engine, str(rundir.path)],
            stdout=log,
            stderr=log,
            cwd=rundir.path,
            env=environment,
            start_new_session=True,
        )


def drive(
    engine: str, rundir: RunDir, timeout: float = 300, *, cold: bool = False, **env: str
) -> dict[str, Any]:
    """Run the engine to its end; its result."""
    process = start(engine, rundir, cold=cold, **env)
    code = process.wait(timeout)
    result = rundir.result()
    assert result is not None, f"exit code {code}\n{rundir.log_tail()}"
    return result


def lines(rundir: RunDir, name: str) -> list[dict[str, Any]]:
    path = rundir.path / name
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def wait_until(condition: Callable[[], bool], timeout: float = 180) -> None:
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "it did not come to pass in time"
        time.sleep(0.02)


def model_spec(source: Path | str, **overrides: Any) -> dict[str, Any]:
    spec = {
        "name": "tiny",
        "modality": "text",
        "family": "causal_lm",
        "source": str(source),
        "adapters": [],
        "sampling": {},
    }
    return {**spec, **overrides}


def endpoint_spec(url: str, **overrides: Any) -> dict[str, Any]:
    spec = model_spec(url, family="endpoint", name="far", base_url=url, model="some-model")
    return {**spec, **overrides}
