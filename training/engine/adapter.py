"""What of a model is trained: a fresh LoRA adapter on frozen weights, or all weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import PreTrainedModel

from steelyard.lib.errors import UserError
from steelyard.lib.hashing import stable_int
from training.engine.config import TextDPOConfig, names_in


def prepare(model: PreTrainedModel, config: TextDPOConfig) -> PreTrainedModel:
    """Make trainable what is to be trained: a fresh adapter in float32, or all weights.

    The model stays in eval mode, so that no dropout of its own disturbs the comparison with the
    reference; only the adapter's dropout is switched on, by :func:`learning`. That the model has
    the layers is for :func:`check_targets` to say, before anything takes time.
    """
    if config.lora_rank == 0:
        model.requires_grad_(True)
    else:
        every = config.lora_targets.strip() == "all-linear"
        adapter = LoraConfig(
            r=config.lora_rank,
            lora_alpha=config.lora_alpha,
            lora_dropout=config.lora_dropout,
            target_modules="all-linear" if every else names_in(config.lora_targets),
            task_type="CAUSAL_LM",
        )
        torch.manual_seed(stable_int(config.seed, "adapter"))
        model = get_peft_model(model, adapter)  # type: ignore[assignment]
    if config.gradient_checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
    return model.eval()


def check_targets(model: nn.Module, targets: str) -> None:
    """
    Raises:
        UserError: a name fits no linear layer, or it is the output head.
    """
    if targets.strip() == "all-linear":
        return
    kinds = {name: type(m).__name__ for name, m in model.named_modules() if name}
    there = {name for name, kind in kinds.items() if kind in ("Linear", "Conv1D")}
    for wanted in names_in(targets):
        fits = any(name == wanted or name.endswith(f".{wanted}") for name in there)
        if fits and wanted != "lm_head":
            continue
        last = sorted({name.rpartition(".")[2] for name in there} - {"lm_head"})
        raise UserError(
            f"lora_targets names '{wanted}', which is no layer of this model that can take an "
            f"adapter. It has: {', '.join(last)}; or write all-linear.",
            code="unknown_layer",
            field="lora_targets",
        )


@contextmanager
def learning(model: nn.Module) -> Iterator[None]:
    """Switch on what acts in training alone: adapter dropout and gradient checkpointing."""
    for name, module in model.named_modules():
        if "lora_dropout" in name or getattr(module, "gradient_checkpointing", False):
            # the flag of this module alone: train() would wake the dropout of those inside
            module.training = True
    try:
        yield
    finally:
        model.eval()
