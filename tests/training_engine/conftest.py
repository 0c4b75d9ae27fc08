"""Training runs as folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from steelyard.lib.hashing import sha256_hex
from steelyard.lib.records import PreferenceRecord, write_parquet
from steelyard.lib.rundir import RunDir
from tests.tiny_vision import make_tiny_vlm
from tests.training_engine.rows import make_record, train_spec
from tests.training_engine.seeing import COLOURS, packed, seen


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


@pytest.fixture(scope="session")
def llava(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_vlm(tmp_path_factory.mktemp("llava"))


@pytest.fixture(scope="session")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_vlm(tmp_path_factory.mktemp("qwen"), "qwen2_vl")


@pytest.fixture(scope="session")
def smolvlm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_vlm(tmp_path_factory.mktemp("smolvlm"), "smolvlm")


@pytest.fixture
def make_seeing_run(tmp_path: Path, llava: Path) -> Callable[..., RunDir]:
    """A run's folder with rows about pictures, which lie in it."""

    def make(
        name: str = "run",
        records: list[PreferenceRecord] | None = None,
        base: Path = llava,
        family: str = "vision_language",
        recipe: str = "dpo",
        media: tuple[bytes, ...] = (),
        **config: Any,
    ) -> RunDir:
        rundir = RunDir(tmp_path / name)
        spec = train_spec(base, {"max_length": 256, **config}, recipe=recipe)
        spec["base"]["family"] = family
        rundir.create(spec)
        rows = [seen(n) for n in range(1, 13)] if records is None else records
        write_parquet(rows, rundir.data / "rows.parquet")
        for data in [*map(packed, COLOURS), *media]:
            (rundir.media / sha256_hex(data)).write_bytes(data)
        return rundir

    return make
