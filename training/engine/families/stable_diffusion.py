"""Stable Diffusion 1.x and 2.x: latents of an autoencoder and embeddings of one CLIP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from steelyard.inference.stable_diffusion import latent_size, load_pipeline, load_unet
from training.engine.families.base import Condition, Moments, stack
from training.engine.families.schedules import Discrete, Schedule


class StableDiffusionFamily:
    name = "stable_diffusion"
    modality = "image"
    channels = 3
    frame_rule = (0, 1)
    fixed_size = False
    lora_targets: tuple[str, ...] = ("to_q", "to_k", "to_v", "to_out.0")
    schedule: Schedule

    def __init__(self, source: str, device: torch.device) -> None:
        self.source = source
        # Encoders run once a picture and stay in float32: in half precision this autoencoder
        # overflows on some pictures.
        self.encoders = load_pipeline(source, dtype=torch.float32, with_unet=False).to(device)
        self.multiple = self.encoders.vae_scale_factor
        self.size = latent_size(source) * self.multiple
        self.cut = 0

    @torch.inference_mode()
    def encode_prompt(self, prompt: str) -> Condition:
        embedding, _ = self.encoders.encode_prompt(
            prompt, self.encoders.device, 1, do_classifier_free_guidance=False
        )
        return {"embeds": embedding[0].float().cpu()}

    @torch.inference_mode()
    def encode_media(self, pixels: Tensor) -> Moments:
        vae = self.encoders.vae
        found = vae.encode(pixels[None].to(vae.device)).latent_dist
        scale = vae.config.scaling_factor
        return Moments((found.mean[0] * scale).cpu(), (found.std[0] * scale).cpu())

    def load_denoiser(self, dtype: torch.dtype) -> Any:
        del self.encoders
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        unet, scheduler = load_unet(self.source, dtype=dtype)
        self.schedule = Discrete.of(scheduler)
        return unet

    def collate(self, conditions: Sequence[Condition]) -> dict[str, Tensor]:
        return stack(conditions)

    def predict(
        self,
        denoiser: Any,
        noisy: Tensor,
        times: Tensor,
        prompts: dict[str, Tensor],
        size: tuple[int, int],
    ) -> Tensor:
        made = denoiser(
            noisy.to(denoiser.dtype),
            times.long(),
            encoder_hidden_states=prompts["embeds"].to(denoiser.dtype),
        )
        return made.sample.float()

    def expert(self, times: Tensor) -> Tensor | None:
        return None
