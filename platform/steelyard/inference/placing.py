"""Where the parts of a pipeline lie while it makes something."""

from __future__ import annotations

from typing import Any

import torch

ROOM = 1.4
"""A GPU's free memory must be so many times the weights for all of them to lie there at once."""


def place(pipeline: Any, device: torch.device) -> None:
    """Bring a pipeline to a device; where a GPU is too small for all of it, its parts come there by
    turns and the autoencoder decodes piece by piece."""
    if device.type == "cuda":
        parts = [part for part in pipeline.components.values() if isinstance(part, torch.nn.Module)]
        weights = sum(p.numel() * p.element_size() for part in parts for p in part.parameters())
        if weights * ROOM > torch.cuda.mem_get_info(device)[0]:
            pipeline.enable_model_cpu_offload(device=device)
            pipeline.vae.enable_tiling()
            return
    pipeline.to(device)
