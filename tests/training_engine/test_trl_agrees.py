"""The engine against TRL's DPOTrainer on the same rows in the same order: an independent oracle."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from steelyard.inference.text import load_causal_lm
from steelyard.lib.engine import Stop
from steelyard.lib.rundir import RunDir
from tests.tiny_models import make_tiny_lm
from tests.training_engine.rows import make_record, metrics_of
from training.engine import text
from training.engine.adapter import prepare
from training.engine.config import TextDPOConfig
from training.engine.loop import rows_of_step

# no white space after the end-of-turn token, which TRL would train and the engine does not
TEMPLATE = (
    "{% for message in messages %}{{ '' if loop.first else '\n' }}<|im_start|>"
    "{{ message['role'] }}\n{{ message['content'] }}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}{{ '\n' }}<|im_start|>assistant\n{% endif %}"
)
STEPS = 4
SAME = {
    "loss": "loss",
    "reward_margin": "rewards/margins",
    "reward_chosen": "rewards/chosen",
    "logp_chosen": "logps/chosen",
    "logp_rejected": "logps/rejected",
    "grad_norm": "grad_norm",
}


def trl_log(model: Any, tokenizer: Any, rows: list[Any], config: TextDPOConfig, out: Path) -> Any:
    """What TRL logs at each step, training on the rows in their order."""
    from datasets import Dataset
    from torch.utils.data import SequentialSampler
    from trl import DPOConfig, DPOTrainer

    class InOrder(DPOTrainer):
        def _get_train_sampler(self, dataset: Any = None) -> Any:
            return SequentialSampler(self.train_dataset)

    arguments = DPOConfig(
        output_dir=str(out),
        beta=config.beta,
        loss_type=[config.loss_type],
        label_smoothing=config.label_smoothing,
        max_length=config.max_length,
        learning_rate=config.learning_rate,
        lr_scheduler_type="constant",
        per_device_train_batch_size=config.batch_size,
        max_steps=STEPS,
        max_grad_norm=config.max_grad_norm,
        logging_steps=1,
        gradient_checkpointing=False,
        bf16=False,
        use_cpu=True,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
    )
    sides = ("chosen", "rejected")
    dataset = Dataset.from_list(
        [
            {
                "prompt": row.prompt,
                **{s: [{"role": "assistant", "content": getattr(row, s)}] for s in sides},
            }
            for row in rows
        ]
    )
    reference = copy.deepcopy(model) if config.lora_rank == 0 else None
    trainer = InOrder(
        model=model,
        ref_model=reference,
        args=arguments,
        train_dataset=dataset,
        processing_class=tokenizer,
    )
    trainer.train()
    return [line for line in trainer.state.log_history if "grad_norm" in line]


@pytest.mark.slow
@pytest.mark.parametrize(
    "extra",
    [
        {"lora_rank": 4, "learning_rate": 1e-2},
        {"lora_rank": 0, "learning_rate": 1e-4},
        {"lora_rank": 4, "learning_rate": 1e-2, "loss_type": "hinge", "beta": 0.5},
        {"lora_rank": 4, "learning_rate": 1e-2, "loss_type": "robust", "label_smoothing": 0.2},
    ],
    ids=["adapter", "full", "hinge", "robust"],
)
def test_each_step_is_that_of_trl(
    make_run: Callable[..., RunDir], tmp_path: Path, extra: dict[str, Any]
) -> None:
    base = make_tiny_lm(tmp_path / "base", chat_template=TEMPLATE)
    records = [make_record(n, split="train") for n in range(1, 11)]
    options = {"batch_size": 3, "max_steps": STEPS, "scheduler": "constant", "warmup_ratio": 0.0}
    rundir = make_run(records=records, **{**options, **extra})
    spec = rundir.spec()
    spec["base"]["source"] = str(base)
    rundir.create(spec)
    text.train(rundir, Stop(rundir))
    ours = metrics_of(rundir)

    config = TextDPOConfig.from_dict(spec["config"])
    order = [
        row
        for step in range(STEPS)
        for row in rows_of_step(step, rows=len(records), per_step=3, seed=0)
    ]
    # ten rows in threes: the fourth step has one, and TRL's too, being the last
    assert len(order) == 10
    model, tokenizer = load_causal_lm(str(base))
    tokenizer.padding_side = "right"
    model = prepare(model, config) if config.lora_rank else model
    theirs = trl_log(model, tokenizer, [records[row] for row in order], config, tmp_path / "trl")
    for step, line in enumerate(theirs, start=1):
        for name, trl_name in SAME.items():
            expected = pytest.approx(line[trl_name], rel=1e-4, abs=2e-5)
            assert ours[name][step] == expected, (step, name)
    assert len(theirs) == STEPS
    assert torch.isfinite(torch.tensor(ours["loss"][STEPS]))
