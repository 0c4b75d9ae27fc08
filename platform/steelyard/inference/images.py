"""Painting: prompts and seeds in, pictures out.

    load_painter(spec).paint(["A handwritten 7."], seeds=[1], sampling={"steps": 20})

A picture depends on (seed, prompt, sampling) only, never on what else is painted: its noise comes
from a generator of its own, and every pass through the network has the same shape, short ones
being filled up, because a sum's last bits depend on the shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import torch
from diffusers import DDIMScheduler
from PIL import Image

from steelyard.inference.class_unet import ClassUnet, load_class_unet
from steelyard.inference.image_adapters import merge_adapters
from steelyard.inference.image_pipelines import KINDS, load_pipeline
from steelyard.inference.kinds import PAINTERS
from steelyard.inference.pixels import to_picture
from steelyard.inference.placing import place
from steelyard.inference.saying import WORDS
from steelyard.lib.errors import UserError
from steelyard.lib.said import Said


class Sampling(NamedTuple):
    """How a picture is painted."""

    steps: int
    """Denoising steps; more is slower and cleaner."""
    guidance: float
    """How far to go beyond the prompt's own prediction; 1 asks the model once, unguided. A model
    that was distilled to take guidance as an input is told the number."""
    size: int = 0
    """Side of a square picture in pixels; 0: the model's own."""
    width: int = 0
    """In pixels; 0: as ``size``."""
    height: int = 0

    @classmethod
    def of(cls, default: Sampling, *given: dict[str, Any]) -> Sampling:
        """The default, overruled by one dictionary after the other: who names a size says of width
        and height what he does not name too.

        Raises:
            UserError: ``bad_sampling``: an unknown name or a value out of range.
        """
        values = default._asdict()
        for sampling in given:
            if sampling.get("size"):
                values |= {"width": 0, "height": 0}
            for name, value in sampling.items():
                _check(name, value)
                values[name] = value
        guidance = float(values.pop("guidance"))
        return cls(guidance=guidance, **{name: int(value) for name, value in values.items()})

    def told(self) -> dict[str, Any]:
        """What is said of the picture; of width and height where they are not the size."""
        said = self._asdict().items()
        return {name: v for name, v in said if v or name not in ("width", "height")}

    def sides(self, own: int) -> tuple[int, int]:
        """Width and height, of a model whose own side is this."""
        side = self.size or own
        return self.width or side, self.height or side


class Painter(Protocol):
    def paint(
        self, prompts: Sequence[str], *, seeds: Sequence[int], sampling: dict[str, Any]
    ) -> list[Image.Image]:
        """One picture a prompt, in order.

        Args:
            seeds: one a prompt.
            sampling: ``steps``, ``guidance``, ``size``, ``width`` and ``height``; what is absent,
                the model's own setting gives.
        """


def load_painter(spec: dict[str, Any], device: str = "cpu") -> Painter:
    """The model of a spec (``family``, ``source``, ``adapters``, ``sampling``), ready to paint.

    Raises:
        UserError: ``cannot_paint``: its family makes no pictures; and what loading raises.
    """
    family = spec["family"]
    if family not in PAINTERS:
        raise UserError(
            Said(
                WORDS,
                "paints_nothing",
                model=spec.get("name", ""),
                family=family,
                known=", ".join(PAINTERS),
            ),
            code="cannot_paint",
        )
    return (ClassUnetPainter if family == "class_unet" else PipelinePainter)(spec, device)


class ClassUnetPainter:
    """A class-conditional UNet with DDIM (deterministic: all chance is in the first noise)."""

    BATCH = 8
    DEFAULT = Sampling(steps=20, guidance=2.0)

    def __init__(self, spec: dict[str, Any], device: str = "cpu") -> None:
        model = load_class_unet(spec["source"])
        merge_adapters(model.unet, spec.get("adapters", ()))
        self._adopt(model, spec.get("sampling") or {}, device)

    @classmethod
    def of(cls, model: ClassUnet) -> ClassUnetPainter:
        """A painter of a model that is already in memory."""
        painter = cls.__new__(cls)
        painter._adopt(model, {}, "cpu")
        return painter

    def _adopt(self, model: ClassUnet, sampling: dict[str, Any], device: str) -> None:
        self.model, self.sampling, self.device = model, sampling, torch.device(device)
        model.unet.to(self.device)

    def paint(
        self, prompts: Sequence[str], *, seeds: Sequence[int], sampling: dict[str, Any]
    ) -> list[Image.Image]:
        chosen = Sampling.of(self.DEFAULT, self.sampling, sampling)
        for name in ("size", "width", "height"):
            if (said := getattr(chosen, name)) not in (0, self.model.size):
                raise UserError(
                    Said(WORDS, "paints_one_size", size=self.model.size, name=name, said=said),
                    code="bad_sampling",
                    field=name,
                )
        classes = [self.model.labels.class_of(prompt) for prompt in prompts]
        wanted = list(zip(classes, seeds, strict=True))
        pictures: list[Image.Image] = []
        for start in range(0, len(wanted), self.BATCH):
            some = wanted[start : start + self.BATCH]
            noise = torch.stack([self._noise(seed) for _, seed in some])
            pixels = self._denoise(noise, torch.tensor([number for number, _ in some]), chosen)
            pictures += [to_picture(p, self.model.labels.enlarge) for p in pixels]
        return pictures

    def _noise(self, seed: int) -> torch.Tensor:
        shape = (self.model.channels, self.model.size, self.model.size)
        return torch.randn(shape, generator=torch.Generator().manual_seed(seed))

    @torch.inference_mode()
    def _denoise(
        self, noise: torch.Tensor, classes: torch.Tensor, sampling: Sampling
    ) -> torch.Tensor:
        count = len(noise)
        filled = torch.arange(self.BATCH) % count
        pixels, asked = noise[filled].to(self.device), classes[filled].to(self.device)
        scheduler = DDIMScheduler.from_config(self.model.scheduler.config)
        scheduler.set_timesteps(sampling.steps)
        nothing = torch.full_like(asked, self.model.labels.empty)
        for time in scheduler.timesteps:
            output = self._predict(pixels, time, asked)
            if sampling.guidance != 1:
                unguided = self._predict(pixels, time, nothing)
                output = unguided + sampling.guidance * (output - unguided)
            pixels = scheduler.step(output, time, pixels).prev_sample
        return pixels[:count]

    def _predict(
        self, pixels: torch.Tensor, time: torch.Tensor, classes: torch.Tensor
    ) -> torch.Tensor:
        return self.model.unet(
            pixels, time, encoder_hidden_states=None, class_labels=classes
        ).sample


