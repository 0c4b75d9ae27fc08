"""LoRA adapters: checked against the model they are laid on, then merged into its weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from peft import LoraConfig, PeftConfig, get_peft_model, set_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import PreTrainedModel

from steelyard.inference.saying import WORDS
from steelyard.lib.errors import UserError
from steelyard.lib.said import Said

WEIGHTS = "adapter_model.safetensors"


def merge_adapter(model: PreTrainedModel, folder: Path) -> PreTrainedModel:
    """Lay a LoRA adapter on the model and merge it; the result is a plain model.

    Args:
        folder: with ``adapter_config.json`` and ``adapter_model.safetensors``.

    Raises:
        UserError: the folder is no adapter, or it was trained on another model.
    """
    config = read_config(folder)
    try:
        weights = load_file(folder / WEIGHTS)
    except (FileNotFoundError, SafetensorError) as error:
        raise UserError(
            Said(WORDS, "adapter_weights", folder=folder, file=WEIGHTS),
            code="bad_adapter",
        ) from error
    try:
        wrapped: Any = get_peft_model(model, config)
        result: Any = set_peft_model_state_dict(wrapped, weights)
    except (ValueError, RuntimeError, KeyError) as error:
        raise _does_not_fit(folder, model, str(error)) from error
    missing = [name for name in result.missing_keys if "lora_" in name]
    if missing or result.unexpected_keys:
        names = [*result.unexpected_keys, *missing]
        raise _does_not_fit(folder, model, f"{names[0]} has no counterpart")
    # peft has frozen the weights; a merged model is to be like one that was just loaded
    return wrapped.merge_and_unload().requires_grad_(True)


def read_config(folder: Path) -> LoraConfig:
    """
    Raises:
        UserError: the folder is no LoRA adapter.
    """
    try:
        config = PeftConfig.from_pretrained(str(folder), local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise UserError(
            Said(WORDS, "no_adapter", folder=folder),
            code="bad_adapter",
        ) from error
    if not isinstance(config, LoraConfig):
        raise UserError(
            Said(WORDS, "adapter_type", folder=folder, type=config.peft_type),
            code="bad_adapter",
        )
    config.inference_mode = True
    return config


def _does_not_fit(folder: Path, model: PreTrainedModel, why: str) -> UserError:
    return UserError(
        Said(
            WORDS,
            "adapter_does_not_fit",
            folder=folder,
            model=model.name_or_path,
            why=" ".join(why.split())[:300],
        ),
        code="adapter_does_not_fit",
    )
