"""What a trained model is like when it writes: how long its answers are, how far they lie from
what its base would have written, and how often a judge finds them better than the base's own.

A run.json with ``samples`` asks for it: {"prompts": 32, "max_new_tokens": 128, "seed": 1}; with
``judge`` in it (``model``, ``criteria``, ``template_version``, ``sampling``) for the last one too.
The numbers stand under ``samples`` in result.json, what was judged in ``judged.jsonl``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from steelyard.inference.judging.asking import judged, worths
from steelyard.inference.sampling import Interrupted
from steelyard.inference.text import Generated
from steelyard.lib.engine import Stop
from steelyard.lib.hashing import stable_int
from steelyard.lib.journal import Journal
from steelyard.lib.records import read_parquet
from steelyard.lib.rundir import Onlooker, RunDir, write_atomically
from steelyard.lib.said import Said
from training.engine.answering import Asked, open_answering
from training.engine.config import config_of_run
from training.engine.loop import choose_machine
from training.engine.words import WORDS

Train = Callable[[RunDir, Stop], None]


@dataclass(frozen=True)
class Held(RunDir):
    """The run's folder, whose result waits until the answers have been looked at."""

    @property
    def trained(self) -> Path:
        return self.path / "trained.json"

    def finish(self, **result: Any) -> None:
        if result.get("status") == "succeeded":
            write_atomically(self.trained, json.dumps(result).encode())
        else:
            super().finish(**result)


def train_and_sample(train: Train, rundir: RunDir, stop: Stop) -> None:
    """Train, then measure; started again after a crash in between it only measures."""
    held = Held(rundir.path)
    if isinstance(rundir, Onlooker):
        # the process that leads asks for the samples by itself
        if not held.trained.exists():
            train(rundir, stop)
        return
    if not held.trained.exists():
        train(held, stop)
    if not held.trained.exists():
        return
    result = json.loads(held.trained.read_text())
    rundir.event(Said(WORDS, "answers_held_out"))
    try:
        measured = samples_of(rundir, result.get("form") == "full", stop)
    except Interrupted:
        return
    rundir.finish(**result, samples=measured)


@torch.inference_mode()
def samples_of(rundir: RunDir, full: bool, stop: Stop) -> dict[str, float]:
    """Mean tokens of an answer, the KL divergence from the base in nats a token, and where there
    is a judge how often it prefers an answer to that of the base.

    The estimate is the mean over the model's own tokens, drawn at temperature 1, of
    q/p − 1 − ln q/p (p the model's probability, q the base's): never below 0 and right on average
    (Schulman 2020).

    Args:
        full: the run kept whole weights and no adapter.
    """
    spec = rundir.spec()
    wanted, base = spec["samples"], spec["base"]
    device, dtype = choose_machine(config_of_run(spec))  # type: ignore[arg-type]
    source = str(rundir.model) if full else base["source"]
    adapters = [] if full else [*base["adapters"], str(rundir.model)]
    load = partial(open_answering, rundir, base["family"], dtype=dtype, device=device)
    model = load(source, adapters)
    room = None if model.context is None else model.context - wanted["max_new_tokens"]
    fitting = (p for p in _prompts(rundir, spec) if room is None or model.length(p) <= room)
    prompts = list(islice(fitting, wanted["prompts"]))
    if not prompts:
        return {"answers": 0}
    write = {
        "max_new_tokens": wanted["max_new_tokens"],
        "seeds": [stable_int(wanted["seed"], "sample", place) for place in range(len(prompts))],
        "stop": lambda: bool(stop),
    }
    answers = model.write(prompts, **write)
    ours = model.scores(prompts, answers)
    del model
    reference = load(base["source"], base["adapters"])
    found = {
        "answers": len(answers),
        "output_length": sum(len(one.tokens) for one in answers) / len(answers),
        "kl": divergence(ours, reference.scores(prompts, answers)),
    }
    if "judge" not in wanted:
        return found
    theirs = reference.write(prompts, **write)
    # the judge may need the room
    del reference
    return found | _judged(rundir, wanted["judge"], prompts, (answers, theirs), stop)


def _judged(
    rundir: RunDir,
    judge: Mapping[str, Any],
    prompts: Sequence[Asked],
    answers: tuple[Sequence[Generated], Sequence[Generated]],
    stop: Stop,
) -> dict[str, float]:
    """How often the judge prefers the model's answers (the first) to the base's; it is shown what
    the prompts are about."""
    pairs = [
        {"pair": place, "messages": asked.messages, "a": one.text, "b": other.text}
        | ({"media": list(asked.media)} if asked.media else {})
        for place, (asked, one, other) in enumerate(zip(prompts, *answers, strict=True))
    ]
    rundir.event(Said(WORDS, "judges_answers", judge=judge["model"]["name"], pairs=len(pairs)))
    with Journal(rundir.path / "judged.jsonl") as journal:
        return win_rate(judged(journal, judge, pairs, stop, media=rundir.media))


def win_rate(verdicts: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The share of answers a that were found better, a tie or two bad ones one half.

    Raises:
        UserError: no verdict could be read.
    """
    worth = worths(verdicts)
    return {"win_rate": sum(worth) / len(worth), "judged": len(worth)}


def divergence(ours: torch.Tensor, base: torch.Tensor) -> float:
    """KL(model ‖ base) in nats a token, from log-probabilities of the model's own tokens.

    Args:
        ours, base: float32, (tokens,), the same tokens under both.
    """
    if not len(ours):
        return 0.0
    ratio = base - ours
    return float((ratio.exp() - 1 - ratio).mean())


def _prompts(rundir: RunDir, spec: dict[str, Any]) -> list[Asked]:
    """Held-out prompts, each once, the same ones for every seed."""
    files = spec["dataset"].get("files") or [spec["dataset"]["file"]]
    records = read_parquet([rundir.path / name for name in files])
    # the second picture of such a prompt is the one that it is not about
    end = 1 if spec["config"].get("negatives") == "own" else None
    held_out = {
        r.prompt_key: Asked(r.prompt, tuple(r.prompt_media[:end]))
        for r in records
        if r.split == "test"
    }
    return [held_out[key] for key in sorted(held_out, key=lambda key: (stable_int(key), key))]