class Style(NamedTuple):
    """How pictures of a family are painted where nobody says otherwise."""

    usual: Sampling
    guidance: str = "guidance_scale"
    """What the pipeline calls it."""
    also: dict[str, Any] = {}
    """Said to the pipeline with every prompt."""
    tokens: int = 1
    """Latents across that the denoiser takes for one token."""
    latents: int = 128
    """Across a picture of the model's own size, where its settings do not say."""
    least: int = 1
    """Sides are whole multiples of so many pixels, whatever the parts say."""


STYLES = {
    "stable_diffusion": Style(Sampling(steps=30, guidance=7.5)),
    "stable_diffusion_xl": Style(Sampling(steps=30, guidance=5.0)),
    "stable_diffusion_3": Style(Sampling(steps=28, guidance=5.0), tokens=2),
    "flux": Style(Sampling(steps=28, guidance=3.5), tokens=2),
    "qwen_image": Style(
        Sampling(steps=50, guidance=4.0), "true_cfg_scale", {"negative_prompt": " "}, tokens=2
    ),
    "sana": Style(
        Sampling(steps=20, guidance=4.5),
        # Neither moves the size to one of a list nor rewrites the prompt.
        also={"use_resolution_binning": False, "clean_caption": False},
        latents=32,
        least=32,
    ),
}


HASTY = Sampling(steps=4, guidance=1.0)
"""For a Flux that takes no guidance: it was distilled to paint in few steps."""


class PipelinePainter:
    """A diffusers pipeline with its own scheduler, one picture at a time."""

    def __init__(self, spec: dict[str, Any], device: str = "cpu") -> None:
        family = spec["family"]
        self.style, self.sampling = STYLES[family], spec.get("sampling") or {}
        dtype = torch.bfloat16 if torch.device(device).type == "cuda" else torch.float32
        self.pipeline = load_pipeline(family, spec["source"], dtype=dtype)
        denoiser = getattr(self.pipeline, KINDS[family].part)
        merge_adapters(denoiser, spec.get("adapters", ()))
        hasty = family == "flux" and not denoiser.config.guidance_embeds
        self.DEFAULT = HASTY if hasty else self.style.usual
        place(self.pipeline, torch.device(device))
        self.pipeline.set_progress_bar_config(disable=True)
        factor = self.pipeline.vae_scale_factor
        sides = denoiser.config.get("sample_size") or self.style.latents
        self.size = factor * (sides if isinstance(sides, int) else sides[0])
        self.multiple = max(factor * self.style.tokens, self.style.least)

    def paint(
        self, prompts: Sequence[str], *, seeds: Sequence[int], sampling: dict[str, Any]
    ) -> list[Image.Image]:
        chosen = Sampling.of(self.DEFAULT, self.sampling, sampling)
        for name in ("size", "width", "height"):
            if (said := getattr(chosen, name)) % self.multiple:
                raise UserError(
                    Said(WORDS, "paints_multiples", name=name, multiple=self.multiple, said=said),
                    code="bad_sampling",
                    field=name,
                )
        return [self._one(p, s, chosen) for p, s in zip(prompts, seeds, strict=True)]

    @torch.inference_mode()
    def _one(self, prompt: str, seed: int, sampling: Sampling) -> Image.Image:
        width, height = sampling.sides(self.size)
        made = self.pipeline(
            prompt,
            num_inference_steps=sampling.steps,
            height=height,
            width=width,
            # On the CPU, so that a seed means the same noise on every device.
            generator=torch.Generator().manual_seed(seed),
            **{self.style.guidance: sampling.guidance},
            **self.style.also,
        )
        picture: Image.Image = made.images[0]
        return picture


def _check(name: str, value: Any) -> None:
    ranges = {
        "steps": (1, 1000, "a whole number"),
        "guidance": (0, 100, "a number"),
        **dict.fromkeys(("size", "width", "height"), (0, 4096, "a whole number")),
    }
    if name not in ranges:
        raise UserError(
            f"Painting knows no setting {name!r}; it knows {', '.join(ranges)}.",
            code="bad_sampling",
            field=name,
        )
    low, high, kind = ranges[name]
    number = isinstance(value, int | float) and not isinstance(value, bool)
    whole = number and (kind == "a number" or float(value).is_integer())
    if not whole or not low <= value <= high:
        raise UserError(
            f"{name} must be {kind} from {low} to {high}; it is {value!r}.",
            code="bad_sampling",
            field=name,
        )
