"""Preference training in rounds, as video-SALMONN 2 does it (mrDPO, Tang et al. 2025).

After each round its adapter is merged into the weights, a new one is begun, and the merged model is
the reference from then on: what was learnt is not pulled back any more. Each round is a run of its
own in a folder below the run's::

    RUN_DIR/rounds/1/ run.json  data -> ../../data  media -> ../../media  checkpoints/  model/

so that a process that is killed goes on within the round that it was in. What is kept in the end is
one adapter on the base model: merged adapters are a sum, and a sum of adapters is an adapter of as
many ranks as they have together. PEFT loads it unchanged.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from steelyard.inference.adapters import WEIGHTS
from steelyard.lib.engine import Stop
from steelyard.lib.rundir import Onlooker, RunDir, write_atomically
from steelyard.lib.said import Said
from training.engine.checkpoints import keep_model
from training.engine.config import TextDPOConfig, config_of_run
from training.engine.keeping import keep_step
from training.engine.kept import FOLDER, kept_in
from training.engine.words import WORDS

Train = Callable[[RunDir, Any], None]
_ADAPTER_CONFIG = "adapter_config.json"


@dataclass(frozen=True)
class RoundDir(RunDir):
    """A round's folder; how it goes is told in the run's."""

    run: RunDir
    number: int
    rounds: int
    before: int
    """Steps of the rounds before."""

    def metric(self, step: int, **values: float) -> None:
        self.run.metric(self.before + step, **values)

    def event(self, text: str, level: str = "info") -> None:
        self.run.event(Said(WORDS, "in_round", round=self.number, text=text), level)

    def progress(self, done: int, total: int, unit: str = "steps", text: str = "") -> None:
        told = Said(WORDS, "round_of", round=self.number, rounds=self.rounds, text=text)
        self.run.progress(self.before + done, self.rounds * total, unit, told)

    def beat(self) -> None:
        self.run.beat()

    def cancelled(self) -> bool:
        return self.run.cancelled()

    def create(self, spec: dict[str, Any]) -> None:
        if isinstance(self.run, Onlooker):
            return
        self.path.mkdir(parents=True, exist_ok=True)
        for name in ("data", "media"):
            if not (self.path / name).exists():
                os.symlink(Path("..") / ".." / name, self.path / name)
        super().create(spec)

    def finish(self, **result: Any) -> None:
        if not isinstance(self.run, Onlooker):
            super().finish(**result)


def train(rundir: RunDir, stop: Stop, one_round: Train) -> None:
    """Do the rounds that are left, then keep the sum of their adapters.

    Args:
        one_round: trains what a folder's run.json asks for.

    Raises:
        UserError: as ``one_round``.
    """
    spec = rundir.spec()
    config = config_of_run(spec)
    assert isinstance(config, TextDPOConfig)
    made: list[Path] = []
    results: list[dict[str, Any]] = []
    for number in range(1, config.rounds + 1):
        before = sum(result["counts"]["steps"] for result in results)
        one = RoundDir(rundir.path / "rounds" / str(number), rundir, number, config.rounds, before)
        if (result := one.result()) is None:
            one.create(_spec(spec, config, number, made))
            _wait_for(one.path / "run.json", rundir, stop)
            one_round(one, stop)
            _wait_for(one.path / "result.json", rundir, stop)
            result = one.result()
        if result is None or stop:
            return
        if not isinstance(rundir, Onlooker):
            _keep_steps(one, config, made)
        made.append(one.model)
        results.append(result)
    if not isinstance(rundir, Onlooker):
        _finish(rundir, made, results)


def _wait_for(file: Path, rundir: RunDir, stop: Stop) -> None:
    """What the process that leads is writing; it waits for nobody itself."""
    while isinstance(rundir, Onlooker) and not file.exists() and not stop:
        time.sleep(0.2)


def _spec(
    spec: dict[str, Any], config: TextDPOConfig, number: int, made: Sequence[Path]
) -> dict[str, Any]:
    """What the round is to do: the run's own words, from the merged model of the rounds before."""
    base = dict(spec["base"], adapters=[*spec["base"]["adapters"], *map(str, made)])
    # another order of the pairs, and another start of the adapter, in each round
    again = dict(spec["config"], rounds=1, seed=(config.seed + number - 1) % 2**31)
    told = {key: value for key, value in spec.items() if key != "samples"}
    return {**told, "base": base, "config": again}


def _keep_steps(one: RoundDir, config: TextDPOConfig, made: Sequence[Path]) -> None:
    """The models of a round's checkpoints, each with the rounds before it, become the run's."""
    for kept in kept_in(one):
        folders = [*made, kept.folder]
        write = partial(write_sum, folders)
        keep_step(one.run, config, one.before + kept.step, write, adapter=True)
    shutil.rmtree(one.path / FOLDER, ignore_errors=True)


def _finish(rundir: RunDir, made: Sequence[Path], results: Sequence[dict[str, Any]]) -> None:
    digest = keep_model(rundir, lambda folder: write_sum(made, folder))
    rundir.event(Said(WORDS, "sum_kept", rounds=len(made), digest=digest))
    last = results[-1]
    steps = sum(result["counts"]["steps"] for result in results)
    warnings = [result["warning"] for result in results if "warning" in result]
    # what lay in the rounds' folders is in the sum
    for folder in made:
        shutil.rmtree(folder.parent / "checkpoints", ignore_errors=True)
    rundir.finish(
        status="succeeded",
        form="adapter",
        digest=digest,
        metrics=last["metrics"],
        counts={**last["counts"], "steps": steps, "rounds": len(made)},
        **({"warning": warnings[-1]} if warnings else {}),
    )


def write_sum(folders: Sequence[Path], target: Path) -> None:
    """The LoRA adapter that equals several laid on one another, each on the merged result of those
    before it: the ranks side by side, scaled so that one scale fits all.

    Args:
        folders: adapters of like layers, oldest first.
    """
    configs = [json.loads((folder / _ADAPTER_CONFIG).read_text()) for folder in folders]
    weights = [load_file(folder / WEIGHTS) for folder in folders]
    rank = sum(config["r"] for config in configs)
    scales = [_scale(config, config["r"]) for config in configs]
    scale = _scale(configs[0], rank)
    summed: dict[str, torch.Tensor] = {}
    for name in weights[0]:
        parts = [each[name] for each in weights]
        if ".lora_A." in name:
            summed[name] = torch.cat(parts, dim=0)
        else:
            even = [part * (own / scale) for part, own in zip(parts, scales, strict=True)]
            summed[name] = torch.cat(even, dim=1)
    save_file({n: t.contiguous() for n, t in summed.items()}, target / WEIGHTS, {"format": "pt"})
    body = json.dumps({**configs[0], "r": rank}, indent=2, sort_keys=True)
    write_atomically(target / _ADAPTER_CONFIG, body.encode())


def _scale(config: dict[str, Any], rank: int) -> float:
    """What PEFT multiplies an adapter of this rank by."""
    return config["lora_alpha"] / (math.sqrt(rank) if config.get("use_rslora") else rank)
