"""What of a model is trained, and what is kept of it: an adapter, all weights, or a few of them.

=========  ===========================================================  =======================
``train``  is trained                                                   is kept
=========  ===========================================================  =======================
lora       a low-rank adapter on frozen weights (DoRA, rsLoRA)          the adapter, as PEFT does
all        every weight                                                 the whole model
bias       the biases of all layers (BitFit)                            the whole model
norm       the weights of normalisation layers                          the whole model
head       the output head, and with it the embeddings it is tied to    the whole model
=========  ===========================================================  =======================
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from transformers import PreTrainedModel

from steelyard.lib.errors import UserError
from steelyard.lib.hashing import stable_int
from steelyard.lib.said import Said
from training.engine.config import TextRecipe, names_in
from training.engine.distributed import full
from training.engine.words import WORDS


class Saved(Protocol):
    def save_pretrained(self, folder: Path, /) -> Any: ...


def check(model: PreTrainedModel, config: TextRecipe) -> None:
    """Whether the model has what is to be trained; asked before anything takes time.

    Raises:
        UserError: ``unknown_layer`` or ``nothing_to_train``, with what the model has instead.
    """
    if config.trained == "lora":
        check_targets(model, config.lora_targets)
    elif not trained_names(model, config.trained):
        wanted = {"bias": "biases", "norm": "normalisation weights", "head": "output head"}
        raise UserError(
            Said(WORDS, "trains_nothing", weights=wanted[config.trained], trained=config.trained),
            code="nothing_to_train",
            field="train",
        )


def check_targets(model: nn.Module, targets: str) -> None:
    """
    Raises:
        UserError: a name fits no linear layer, or it is the output head.
    """
    if targets.strip() == "all-linear":
        return
    lost, last = unknown_targets(model, targets)
    if lost:
        raise UserError(
            Said(WORDS, "no_such_layer", layer=lost[0], there=", ".join(last)),
            code="unknown_layer",
            field="lora_targets",
        )


def unknown_targets(model: nn.Module, targets: str) -> tuple[list[str], list[str]]:
    """Names that fit no layer that can take an adapter; and the last names of those that can."""
    kinds = {name: type(m).__name__ for name, m in model.named_modules() if name}
    there = {name for name, kind in kinds.items() if kind in ("Linear", "Conv1D")}
    lost = [
        wanted
        for wanted in names_in(targets)
        if wanted == "lm_head"
        or not any(name == wanted or name.endswith(f".{wanted}") for name in there)
    ]
    return lost, sorted({name.rpartition(".")[2] for name in there} - {"lm_head"})


def prepare(model: PreTrainedModel, config: TextRecipe) -> PreTrainedModel:
    """Make trainable what is to be trained: a fresh adapter in float32, or weights.

    The model stays in eval mode, so that no dropout of its own disturbs the comparison with the
    reference; only the adapter's dropout is switched on, by :func:`learning`. That the model has
    what is to be trained is for :func:`check` to say.
    """
    if config.trained == "lora":
        model = _with_adapter(model, config)
    else:
        chosen = trained_names(model, config.trained)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name in chosen)
    if config.gradient_checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
    return model.eval()


def _with_adapter(model: PreTrainedModel, config: TextRecipe) -> PreTrainedModel:
    every = config.lora_targets.strip() == "all-linear"
    targets: str | list[str] = "all-linear" if every else names_in(config.lora_targets)
    if hasattr(model, "sight"):
        from training.engine.vision import language_targets

        targets = language_targets(model, config.lora_targets)
    adapter = LoraConfig(
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules=targets,
        use_dora=config.dora,
        use_rslora=config.rslora,
        task_type="CAUSAL_LM",
    )
    torch.manual_seed(stable_int(config.seed, "adapter"))
    return get_peft_model(model, adapter)  # type: ignore[return-value]


def trained_names(model: PreTrainedModel, trained: str) -> set[str]:
    """Names of the parameters to be trained where that is no adapter."""
    every = [name for name, _ in model.named_parameters()]
    if trained == "all":
        return set(every)
    if trained == "bias":
        return {name for name in every if name.rpartition(".")[2] == "bias"}
    if trained == "norm":
        norms = {name for name, module in model.named_modules() if "Norm" in type(module).__name__}
        return {name for name in every if name.rpartition(".")[0] in norms}
    head = model.get_output_embeddings()
    held = {id(p) for p in head.parameters()} if head is not None else set()
    return {name for name, parameter in model.named_parameters() if id(parameter) in held}


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


def weights_of(model: PreTrainedModel, config: TextRecipe) -> dict[str, Tensor] | None:
    """The whole weights of a model whose weights are spread over processes, else None.

    Every process has to call this; the one that leads gets them.
    """
    if not config.shard:
        return None
    named = model.state_dict(keep_vars=True)
    # tied ones once, so that they are written once
    whole = {id(value): value for value in named.values()}
    gathered = {key: full(value.detach()) for key, value in whole.items()}
    return {name: gathered[id(value)] for name, value in named.items()}


def save(
    model: PreTrainedModel,
    config: TextRecipe,
    tokenizer: Saved,
    folder: Path,
    weights: dict[str, Tensor] | None = None,
) -> None:
    """Write what transformers and PEFT load unchanged: the adapter, or model and tokenizer.

    Args:
        tokenizer: or processor: what belongs to the model's weights.
        weights: as :func:`weights_of` gave them.
    """
    if config.trained == "lora":
        # the vocabulary is the base model's; by itself peft would look for it on the hub
        model.save_pretrained(folder, save_embedding_layers=False)
        return
    model.save_pretrained(folder, state_dict=weights)
    tokenizer.save_pretrained(folder)
