"""Filming: prompts and seeds in, clips out.

    load_filmer(spec).film(["A red square moves."], seeds=[1], sampling={"frames": 49})

A clip depends on (seed, prompt, sampling) only, never on what else is filmed: each is made by
itself, its noise comes from a generator of its own, and it is coded the same way every time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, Protocol

import av
import numpy as np
import torch
from av.bitstream import BitStreamFilterContext
from av.container import OutputContainer
from av.video.stream import VideoStream

from steelyard.inference.image_adapters import merge_adapters
from steelyard.inference.sampling import Interrupted
from steelyard.inference.saying import WORDS
from steelyard.inference.video_pipelines import KINDS, Experts, Kind, kind_of, load_pipeline
from steelyard.lib.errors import UserError
from steelyard.lib.said import Said

X264 = {"preset": "medium", "crf": "16", "threads": "1"}
"""One thread: with more, the bytes would depend on the machine."""
MP4 = {"fflags": "+bitexact", "movflags": "+faststart", "write_btrt": "0"}
"""The index in front, no date and no name of a program."""
ROOM = 1.4
"""A GPU's free memory must be so many times the weights for all of them to lie there at once."""
RANGES = {
    "steps": (1, 1000),
    "guidance": (0, 100),
    "frames": (1, 1025),
    "fps": (1, 120),
    "width": (16, 4096),
    "height": (16, 4096),
}


class Filming(NamedTuple):
    """How a clip is made."""

    steps: int
    """Denoising steps; more is slower and cleaner."""
    guidance: float
    """How far to go beyond the prompt's own prediction; 1 asks the model once, unguided. One that
    was trained to be told of guidance is told this."""
    frames: int
    fps: int
    """Frames a second, that it is shown at."""
    width: int
    height: int


class Filmer(Protocol):
    default: Filming

    def settings(self, *given: dict[str, Any]) -> Filming:
        """The default, overruled by one dictionary after the other.

        Raises:
            UserError: ``bad_sampling``: an unknown name, a value out of range, or a shape that the
                model does not make.
        """

    def film(
        self, prompts: Sequence[str], *, seeds: Sequence[int], sampling: dict[str, Any]
    ) -> list[bytes]:
        """One MP4 a prompt, in order.

        Args:
            seeds: one a prompt.
            sampling: as :class:`Filming`; what is absent, the model's own setting gives.
        """


def load_filmer(
    spec: dict[str, Any], device: str = "cpu", stop: Callable[[], bool] = lambda: False
) -> Filmer:
    """The model of a spec (``family``, ``source``, ``adapters``, ``sampling``), ready to film.

    Args:
        stop: asked after each denoising step; where it says so, filming ends with
            :class:`.sampling.Interrupted`: a clip may take minutes.

    Raises:
        UserError: ``cannot_film``: its family makes no clips; and what loading raises.
    """
    if spec["family"] not in KINDS:
        raise UserError(
            Said(
                WORDS,
                "films_nothing",
                model=spec.get("name", ""),
                family=spec["family"],
                known=", ".join(KINDS),
            ),
            code="cannot_film",
        )
    return PipelineFilmer(spec, device, stop)


