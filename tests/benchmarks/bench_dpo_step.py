"""Seconds a step of DPO: this project's engine against TRL's DPOTrainer, same model, same rows.

    python tests/benchmarks/bench_dpo_step.py [--size small|smollm2] [--steps 4] [--threads 1]

Weights are random, for time does not depend on them; ``smollm2`` has the shape of SmolLM2-135M.
Both train the same LoRA in float32 on the CPU, without gradient checkpointing, two pairs of up to
256 tokens a step. Wall seconds are of an idle machine or not worth much; CPU seconds are steadier.
What the engine computes once before the first step, the reference, is told apart.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM
from transformers.utils import logging as transformers_logging

from steelyard.inference.text import load_causal_lm
from steelyard.lib.engine import Stop
from steelyard.lib.hashing import stable_int
from steelyard.lib.records import PreferenceRecord, write_parquet
from steelyard.lib.rundir import RunDir
from tests.tiny_models import make_tiny_lm
from training.engine import text
from training.engine.adapter import prepare
from training.engine.config import TextDPOConfig
from training.engine.loop import rows_of_step

SHAPES: dict[str, dict[str, int]] = {
    "small": {
        "vocab_size": 16_384,
        "hidden_size": 256,
        "intermediate_size": 768,
        "num_hidden_layers": 6,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
    },
    "smollm2": {
        "vocab_size": 49_152,
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
    },
}
PER_STEP, LONGEST = 2, 256


class Tick(NamedTuple):
    wall: float
    cpu: float

    @classmethod
    def now(cls) -> Tick:
        return cls(time.perf_counter(), time.process_time())

    def since(self, before: Tick) -> Tick:
        return Tick(self.wall - before.wall, self.cpu - before.cpu)


@dataclass(frozen=True)
class TimedRunDir(RunDir):
    """Notes when each number comes in; the engine knows nothing of it."""

    ticks: list[Tick] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)

    def metric(self, step: int, **values: float) -> None:
        self.ticks.append(Tick.now())
        self.losses.append(values["loss"])
        super().metric(step, **values)


def make_base(folder: Path, shape: dict[str, int]) -> Path:
    make_tiny_lm(folder, context=2048)
    torch.manual_seed(0)
    config = LlamaConfig(**shape, max_position_embeddings=2048, tie_word_embeddings=True)
    config.eos_token_id = AutoTokenizer.from_pretrained(folder).eos_token_id
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def make_rows(count: int) -> list[PreferenceRecord]:
    """Prompts of about 80 tokens, answers of 40 to 160, as drawn by row."""

    def words(kind: str, row: int, low: int, high: int) -> str:
        many = low + stable_int(kind, row) % (high - low)
        return " ".join(f"{stable_int(kind, row, n) % 10}" for n in range(many))

    return [
        PreferenceRecord(
            pair=f"{row:064d}",
            prompt_key=f"{row:064d}",
            category="",
            modality="text",
            prompt=[{"role": "user", "content": words("prompt", row, 30, 45)}],
            chosen=words("chosen", row, 20, 80),
            rejected=words("rejected", row, 20, 80),
            chosen_media="",
            rejected_media="",
            chosen_model="",
            rejected_model="",
            outcome="win",
            chosen_side="a",
            strength=1.0,
            agreement=1.0,
        )
        for row in range(count)
    ]


def bench_engine(base: Path, rows: list[PreferenceRecord], config: dict[str, Any]) -> Any:
    """Seconds of the reference, and of each step but the first."""
    with tempfile.TemporaryDirectory() as folder:
        rundir = TimedRunDir(Path(folder))
        model = {"name": "bench", "family": "causal_lm", "source": str(base), "adapters": []}
        dataset = {"digest": "", "file": "data/rows.parquet"}
        rundir.create({"recipe": "dpo", "config": config, "base": model, "dataset": dataset})
        write_parquet(rows, rundir.data / "rows.parquet")
        scored, kept = text.reference_log_probs, []

        def timed(*arguments: Any, **options: Any) -> Any:
            before = Tick.now()
            result = scored(*arguments, **options)
            kept.append(Tick.now().since(before))
            return result

        text.reference_log_probs = timed
        text.train(rundir, Stop(rundir))
        return kept[0], rundir.ticks, rundir.losses


def bench_trl(base: Path, rows: list[PreferenceRecord], config: dict[str, Any]) -> Any:
    from datasets import Dataset, disable_progress_bars
    from torch.utils.data import SequentialSampler
    from transformers import PrinterCallback, TrainerCallback
    from trl import DPOConfig, DPOTrainer

    disable_progress_bars()
    ticks: list[Tick] = []

    class Clock(TrainerCallback):
        def on_step_end(self, *arguments: Any, **options: Any) -> None:
            ticks.append(Tick.now())

    class InOrder(DPOTrainer):
        def _get_train_sampler(self, dataset: Any = None) -> Any:
            return SequentialSampler(self.train_dataset)

    model, tokenizer = load_causal_lm(str(base))
    tokenizer.padding_side = "right"
    order = [
        row
        for step in range(config["max_steps"])
        for row in rows_of_step(step, rows=len(rows), per_step=PER_STEP, seed=0)
    ]
    with tempfile.TemporaryDirectory() as folder:
        trainer = InOrder(
            model=prepare(model, TextDPOConfig.from_dict(config)),
            args=DPOConfig(
                output_dir=folder,
                per_device_train_batch_size=PER_STEP,
                max_steps=config["max_steps"],
                max_length=LONGEST,
                learning_rate=config["learning_rate"],
                gradient_checkpointing=False,
                bf16=False,
                use_cpu=True,
                logging_steps=1,
                report_to="none",
                save_strategy="no",
                disable_tqdm=True,
            ),
            train_dataset=Dataset.from_list(
                [
                    {
                        "prompt": rows[row].prompt,
                        "chosen": [{"role": "assistant", "content": rows[row].chosen}],
                        "rejected": [{"role": "assistant", "content": rows[row].rejected}],
                    }
                    for row in order
                ]
            ),
            processing_class=tokenizer,
            callbacks=[Clock()],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    losses = [line["loss"] for line in trainer.state.log_history if "grad_norm" in line]
    return ticks, losses


def typical(ticks: list[Tick]) -> Tick:
    """The median step; the first one, which warms up, is not timed."""
    steps = [after.since(before) for before, after in pairwise(ticks)]
    return Tick(median(s.wall for s in steps), median(s.cpu for s in steps))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SHAPES, default="small")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    transformers_logging.disable_progress_bar()
    config = {
        "batch_size": PER_STEP,
        "max_steps": asked.steps,
        "max_length": LONGEST,
        "learning_rate": 1e-4,
        "warmup_ratio": 0.0,
        "threads": asked.threads,
    }
    rows = make_rows(asked.steps * PER_STEP)
    with tempfile.TemporaryDirectory() as folder:
        base = make_base(Path(folder) / "base", SHAPES[asked.size])
        reference, ticks, ours = bench_engine(base, rows, config)
        trl_ticks, theirs = bench_trl(base, rows, config)
    engine, trl = typical(ticks), typical(trl_ticks)
    lines = [
        f"{asked.size}, {asked.threads} threads, {PER_STEP} pairs a step, {asked.steps} steps",
        f"engine     {engine.wall:7.3f} s a step {engine.cpu:7.3f} CPU s   "
        f"(once before: reference {reference.wall:.2f} s)",
        f"TRL        {trl.wall:7.3f} s a step {trl.cpu:7.3f} CPU s",
        f"TRL/engine {trl.wall / engine.wall:7.2f} x        {trl.cpu / engine.cpu:7.2f} x",
        f"first losses: engine {ours[0]:.5f} {ours[1]:.5f}, TRL {theirs[0]:.5f} {theirs[1]:.5f}",
    ]
    print("\n".join(lines))  # noqa: T201


if __name__ == "__main__":
    main()
