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
from pathlib import Path
from typing import Any

import torch

from steelyard.inference.judging.asking import judged, worths
from steelyard.inference.sampling import Interrupted
from steelyard.inference.text import (
    Generated,
    context_length,
    encode_prompt,
    generate,
    load_causal_lm,
    log_probabilities,
)
from steelyard.lib.engine import Stop
from steelyard.lib.hashing import stable_int
from steelyard.lib.journal import Journal
from steelyard.lib.records import read_parquet
from steelyard.lib.rundir import Onlooker, RunDir, write_atomically
from training.engine.config import config_of_run
from training.engine.loop import choose_machine

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
    rundir.event("The model answers held-out prompts, and its base is asked how likely that was.")
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
    model, tokenizer = load_causal_lm(source, adapters=adapters, dtype=dtype, device=device)
    longest = context_length(model.config)
    room = None if longest is None else longest - wanted["max_new_tokens"]
    prompts = [p for p in _prompts(rundir, spec) if room is None or _fits(tokenizer, p, room)]
    prompts = prompts[: wanted["prompts"]]
    if not prompts:
        return {"answers": 0}

    def write(model: Any) -> list[Generated]:
        return generate(
            model,
            tokenizer,
            prompts,
            max_new_tokens=wanted["max_new_tokens"],
            temperature=1.0,
            seeds=[stable_int(wanted["seed"], "sample", place) for place in range(len(prompts))],
            stop=lambda: bool(stop),
        )

    answers = write(model)
    asked = [encode_prompt(tokenizer, prompt) for prompt in prompts]
    ours = _scores(model, asked, answers)
    del model
    reference, _ = load_causal_lm(
        base["source"], adapters=base["adapters"], dtype=dtype, device=device
    )
    found = {
        "answers": len(answers),
        "output_length": sum(len(one.tokens) for one in answers) / len(answers),
        "kl": divergence(ours, _scores(reference, asked, answers)),
    }
    if "judge" not in wanted:
        return found
    theirs = write(reference)
    # the judge may need the room
    del reference
    pairs = [
        {"pair": place, "messages": prompt, "a": one.text, "b": other.text}
        for place, (prompt, one, other) in enumerate(zip(prompts, answers, theirs, strict=True))
    ]
    rundir.event(f"{wanted['judge']['model']['name']} judges {len(pairs)} pairs of answers.")
    with Journal(rundir.path / "judged.jsonl") as journal:
        return found | win_rate(judged(journal, wanted["judge"], pairs, stop))


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


def _scores(model: Any, asked: Sequence[list[int]], answers: Sequence[Generated]) -> torch.Tensor:
    ids = [prompt + answer.tokens for prompt, answer in zip(asked, answers, strict=True)]
    found = log_probabilities(model, ids, [len(prompt) for prompt in asked])
    return torch.cat(found)


def _prompts(rundir: RunDir, spec: dict[str, Any]) -> list[list[dict[str, str]]]:
    """Held-out prompts, each once, the same ones for every seed."""
    files = spec["dataset"].get("files") or [spec["dataset"]["file"]]
    records = read_parquet([rundir.path / name for name in files])
    held_out = {r.prompt_key: r.prompt for r in records if r.split == "test"}
    return [held_out[key] for key in sorted(held_out, key=lambda key: (stable_int(key), key))]


def _fits(tokenizer: Any, prompt: list[dict[str, str]], room: int) -> bool:
    return len(encode_prompt(tokenizer, prompt)) <= room
