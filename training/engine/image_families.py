"""What the diffusion recipe must know of a kind of image model, and nothing else does.

A family goes through two phases, so that its large parts are never in memory together: encoders
turn prompts and pictures into tensors, which are kept; then they are let go and the denoiser is
loaded. A new family is a class here and a row in FAMILIES.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from PIL import Image

from steelyard.inference.class_unet import ClassUnet, load_class_unet
from steelyard.inference.pixels import fit_square, to_tensor
from steelyard.inference.stable_diffusion import latent_size, load_pipeline, load_unet
from steelyard.lib.errors import UserError


class Family(Protocol):
    """One image model on its way through both phases."""

    size: int
    """Side in pixels of the pictures it was made for."""

    def encode_prompt(self, prompt: str) -> torch.Tensor:
        """What :meth:`predict` is told of a prompt, the same shape for each; "" is the empty one.

        Raises:
            UserError: the model has no meaning for the prompt.
        """

    def encode_picture(self, picture: Image.Image, size: int) -> torch.Tensor:
        """The clean sample that the denoiser works on, float32 (channels, height, width)."""

    def load_denoiser(self, dtype: torch.dtype) -> tuple[Any, Any]:
        """Let go of the encoders; the UNet and the scheduler it was trained with."""

    def predict(
        self, unet: Any, noisy: torch.Tensor, times: torch.Tensor, prompts: torch.Tensor
    ) -> torch.Tensor:
        """The UNet's output for a batch, float32, shaped like ``noisy``."""


def open_family(spec: dict[str, Any], device: torch.device) -> Family:
    """The family of a base model, with its encoders loaded.

    Raises:
        UserError: ``cannot_train``: no family of that name is trained here; and what loading says.
    """
    family = spec["family"]
    if family not in FAMILIES:
        raise UserError(
            f"The base model {spec.get('name', '')} is of family {family}. Diffusion-DPO trains: "
            f"{', '.join(FAMILIES)}.",
            code="cannot_train",
            field="base",
        )
    return FAMILIES[family](spec["source"], device)


class ClassUnetFamily:
    """Pixels and classes: no encoders at all (see steelyard.inference.class_unet)."""

    def __init__(self, source: str, device: torch.device) -> None:
        self.model: ClassUnet = load_class_unet(source)
        self.size = self.model.size

    def encode_prompt(self, prompt: str) -> torch.Tensor:
        return torch.tensor(self.model.labels.class_of(prompt))

    def encode_picture(self, picture: Image.Image, size: int) -> torch.Tensor:
        if size != self.size:
            raise UserError(
                f"This model paints pictures of {self.size} pixels and no other size; set "
                f"resolution to 0 or {self.size}, not {size}.",
                code="bad_resolution",
                field="resolution",
            )
        return to_tensor(fit_square(picture, size, self.model.channels))

    def load_denoiser(self, dtype: torch.dtype) -> tuple[Any, Any]:
        unet = self.model.unet
        return unet if unet.dtype == dtype else unet.to(dtype), self.model.scheduler

    def predict(
        self, unet: Any, noisy: torch.Tensor, times: torch.Tensor, prompts: torch.Tensor
    ) -> torch.Tensor:
        made = unet(noisy.to(unet.dtype), times, encoder_hidden_states=None, class_labels=prompts)
        return made.sample.float()


class StableDiffusionFamily:
    """Latents of an autoencoder and embeddings of CLIP: Stable Diffusion 1.x and 2.x."""

    def __init__(self, source: str, device: torch.device) -> None:
        self.source = source
        # Encoders run once a picture and stay in float32: in half precision this autoencoder
        # overflows on some pictures.
        self.encoders = load_pipeline(source, dtype=torch.float32, with_unet=False).to(device)
        self.multiple = self.encoders.vae_scale_factor
        self.size = latent_size(source) * self.multiple

    @torch.inference_mode()
    def encode_prompt(self, prompt: str) -> torch.Tensor:
        embedding, _ = self.encoders.encode_prompt(
            prompt, self.encoders.device, 1, do_classifier_free_guidance=False
        )
        return embedding[0].float().cpu()

    @torch.inference_mode()
    def encode_picture(self, picture: Image.Image, size: int) -> torch.Tensor:
        if size % self.multiple:
            raise UserError(
                f"resolution must be a multiple of {self.multiple} for this model; it is {size}.",
                code="bad_resolution",
                field="resolution",
            )
        vae = self.encoders.vae
        pixels = to_tensor(fit_square(picture, size, 3))[None].to(vae.device)
        # The distribution's middle, not a draw: its spread is a hundredth of the latents' own,
        # and one tensor a picture is enough to keep.
        latent = vae.encode(pixels).latent_dist.mode() * vae.config.scaling_factor
        return latent[0].float().cpu()

    def load_denoiser(self, dtype: torch.dtype) -> tuple[Any, Any]:
        del self.encoders
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        return load_unet(self.source, dtype=dtype)

    def predict(
        self, unet: Any, noisy: torch.Tensor, times: torch.Tensor, prompts: torch.Tensor
    ) -> torch.Tensor:
        made = unet(noisy.to(unet.dtype), times, encoder_hidden_states=prompts.to(unet.dtype))
        return made.sample.float()


FAMILIES: dict[str, Callable[[str, torch.device], Family]] = {
    "class_unet": ClassUnetFamily,
    "stable_diffusion": StableDiffusionFamily,
}
