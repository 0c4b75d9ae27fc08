"""Rows and run folders for tests of the engine, and the real engine process to drive them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from steelyard.lib.hashing import sha256_hex
from steelyard.lib.records import PreferenceRecord
from steelyard.lib.rundir import RunDir

QUICK = {"batch_size": 2, "learning_rate": 1e-2, "max_length": 128, "lora_rank": 4, "threads": 1}


UNSTEADY = {"tokens_per_second"}
"""Metrics that depend on how busy the machine is."""


def make_record(number: int, **overrides: Any) -> PreferenceRecord:
    """A text row: the chosen answer is short, the rejected one is long."""
    values: dict[str, Any] = {
        "pair": sha256_hex(f"pair {number}".encode()),
        "prompt_key": sha256_hex(f"prompt {number}".encode()),
        "category": "",
        "modality": "text",
        "prompt": [{"role": "user", "content": f"What is {number} + {number}?"}],
        "chosen": f"{2 * number}.",
        "rejected": f"The answer to the question is perhaps {2 * number + 1}, or {number}.",
        "chosen_media": "",
        "rejected_media": "",
        "chosen_model": "short",
        "rejected_model": "long",
        "outcome": "win",
        "chosen_side": "a",
        "strength": 1.0,
        "agreement": 1.0,
        "split": "test" if number % 5 == 0 else "train",
    }
    return PreferenceRecord(**{**values, **overrides})


def train_spec(base: Path | str, config: dict[str, Any], **overrides: Any) -> dict[str, Any]:
    model = {"name": "tiny", "modality": "text", "family": "causal_lm", "source": str(base)}
    return {
        "kind": "train",
        "recipe": "dpo",
        "config": {**QUICK, **config},
        "seed": 0,
        "base": {**model, "adapters": [], "sampling": {}},
        "dataset": {"digest": "0" * 64, "file": "data/rows.parquet"},
        **overrides,
    }


def start_engine(rundir: RunDir) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    with rundir.log.open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "training.engine", str(rundir.path)],
            stdout=log,
            stderr=log,
            env=environment,
        )


def run_engine(rundir: RunDir) -> int:
    """Run the engine to its end; the exit code."""
    return start_engine(rundir).wait(timeout=600)


def wait_for(holds: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    """Until something holds, or the process has ended before."""
    end = time.monotonic() + 300
    while not holds():
        if process.poll() is not None or time.monotonic() > end:
            raise AssertionError(f"It never came to hold.\n{log.read_text()[-3000:]}")
        time.sleep(0.005)


def metrics_of(rundir: RunDir) -> dict[str, dict[int, float]]:
    """Metric name → step → value; a step written twice counts once, as it does on the page."""
    lines, _ = rundir.read_lines("metrics.jsonl", 0)
    found: dict[str, dict[int, float]] = {}
    for line in lines:
        for name, value in line["values"].items():
            if name in UNSTEADY:
                continue
            found.setdefault(name, {})[line["step"]] = value
    return found


def events_of(rundir: RunDir) -> str:
    lines, _ = rundir.read_lines("events.jsonl", 0)
    return "\n".join(line["text"] for line in lines)
