"""What makes two loaded models the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def version_of(told: Any, *states: Mapping[str, Tensor]) -> str:
    """SHA-256 of what is told and of every tensor, wherever they were loaded from."""
    hasher = hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode())
    for state in states:
        for name in sorted(state):
            if name.endswith("position_ids"):
                continue
            tensor = state[name].detach().cpu().contiguous()
            hasher.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
            hasher.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return hasher.hexdigest()


def writer_version(writer: Any) -> str:
    """Of a writer in this process: its weights, how it puts a question into tokens, and on what
    kind of device it computes."""
    words = writer.processor if hasattr(writer, "processor") else writer.tokenizer
    tokenizer = getattr(words, "tokenizer", words)
    template = getattr(words, "chat_template", None) or tokenizer.chat_template
    told = [str(template), len(tokenizer), writer.model.device.type]
    return version_of(told, writer.model.state_dict())
