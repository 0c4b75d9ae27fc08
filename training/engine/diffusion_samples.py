"""What the model makes while it is trained, beside what it made before: for people to look at.

::

    RUN_DIR/ media_samples.jsonl  a line a sample: step, prompt, seed, seeds (fixed or fresh), file
                                  and reference_file, which are paths in the run's folder
             samples/             PNG or MP4: step-00000050-fixed-0.png, base-fixed-0.png, …; beside
                                  an MP4 a JPEG of the same name, to be shown until it is played

Fixed seeds are the same at every step, so that one picture can be watched as it changes; but nearly
any training moves all pictures of a seed one way, so fresh seeds stand beside them, which show what
a user would get. The base makes both too, from the same seeds. They have the shape that the run
trains at. Whole pipelines are loaded for it and let go again, as they paint for everybody else.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Sequence
from typing import Any

import torch

from steelyard.inference.kinds import PAINTERS
from steelyard.lib.hashing import stable_int
from steelyard.lib.rundir import RunDir, write_atomically
from steelyard.lib.said import Said
from training.engine.config import DiffusionDPOConfig
from training.engine.diffusion_keep import save_model
from training.engine.diffusion_model import DiffusionModel
from training.engine.diffusion_prepared import Prepared
from training.engine.words import WORDS

FILE = "media_samples.jsonl"
FOLDER = "samples"
KINDS = ("fixed", "fresh")
STEPS = 20
"""Denoising steps at most, where neither the run nor the model's own settings say how many: samples
are for a look, and a run should train."""


def sampler(
    rundir: RunDir,
    config: DiffusionDPOConfig,
    base: dict[str, Any],
    model: DiffusionModel,
    prepared: Prepared,
) -> Callable[[int], None]:
    """Make samples after a step where they are due: every ``sample_every`` steps and at the end. A
    step whose samples are there is passed over. Whatever goes wrong in making them is told, and
    the training goes on without any more."""
    if not config.sample_every:
        return lambda step: None
    # those to test with first, each prompt once
    pairs = [*prepared.dataset.test, *prepared.dataset.train]
    prompts = list(dict.fromkeys(pair.prompt for pair in pairs))[: config.sample_prompts]
    sampling = _sampling(config, base, prepared)
    broken = False

    def write(step: int) -> None:
        nonlocal broken
        due = step and (step % config.sample_every == 0 or step == config.max_steps)
        lines, _ = rundir.read_lines(FILE, 0)
        if broken or not due or any(line["step"] == step for line in lines):
            return
        at = rundir.read_progress() or {}
        text = Said.read(at.get("text", ""), at.get("said"))
        rundir.progress(step, config.max_steps, "steps", Said(WORDS, "making_samples"))
        try:
            made = _make(rundir, config, base, model, prompts, step, sampling)
        except Exception as error:  # noqa: BLE001 - a run is worth more than a look at it
            broken = True
            rundir.event(Said(WORDS, "no_more_samples", why=_why(error)), "warning")
            made = []
        rundir.progress(step, config.max_steps, "steps", text)
        if broken and model.device.type == "cuda":
            torch.cuda.empty_cache()
        with (rundir.path / FILE).open("a") as stream:
            stream.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in made)

    return write


def _why(error: Exception) -> str:
    if isinstance(error, torch.OutOfMemoryError):
        return Said(WORDS, "no_room_for_samples")
    text = getattr(error, "message", "") or str(error) or type(error).__name__
    return Said(WORDS, "samples_failed", why=text if isinstance(text, Said) else text.rstrip("."))


def _sampling(
    config: DiffusionDPOConfig, base: dict[str, Any], prepared: Prepared
) -> dict[str, Any]:
    """What a painter or filmer is told; ``most_steps`` is for :func:`_maker`."""
    family, said = prepared.family, dict[str, Any]()
    if config.sample_steps:
        said["steps"] = config.sample_steps
    elif "steps" not in (base.get("sampling") or {}):
        said["most_steps"] = STEPS
    if family.fixed_size:
        return said
    place = prepared.places[prepared.dataset.pairs[0].key]
    if family.modality == "image":
        return {**said, "width": place.width, "height": place.height}
    shape = {"width": place.width, "height": place.height, "frames": place.frames}
    return {**said, **shape, **({"fps": max(1, round(place.rate))} if place.rate else {})}


def _make(
    rundir: RunDir,
    config: DiffusionDPOConfig,
    base: dict[str, Any],
    model: DiffusionModel,
    prompts: Sequence[str],
    step: int,
    sampling: dict[str, Any],
) -> list[dict[str, Any]]:
    """Lines of FILE, whose files are there."""
    ending = "png" if model.family.modality == "image" else "mp4"
    lines: list[dict[str, Any]] = []
    for number, prompt in enumerate(prompts):
        for kind in KINDS:
            name = f"{kind}-{number}.{ending}"
            before = "base" if kind == "fixed" else f"step-{step:08d}-base"
            lines.append(
                {
                    "step": step,
                    "prompt": prompt,
                    "seed": stable_int(config.seed, kind, number, step * (kind == "fresh")) >> 32,
                    "seeds": kind,
                    "file": f"{FOLDER}/step-{step:08d}-{name}",
                    "reference_file": f"{FOLDER}/{before}-{name}",
                }
            )
    (rundir.path / FOLDER).mkdir(exist_ok=True)
    device = str(model.device)
    left = [line for line in lines if not (rundir.path / line["reference_file"]).exists()]
    _paint(rundir, base, device, left, "reference_file", sampling)
    folder = rundir.path / ".sampled"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir()
        save_model(model, base, folder)
        now = (
            {**base, "adapters": [*base.get("adapters", ()), str(folder)]}
            if model.trained == "lora"
            else {**base, "source": str(folder), "adapters": []}
        )
        _paint(rundir, now, device, lines, "file", sampling)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return lines


def _paint(
    rundir: RunDir,
    spec: dict[str, Any],
    device: str,
    lines: Sequence[dict[str, Any]],
    name: str,
    sampling: dict[str, Any],
) -> None:
    """One file after the other, so that the run is seen to be at work."""
    if not lines:
        return
    make = _maker(spec, device, sampling)
    for line in lines:
        path, made = rundir.path / line[name], make(line["prompt"], line["seed"])
        if path.suffix == ".mp4":
            # before the clip, whose being there says that both are
            write_atomically(path.with_suffix(".jpg"), _poster(made))
        write_atomically(path, made)
        rundir.beat()
    del make
    if device.startswith("cuda"):
        torch.cuda.empty_cache()


def _maker(
    spec: dict[str, Any], device: str, sampling: dict[str, Any]
) -> Callable[[str, int], bytes]:
    """Prompt and seed in, a file out."""
    if spec["family"] in PAINTERS:
        from steelyard.inference.images import load_painter

        painter: Any = load_painter(spec, device)
        chosen = _stepped(sampling, painter.DEFAULT.steps)

        def paint(prompt: str, seed: int) -> bytes:
            data = io.BytesIO()
            painter.paint([prompt], seeds=[seed], sampling=chosen)[0].save(data, "PNG")
            return data.getvalue()

        return paint
    from steelyard.inference.videos import load_filmer

    filmer = load_filmer(spec, device)
    chosen = _stepped(sampling, filmer.default.steps)
    return lambda prompt, seed: filmer.film([prompt], seeds=[seed], sampling=chosen)[0]


def _stepped(sampling: dict[str, Any], usual: int) -> dict[str, Any]:
    """With a number of steps in place of the most there may be."""
    known = dict(sampling)
    most = known.pop("most_steps", None)
    return {**known, "steps": min(usual, most)} if most else known


def _poster(clip: bytes) -> bytes:
    """The first frame as a JPEG."""
    import av

    with av.open(io.BytesIO(clip), "r") as container:
        frame = next(container.decode(video=0)).to_image()
    data = io.BytesIO()
    frame.convert("RGB").save(data, "JPEG", quality=85)
    return data.getvalue()
