"""Training runs as folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from steelyard.lib.records import PreferenceRecord, write_parquet
from steelyard.lib.rundir import RunDir
from tests.training_engine.rows import make_record, train_spec


@pytest.fixture
def make_run(tmp_path: Path, tiny_lm: Path) -> Callable[..., RunDir]:
    """A run's folder with rows of its own; keyword arguments are settings of the recipe."""

    def make(
        name: str = "run",
        records: list[PreferenceRecord] | None = None,
        spec: dict[str, Any] | None = None,
        **config: Any,
    ) -> RunDir:
        rundir = RunDir(tmp_path / name)
        rundir.create({**train_spec(tiny_lm, config), **(spec or {})})
        rows = [make_record(n) for n in range(1, 13)] if records is None else records
        write_parquet(rows, rundir.data / "rows.parquet")
        return rundir

    return make
