"""Pairs of DPO per CPU second and peak memory: this project's engine against TRL's DPOTrainer.

    python tests/benchmarks/bench_dpo_step.py [--steps 20] [--train lora all] [--size tiny]

The same Llama-like model of about 30 million random weights (a quarter of them its vocabulary),
the same pairs in the same order (prompt 384 tokens, answers 128), 4 pairs a step, float32, one
thread, no gradient checkpointing, AdamW, a constant rate. Each arm is a process of its own, so that
peak memory is its own. All pairs are of one length, so that nobody pads.

CPU seconds are told, not wall seconds, which a busy machine makes worthless: of the median step,
the first one left out, and of all, with what is computed once for the reference. The losses of all
steps are compared.

    python tests/benchmarks/bench_dpo_step.py --device cuda --size 1b --pairs 8

does the same on a GPU in bfloat16 (adapters, or all weights, in float32), where seconds are the
wall's after the GPU has done what it was given, and memory is the GPU's.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from bisect import bisect_left
from dataclasses import asdict, dataclass
from itertools import pairwise, product
from pathlib import Path
from statistics import median
from typing import Any

PROMPT, ANSWER = 384, 128
SHAPES = {
    "30m": {
        "vocab_size": 16_384,
        "hidden_size": 448,
        "intermediate_size": 1216,
        "num_hidden_layers": 9,
        "num_attention_heads": 7,
        "num_key_value_heads": 7,
    },
    "1b": {
        "vocab_size": 32_000,
        "hidden_size": 2048,
        "intermediate_size": 5632,
        "num_hidden_layers": 22,
        "num_attention_heads": 32,
        "num_key_value_heads": 4,
    },
    # enough to compare losses with, in a minute
    "tiny": {
        "vocab_size": 2048,
        "hidden_size": 64,
        "intermediate_size": 192,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
    },
}
RATE = {"lora": 1e-4, "all": 1e-6}
ARMS = {
    "engine": {},
    "engine-compiled": {"compile": True},
    "trl": {},
    "trl-precompute": {"precompute_ref_log_probs": True},
    "trl-best": {"precompute_ref_log_probs": True, "torch_compile": True},
}
"""The settings that each arm has besides those that all share. TRL has nothing else that would make
it faster here: rows are of one length, so that rows without padding save nothing."""


@dataclass(frozen=True)
class Setting:
    """What both sides are asked for."""

    train: str
    steps: int
    pairs: int
    """A step."""
    device: str

    @property
    def on_gpu(self) -> bool:
        return self.device == "cuda"

    def now(self) -> float:
        """Seconds: of the CPU, or of the wall once the GPU has nothing left to do."""
        if not self.on_gpu:
            return time.process_time()
        import torch

        torch.cuda.synchronize()
        return time.perf_counter()

    def memory(self) -> float:
        """The most that has been in memory, MiB: this process's, or the GPU's."""
        if not self.on_gpu:
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        import torch

        return torch.cuda.max_memory_allocated() / 2**20


TEMPLATE = (
    "{% for message in messages %}{{ '' if loop.first else '\n' }}<|im_start|>"
    "{{ message['role'] }}\n{{ message['content'] }}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}{{ '\n' }}<|im_start|>assistant\n{% endif %}"
)


def make_base(folder: Path, size: str, device: str) -> None:
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    from tests.tiny_models import make_tiny_lm

    make_tiny_lm(folder, context=1024, chat_template=TEMPLATE)
    torch.manual_seed(0)
    end = AutoTokenizer.from_pretrained(folder).eos_token_id
    others = {"max_position_embeddings": 1024, "tie_word_embeddings": True, "pad_token_id": 0}
    config = LlamaConfig(**SHAPES[size], **others, eos_token_id=end, bos_token_id=None)
    with torch.device(device):
        model = LlamaForCausalLM(config)
    model.save_pretrained(folder)


def make_rows(base: Path, count: int) -> list[Any]:
    """Records whose prompts and answers are of the lengths above, to the token."""
    from transformers import AutoTokenizer

    from steelyard.inference.text import encode_prompt
    from steelyard.lib.hashing import stable_int
    from tests.training_engine.rows import make_record
    from training.engine.data import encode_answer, end_of_turn

    tokenizer = AutoTokenizer.from_pretrained(base)
    end = end_of_turn(tokenizer)

    def words(kind: str, row: int, size: int) -> str:
        return "".join(chr(ord("a") + stable_int(kind, row, n) % 26) for n in range(size))

    def asked(text: str) -> list[dict[str, str]]:
        return [{"role": "user", "content": text}]

    def cut(text: str, wanted: int, length: Any) -> str:
        size = bisect_left(range(len(text)), wanted, key=lambda size: length(text[:size]))
        assert length(text[:size]) == wanted
        return text[:size]

    def answer(kind: str, row: int) -> str:
        return cut(
            words(kind, row, 3 * ANSWER), ANSWER, lambda t: len(encode_answer(tokenizer, t, end))
        )

    made = []
    for row in range(count):
        prompt = cut(
            words("prompt", row, 2 * PROMPT),
            PROMPT,
            lambda text: len(encode_prompt(tokenizer, asked(text))),
        )
        made.append(
            make_record(
                row,
                prompt=asked(prompt),
                chosen=answer("chosen", row),
                rejected=answer("rejected", row),
                split="train",
            )
        )
    return made


def settings(asked: Setting) -> dict[str, Any]:
    return {
        "train": asked.train,
        "batch_size": asked.pairs,
        "max_steps": asked.steps,
        "max_length": PROMPT + ANSWER,
        "learning_rate": RATE[asked.train],
        "scheduler": "constant",
        "warmup_ratio": 0.0,
        "threads": 1,
        "device": asked.device,
    }


def run_engine(base: Path, asked: Setting, more: dict[str, Any]) -> dict[str, Any]:
    from steelyard.lib.engine import Stop
    from steelyard.lib.records import write_parquet
    from steelyard.lib.rundir import RunDir
    from training.engine import text

    config = settings(asked) | more
    ticks: list[float] = []
    losses: list[float] = []
    start = 0.0

    class Timed(RunDir):
        def metric(self, step: int, **values: float) -> None:
            ticks.append(asked.now())
            losses.append(values["loss"])

    inner = text.reference_values

    def timed(*arguments: Any, **options: Any) -> Any:
        nonlocal start
        start = asked.now()
        return inner(*arguments, **options)

    text.reference_values = timed
    with tempfile.TemporaryDirectory() as folder:
        rundir = Timed(Path(folder))
        model = {"name": "bench", "family": "causal_lm", "source": str(base), "adapters": []}
        dataset = {"digest": "", "file": "data/rows.parquet"}
        rundir.create({"recipe": "dpo", "config": config, "base": model, "dataset": dataset})
        write_parquet(make_rows(base, asked.steps * asked.pairs), rundir.data / "rows.parquet")
        before = asked.memory()
        text.train(rundir, Stop(rundir))
    return {"start": start, "ticks": ticks, "losses": losses, "before": before}


def run_trl(base: Path, asked: Setting, more: dict[str, Any]) -> dict[str, Any]:
    import torch
    from datasets import Dataset, disable_progress_bars
    from torch.utils.data import SequentialSampler
    from transformers import PrinterCallback, TrainerCallback
    from trl import DPOConfig, DPOTrainer

    from steelyard.inference.text import load_causal_lm
    from training.engine.adapter import prepare
    from training.engine.config import TextDPOConfig
    from training.engine.loop import rows_of_step

    disable_progress_bars()
    ticks: list[float] = []
    losses: list[float] = []

    class Clock(TrainerCallback):
        def on_step_end(self, *arguments: Any, **options: Any) -> None:
            ticks.append(asked.now())

    class InOrder(DPOTrainer):
        def _get_train_sampler(self, dataset: Any = None) -> Any:
            return SequentialSampler(self.train_dataset)

        def training_step(self, *arguments: Any, **options: Any) -> Any:
            loss = super().training_step(*arguments, **options)
            losses.append(float(loss))
            return loss

    config = settings(asked)
    rows = make_rows(base, asked.steps * asked.pairs)
    order = [
        row
        for step in range(asked.steps)
        for row in rows_of_step(step, rows=len(rows), per_step=asked.pairs, seed=0)
    ]
    sides = ("chosen", "rejected")
    data = Dataset.from_list(
        [
            {
                "prompt": rows[row].prompt,
                **{s: [{"role": "assistant", "content": getattr(rows[row], s)}] for s in sides},
            }
            for row in order
        ]
    )
    before = asked.memory()
    model, tokenizer = load_causal_lm(str(base))
    tokenizer.padding_side = "right"
    ours = TextDPOConfig.from_dict(config)
    if asked.on_gpu:
        # As our side does it: frozen weights in bfloat16, what is trained in float32.
        model = model.to("cuda", torch.bfloat16 if ours.trained == "lora" else torch.float32)
    with tempfile.TemporaryDirectory() as folder:
        start = asked.now()
        trainer = InOrder(
            model=prepare(model, ours) if ours.trained == "lora" else model,
            args=DPOConfig(
                output_dir=folder,
                per_device_train_batch_size=asked.pairs,
                max_steps=asked.steps,
                max_length=PROMPT + ANSWER,
                learning_rate=config["learning_rate"],
                lr_scheduler_type="constant",
                precompute_ref_batch_size=asked.pairs,
                gradient_checkpointing=False,
                bf16=asked.on_gpu,
                use_cpu=not asked.on_gpu,
                logging_steps=1,
                report_to="none",
                save_strategy="no",
                disable_tqdm=True,
                **more,
            ),
            train_dataset=data,
            processing_class=tokenizer,
            callbacks=[Clock()],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return {"start": start, "ticks": ticks, "losses": losses, "before": before}


def run_arm(arm: str, base: Path, asked: Setting) -> None:
    import torch
    from transformers.utils import logging as transformers_logging

    torch.set_num_threads(1)
    transformers_logging.disable_progress_bar()
    run = run_engine if _is_ours(arm) else run_trl
    found = run(base, asked, ARMS[arm])
    print(json.dumps({**found, "peak": asked.memory()}))  # noqa: T201


def ask(arm: str, base: Path, asked: Setting) -> dict[str, Any]:
    words = [f"--{name}={value}" for name, value in asdict(asked).items()]
    done = subprocess.run(
        [sys.executable, __file__, "--arm", arm, "--base", str(base), *words],
        stdout=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"},
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def _is_ours(arm: str) -> bool:
    return arm.startswith("engine")


def _is_theirs(arm: str) -> bool:
    return not _is_ours(arm)


def tell(asked: Setting, found: dict[str, dict[str, Any]]) -> list[str]:
    first, second = next(iter(found.values())), "s" if asked.on_gpu else "CPU s"
    lines = [
        f"{asked.train}: {asked.steps} steps of {asked.pairs} pairs, {PROMPT} + {ANSWER} tokens, "
        f"{asked.device}"
    ]
    rates = {}
    for arm, values in found.items():
        steady = [after - before for before, after in pairwise(values["ticks"])]
        whole = values["ticks"][-1] - values["start"]
        rates[arm] = asked.pairs / median(steady), asked.pairs * asked.steps / whole
        far = max(abs(a - b) for a, b in zip(values["losses"], first["losses"], strict=True))
        lines.append(
            f"  {arm:15} {rates[arm][0]:6.3f} pairs a {second} of steps, {rates[arm][1]:6.3f} of "
            f"all, peak {values['peak']:5.0f} MiB ({values['peak'] - values['before']:5.0f} above "
            f"loading), losses differ by {far:.1e}"
        )
    for one, other in product(*(filter(by, found) for by in (_is_ours, _is_theirs))):
        step, whole = (a / b for a, b in zip(rates[one], rates[other], strict=True))
        lines.append(f"  {one} / {other}: {step:.2f} x a step, {whole:.2f} x of all")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--pairs", type=int, default=4)
    parser.add_argument("--size", choices=SHAPES, default="30m")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--train", nargs="+", choices=RATE, default=list(RATE))
    parser.add_argument("--arms", nargs="+", choices=ARMS, help="what compiles is for a GPU alone")
    parser.add_argument("--arm", choices=ARMS, help=argparse.SUPPRESS)
    parser.add_argument("--base", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    each = [Setting(train, asked.steps, asked.pairs, asked.device) for train in asked.train]
    if asked.arm:
        run_arm(asked.arm, asked.base, each[0])
        return
    arms = asked.arms or (list(ARMS) if each[0].on_gpu else ["engine", "trl", "trl-precompute"])
    with tempfile.TemporaryDirectory() as folder:
        make_base(Path(folder), asked.size, asked.device)
        for setting in each:
            found = {arm: ask(arm, Path(folder), setting) for arm in arms}
            print("\n".join(tell(setting, found)), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
