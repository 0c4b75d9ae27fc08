"""Parts of the demo, built by their real engine: through a run, or by hand in a folder."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from steelyard.lib.rundir import RunDir
from steelyard.runs.models import Run
from steelyard.runs.services import start_run


@pytest.fixture
def build(settle: Callable[..., Run]) -> Callable[..., Run]:
    """Build a part into a project through a run, to its end."""

    def part(project: Any, name: str, limit: int) -> Run:
        spec = {"part": name, "limit": limit}
        run = start_run(project=project, kind="demo", title=name, spec=spec, by=None)
        return settle(run)

    return part


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., RunDir]:
    """A run directory for a part, not started."""

    def make(part: str, limit: int | None = None, name: str = "run") -> RunDir:
        rundir = RunDir(tmp_path / name)
        models = str(tmp_path / "models")
        rundir.create({"kind": "demo", "part": part, "limit": limit, "models_dir": models})
        return rundir

    return make


@pytest.fixture
def engine() -> Callable[[RunDir], subprocess.Popen[bytes]]:
    """Start the engine on a folder."""

    def start(rundir: RunDir) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "steelyard.demo.engine", str(rundir.path)]
        env = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(command, env=env, stderr=subprocess.PIPE)

    return start
