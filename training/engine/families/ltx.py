"""LTX-Video, from words to clips: packed tokens, and positions in seconds."""

from __future__ import annotations

from typing import Any

from diffusers import LTXPipeline
from torch import Tensor

from steelyard.inference.video_pipelines import config_of_part
from training.engine.families.base import Condition
from training.engine.families.video import STEPS, VideoFamily


class LTXFamily(VideoFamily):
    name = "ltx_video"
    tokens = 128
    frame_rule = (8, 1)

    def _look(self) -> None:
        self.side = int(self.encoders.vae_spatial_compression_ratio)
        self.step = int(self.encoders.vae_temporal_compression_ratio)
        patches = config_of_part(self.name, self.source, "transformer")
        self.patches = (int(patches["patch_size"]), int(patches["patch_size_t"]))

    def _encode(self, prompt: str) -> Condition:
        embeds, mask, _, _ = self.encoders.encode_prompt(
            prompt, do_classifier_free_guidance=False, max_sequence_length=self.tokens
        )
        return {"embeds": embeds[0, mask[0].bool()]}

    def _normal(self) -> tuple[Tensor, Tensor]:
        vae = self.vae
        scale = vae.config.scaling_factor / vae.latents_std.view(-1, 1, 1, 1)
        return vae.latents_mean.view(-1, 1, 1, 1), scale

    def _latent_tokens(self) -> int:
        height, width = self.native.height // self.side, self.native.width // self.side
        return ((self.frames - 1) // self.step + 1) * height * width

    def predict(
        self,
        denoiser: Any,
        noisy: Tensor,
        times: Tensor,
        prompts: dict[str, Tensor],
        size: tuple[int, int],
    ) -> Tensor:
        frames, height, width = noisy.shape[2:]
        made = denoiser(
            hidden_states=LTXPipeline._pack_latents(noisy, *self.patches).to(denoiser.dtype),
            encoder_hidden_states=prompts["embeds"].to(denoiser.dtype),
            timestep=times * STEPS,
            encoder_attention_mask=prompts["mask"],
            num_frames=frames,
            height=height,
            width=width,
            rope_interpolation_scale=(self.step / self.rate, self.side, self.side),
            return_dict=False,
        )[0]
        return LTXPipeline._unpack_latents(made.float(), frames, height, width, *self.patches)
