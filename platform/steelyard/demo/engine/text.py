"""Pairs of answers: each prompt of :mod:`prompts` answered twice by one language model, once by
the most probable words and once by chance."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from steelyard.demo.engine.lines import MODELS, OUTPUTS, append, asked, prompts_done, written
from steelyard.demo.engine.prompts import HELD_OUT, PAIRS
from steelyard.demo.engine.smollm import NAME, unpacked
from steelyard.demo.engine.words import WORDS
from steelyard.lib.engine import Stop
from steelyard.lib.hashing import sha256_file, stable_int
from steelyard.lib.rundir import RunDir
from steelyard.lib.said import Said

LENGTH = {"max_new_tokens": 64}
DECODINGS: dict[str, dict[str, float]] = {
    NAME: {"temperature": 0.0, "top_p": 1.0, **LENGTH},
    f"{NAME} at temperature 0.8": {"temperature": 0.8, "top_p": 0.95, **LENGTH},
}
"""Model version → how it is read out: the same weights, so two versions of one model."""
BATCH = 6
TRIES = 6
"""How often a drawn answer may equal the most probable one before the prompt is left out."""


def make_text(rundir: RunDir, stop: Stop) -> None:
    """Unpack the model, register both versions, and write a line a prompt into ``outputs.jsonl``:
    first the held-out prompts, which need no answers, then a batch of pairs at a time."""
    spec = rundir.spec()
    limit = spec.get("limit")
    pairs, held_out = PAIRS[:limit], HELD_OUT[:limit]
    _ask_held_out(rundir, held_out)
    rundir.progress(0, len(pairs), "pairs", Said(WORDS, "unpacking", name=NAME))
    folder = unpacked(Path(spec["models_dir"]))
    _register(rundir, folder)
    rundir.progress(0, len(pairs), "pairs", Said(WORDS, "loading", name=NAME))
    writer = _Writer(folder, stop)
    done = prompts_done(rundir)
    left = [pair for pair in pairs if pair[1] not in done]
    for start in range(0, len(left), BATCH):
        rundir.progress(
            len(pairs) - len(left) + start, len(pairs), "pairs", Said(WORDS, "answering")
        )
        if stop:
            return
        batch = left[start : start + BATCH]
        answers = writer.answers([prompt for _, prompt in batch])
        if answers is None:
            return
        for (category, prompt), (first, second) in zip(batch, answers, strict=True):
            if first["text"] == second["text"]:
                rundir.event(Said(WORDS, "same_answers", prompt=prompt))
                continue
            line = {"prompt": asked(prompt), "category": category, "held_out": False}
            append(rundir, OUTPUTS, {**line, "a": first, "b": second})
    made = len([line for line in written(rundir, OUTPUTS) if not line["held_out"]])
    rundir.progress(len(pairs), len(pairs), "pairs", Said(WORDS, "answers_ready"))
    rundir.finish(status="succeeded", counts={"pairs": made, "held_out": len(held_out)})


def _ask_held_out(rundir: RunDir, prompts: list[tuple[str, str]]) -> None:
    done = prompts_done(rundir)
    for category, prompt in prompts:
        if prompt not in done:
            line = {"prompt": asked(prompt), "category": category, "held_out": True}
            append(rundir, OUTPUTS, line)


def _register(rundir: RunDir, folder: Path) -> None:
    known = {line["name"] for line in written(rundir, MODELS)}
    digest = sha256_file(folder / "model.safetensors")
    for name, sampling in DECODINGS.items():
        if name not in known:
            model = {"name": name, "modality": "text", "family": "causal_lm"}
            options = {"sampling": sampling}
            append(
                rundir,
                MODELS,
                {**model, "source": str(folder), "digest": digest, "options": options},
            )


class _Writer:
    """The model, loaded once, and both ways of reading it out."""

    def __init__(self, folder: Path, stop: Stop) -> None:
        import torch

        from steelyard.inference.text import load_causal_lm

        # half the cores: the site and another run want theirs, and threads that wait for one
        # another are many times slower than fewer threads
        if "OMP_NUM_THREADS" not in os.environ:
            torch.set_num_threads(max(1, (os.cpu_count() or 1) // 2))
        self.model, self.tokenizer = load_causal_lm(str(folder))
        self.stop = stop

    def answers(self, prompts: list[str]) -> list[tuple[dict[str, Any], dict[str, Any]]] | None:
        """Two answers a prompt, as a line gives them; None when told to stop."""
        from steelyard.inference.sampling import Interrupted

        try:
            return list(zip(*self._both(prompts), strict=True))
        except Interrupted:
            return None

    def _both(self, prompts: list[str]) -> Iterator[list[dict[str, Any]]]:
        plain, drawn = DECODINGS
        first = self._written(plain, prompts, 0)
        yield first
        second = self._written(drawn, prompts, 0)
        for attempt in range(1, TRIES):
            same = [i for i, side in enumerate(second) if side["text"] == first[i]["text"]]
            if not same:
                break
            again = self._written(drawn, [prompts[i] for i in same], attempt)
            for place, side in zip(same, again, strict=True):
                second[place] = side
        yield second

    def _written(self, name: str, prompts: list[str], attempt: int) -> list[dict[str, Any]]:
        from steelyard.inference.text import generate

        sampling = DECODINGS[name]
        seeds = [stable_int("text", prompt, attempt) % 2**31 for prompt in prompts]
        made = generate(
            self.model,
            self.tokenizer,
            [asked(prompt) for prompt in prompts],
            max_new_tokens=int(sampling["max_new_tokens"]),
            temperature=sampling["temperature"],
            top_p=sampling["top_p"],
            seeds=seeds,
            batch_size=BATCH,
            stop=lambda: bool(self.stop),
        )
        return [
            {"model": name, "text": answer.text, "seed": seed, "parameters": sampling}
            for answer, seed in zip(made, seeds, strict=True)
        ]
