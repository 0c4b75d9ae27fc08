"""What the model makes while it is trained, beside what it made before: for people to look at.

::

    RUN_DIR/ media_samples.jsonl  a line a sample: step, prompt, seed, seeds (fixed or fresh), file
                                  and reference_file, which are paths in the run's folder
             samples/             PNG or MP4: step-00000050-fixed-0.png, base-fixed-0.png, …; beside
                                  an MP4 a JPEG of the same name, to be shown until it is played

Fixed seeds are the same at every step, so that one picture can be watched as it changes; but nearly
any training moves all pictures of a seed one way, so fresh seeds stand beside them, which show what
a user would get. The base makes both too, from the same seeds. Whole pipelines are loaded for it
and let go again, as they paint for everybody else.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Sequence
from typing import Any

import torch

from steelyard.inference.kinds import PAINTERS
from steelyard.lib.errors import UserError
from steelyard.lib.hashing import stable_int
from steelyard.lib.rundir import RunDir, write_atomically
from training.engine.config import DiffusionDPOConfig
from training.engine.diffusion_data import MediaDataset
from training.engine.diffusion_keep import save_model
from training.engine.diffusion_model import DiffusionModel

FILE = "media_samples.jsonl"
FOLDER = "samples"
KINDS = ("fixed", "fresh")


def sampler(
    rundir: RunDir,
    config: DiffusionDPOConfig,
    base: dict[str, Any],
    model: DiffusionModel,
    dataset: MediaDataset,
) -> Callable[[int], None]:
    """Make samples after a step where they are due: every ``sample_every`` steps and at the end. A
    step whose samples are there is passed over."""
    if not config.sample_every:
        return lambda step: None
    # those to test with first, each prompt once
    ordered = dict.fromkeys(pair.prompt for pair in [*dataset.test, *dataset.train])
    prompts = list(ordered)[: config.sample_prompts]

    def write(step: int) -> None:
        due = step and (step % config.sample_every == 0 or step == config.max_steps)
        lines, _ = rundir.read_lines(FILE, 0)
        if not due or any(line["step"] == step for line in lines):
            return
        rundir.progress(step, config.max_steps, "steps", "Making samples")
        try:
            made = _make(rundir, config, base, model, prompts, step)
        except UserError as error:
            if error.code not in ("cannot_paint", "cannot_film"):
                raise
            rundir.event(f"No samples are made: {error.message}", "warning")
            return
        with (rundir.path / FILE).open("a") as stream:
            stream.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in made)

    return write


def _make(
    rundir: RunDir,
    config: DiffusionDPOConfig,
    base: dict[str, Any],
    model: DiffusionModel,
    prompts: Sequence[str],
    step: int,
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
    _paint(rundir, base, device, left, "reference_file")
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
        _paint(rundir, now, device, lines, "file")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return lines


def _paint(
    rundir: RunDir,
    spec: dict[str, Any],
    device: str,
    lines: Sequence[dict[str, Any]],
    name: str,
) -> None:
    """One file after the other, so that the run is seen to be at work."""
    if not lines:
        return
    make = _maker(spec, device)
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


def _maker(spec: dict[str, Any], device: str) -> Callable[[str, int], bytes]:
    """Prompt and seed in, a file out."""
    if spec["family"] in PAINTERS:
        from steelyard.inference.images import load_painter

        painter = load_painter(spec, device)

        def paint(prompt: str, seed: int) -> bytes:
            data = io.BytesIO()
            painter.paint([prompt], seeds=[seed], sampling={})[0].save(data, "PNG")
            return data.getvalue()

        return paint
    from steelyard.inference.videos import load_filmer

    filmer = load_filmer(spec, device)
    return lambda prompt, seed: filmer.film([prompt], seeds=[seed], sampling={})[0]


def _poster(clip: bytes) -> bytes:
    """The first frame as a JPEG."""
    import av

    with av.open(io.BytesIO(clip), "r") as container:
        frame = next(container.decode(video=0)).to_image()
    data = io.BytesIO()
    frame.convert("RGB").save(data, "JPEG", quality=85)
    return data.getvalue()