class PipelineFilmer:
    """A diffusers pipeline with its own scheduler, one clip at a time."""

    GUIDANCE = {"wan": 5.0, "cogvideox": 6.0, "ltx_video": 3.0, "hunyuan_video": 6.0}
    STEPS = 50

    def __init__(self, spec: dict[str, Any], device: str, stop: Callable[[], bool]) -> None:
        self.stop = stop
        family, source = spec["family"], spec["source"]
        self.family, self.sampling = family, spec.get("sampling") or {}
        self.kind: Kind = kind_of(family, source)
        clip = self.kind.clip
        self.default = Filming(
            self.STEPS, self.GUIDANCE[family], clip.frames, clip.rate, clip.width, clip.height
        )
        dtype = torch.bfloat16 if torch.device(device).type == "cuda" else torch.float32
        self.pipeline = load_pipeline(family, source, dtype=dtype)
        merge_adapters(_denoiser(self.pipeline), spec.get("adapters", ()))
        _place(self.pipeline, device)
        self.pipeline.set_progress_bar_config(disable=True)

    def settings(self, *given: dict[str, Any]) -> Filming:
        values: dict[str, Any] = self.default._asdict()
        for sampling in (self.sampling, *given):
            for name, value in sampling.items():
                _check(name, value)
                values[name] = value if name == "guidance" else int(value)
        chosen = Filming(**values)
        self._check_shape(chosen)
        return chosen

    def film(
        self, prompts: Sequence[str], *, seeds: Sequence[int], sampling: dict[str, Any]
    ) -> list[bytes]:
        chosen = self.settings(sampling)
        return [
            encode(self.frames(prompt, seed, chosen), chosen.fps)
            for prompt, seed in zip(prompts, seeds, strict=True)
        ]

    @torch.inference_mode()
    def frames(self, prompt: str, seed: int, chosen: Filming) -> np.ndarray:
        """uint8 (frames, height, width, 3)."""
        own: dict[str, Any] = {}
        if self.family == "ltx_video":
            own["frame_rate"] = chosen.fps
            if self.pipeline.vae.config.timestep_conditioning:
                # its decoder does the last bit of denoising
                own |= {"decode_timestep": 0.05, "decode_noise_scale": 0.025}
        made = self.pipeline(
            prompt,
            height=chosen.height,
            width=chosen.width,
            num_frames=chosen.frames,
            num_inference_steps=chosen.steps,
            guidance_scale=chosen.guidance,
            # On the CPU, so that a seed means the same noise on every device.
            generator=torch.Generator().manual_seed(seed),
            callback_on_step_end=self._look_up,
            output_type="np",
            **own,
        )
        return (np.nan_to_num(made.frames[0]) * 255).round().astype(np.uint8)

    def _look_up(self, *_: Any) -> dict[str, Any]:
        if self.stop():
            raise Interrupted
        return {}

    def _check_shape(self, chosen: Filming) -> None:
        if self.family == "ltx_video" and chosen.steps == 1:
            raise UserError(
                Said(WORDS, "two_steps"),
                code="bad_sampling",
                field="steps",
            )
        every, multiple = self.kind.every, self.kind.multiple
        if (chosen.frames - 1) % every:
            near = round((chosen.frames - 1) / every) * every + 1
            raise UserError(
                Said(WORDS, "frames_of", every=every, frames=chosen.frames, near=near),
                code="bad_sampling",
                field="frames",
            )
        for name in ("width", "height"):
            if (length := getattr(chosen, name)) % multiple:
                raise UserError(
                    Said(WORDS, "films_multiples", name=name, multiple=multiple, length=length),
                    code="bad_sampling",
                    field=name,
                )


def encode(frames: np.ndarray, rate: int) -> bytes:
    """An H.264 MP4 that every browser plays: 4:2:0, its index in front, two key frames a second,
    and nothing in it that tells of where it comes from. Equal frames make equal bytes.

    Args:
        frames: uint8 (frames, height, width, 3), sides even.
    """
    with TemporaryDirectory() as folder:
        # the index can be moved to the front in a file only
        path = Path(folder) / "clip.mp4"
        with av.open(str(path), "w", format="mp4", options=MP4) as container:
            _code(container, frames, rate)
        return path.read_bytes()


def _code(container: OutputContainer, frames: np.ndarray, rate: int) -> None:
    # x264's lookahead gives other bytes for the same frames now and then, one thread or not
    keys = f"rc-lookahead=0:mbtree=0:bframes=0:scenecut=0:keyint={max(1, rate // 2)}"
    options = {**X264, "x264-params": keys}
    stream = container.add_stream("libx264", rate=Fraction(rate), options=options)
    assert isinstance(stream, VideoStream)
    stream.height, stream.width = frames.shape[1:3]
    stream.pix_fmt = "yuv420p"
    stream.codec_context.open()
    # x264 writes its name and settings into the stream
    clean = BitStreamFilterContext("filter_units=remove_types=6", stream)
    for picture in [*frames, None]:
        frame = None if picture is None else av.VideoFrame.from_ndarray(picture, format="rgb24")
        for packet in stream.encode(frame):
            for part in clean.filter(packet):
                container.mux(part)
    for part in clean.filter(None):
        container.mux(part)


def _denoiser(pipeline: Any) -> Any:
    second = getattr(pipeline, "transformer_2", None)
    return pipeline.transformer if second is None else Experts(pipeline.transformer, second)


def _place(pipeline: Any, device: str) -> None:
    """On the GPU at once where there is room, else part by part as each has its turn."""
    where = torch.device(device)
    if where.type == "cuda":
        parts = [part for part in pipeline.components.values() if isinstance(part, torch.nn.Module)]
        weights = sum(p.numel() * p.element_size() for part in parts for p in part.parameters())
        if weights * ROOM > torch.cuda.mem_get_info(where)[0]:
            pipeline.enable_model_cpu_offload(device=where)
            pipeline.vae.enable_tiling()
            return
    pipeline.to(where)


def _check(name: str, value: Any) -> None:
    if name not in RANGES:
        raise UserError(
            f"Filming knows no setting {name!r}; it knows {', '.join(RANGES)}.",
            code="bad_sampling",
            field=name,
        )
    low, high = RANGES[name]
    number = isinstance(value, int | float) and not isinstance(value, bool)
    whole = number and (name == "guidance" or float(value).is_integer())
    if not whole or not low <= value <= high:
        kind = "a number" if name == "guidance" else "a whole number"
        raise UserError(
            f"{name} must be {kind} from {low} to {high}; it is {value!r}.",
            code="bad_sampling",
            field=name,
        )
