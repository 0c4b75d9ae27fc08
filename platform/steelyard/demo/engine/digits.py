"""A small image model, taught here, and pairs of the digits that it paints.

Two models come of one training: ``digit-unet`` and, as it was a third of the way,
``digit-unet-early``, whose digits are often hard to read. Half of the pairs set one against the
other, half are two tries of the better one.

A limit makes all of it quick, the training too: few pairs, of digits that nobody can read.

Pictures are kept as people see them: 16 x 16 pixels, each drawn 8 x 8 large. Training takes them
back to 16 x 16 exactly (steelyard.inference.pixels).
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from steelyard.demo.engine.digit_model import EARLY, NAME, QUICK_STEPS, STEPS, WORDS, teach
from steelyard.demo.engine.lines import (
    MODELS,
    OUTPUTS,
    append,
    asked,
    keep_media,
    prompts_done,
    written,
)
from steelyard.demo.engine.words import WORDS as SAYS
from steelyard.inference.images import load_painter
from steelyard.lib.engine import Stop
from steelyard.lib.hashing import stable_int
from steelyard.lib.rundir import RunDir
from steelyard.lib.said import Said

SEED = 0
SAMPLING = {"steps": 12, "guidance": 2.0}
ASK = [
    "A handwritten {}.",
    "The digit {}, written by hand.",
    "A small scan of the number {}.",
    "Somebody has written a {} on paper.",
]
"""Prompts for pairs; the model reads the digit and nothing else."""
HOLD_OUT = ["Handwriting: the figure {}.", "A {} from a filled-in form."]
"""Prompts kept for evaluation."""
AT_A_TIME = 8


class Ask(NamedTuple):
    number: int
    text: str
    digit: str
    held_out: bool

    def sides(self) -> list[tuple[str, int]]:
        """Which model paints each side, and with which seed."""
        seeds = [stable_int(SEED, "paint", self.text, side) % 2**31 for side in "ab"]
        models = [NAME, NAME]
        # Half of the prompts, and over two forms every digit.
        if (self.number + self.number // len(WORDS)) % 2:
            models[stable_int(SEED, "early", self.text) % 2] = EARLY
        return list(zip(models, seeds, strict=True))


def make_digits(rundir: RunDir, stop: Stop) -> None:
    """Teach the model or find it in ``models_dir``; write ``models.jsonl`` and
    ``outputs.jsonl``, with pictures under ``media/``."""
    spec = rundir.spec()
    limit = spec.get("limit")
    steps = STEPS if limit is None else QUICK_STEPS
    # A hurried model has folders of its own, so that no whole demo finds it in place of a good one.
    ending = "" if limit is None else f"-{steps}"
    folders = {name: Path(spec["models_dir"]) / f"{name}{ending}" for name in (NAME, EARLY)}
    if not teach(rundir, stop, folders, seed=SEED, steps=steps):
        return
    known = {line["name"] for line in written(rundir, MODELS)}
    for name, folder in folders.items():
        if name not in known:
            append(rundir, MODELS, _model_line(name, folder))
    if _paint_all(rundir, stop, folders, prompts(limit)):
        rundir.finish(status="succeeded", counts=_counts(rundir))


def prompts(limit: int | None) -> list[Ask]:
    """What is asked: at most ``limit`` prompts for pairs and as many held out."""
    made = []
    for held_out, forms in ((False, ASK), (True, HOLD_OUT)):
        texts = [(form.format(digit), str(digit)) for form in forms for digit in range(len(WORDS))]
        made += [
            Ask(number, text, digit, held_out) for number, (text, digit) in enumerate(texts[:limit])
        ]
    return made


def _paint_all(rundir: RunDir, stop: Stop, folders: dict[str, Path], asks: list[Ask]) -> bool:
    painters = {name: load_painter(_spec(name, folder)) for name, folder in folders.items()}
    done = prompts_done(rundir)
    missing = [ask for ask in asks if ask.text not in done]
    for place in range(0, len(missing), AT_A_TIME):
        if stop:
            return False
        some = missing[place : place + AT_A_TIME]
        for ask, line in zip(some, _lines(rundir, painters, some), strict=True):
            append(rundir, OUTPUTS, line)
            done.add(ask.text)
        rundir.progress(len(done), len(asks), "prompts", Said(SAYS, "painting"))
    return True


def _lines(rundir: RunDir, painters: dict[str, Any], asks: Sequence[Ask]) -> list[dict[str, Any]]:
    """A line a prompt; the pictures it names are on disk when this returns."""
    lines: list[dict[str, Any]] = [
        {"prompt": asked(ask.text), "category": f"digit {ask.digit}", "held_out": ask.held_out}
        for ask in asks
    ]
    for name, painter in painters.items():
        wanted = [
            (line, ask, side, seed)
            for line, ask in zip(lines, asks, strict=True)
            if not ask.held_out
            for side, (model, seed) in zip("ab", ask.sides(), strict=True)
            if model == name
        ]
        pictures = painter.paint(
            [ask.text for _, ask, _, _ in wanted],
            seeds=[seed for _, _, _, seed in wanted],
            sampling=SAMPLING,
        )
        for (line, ask, side, seed), picture in zip(wanted, pictures, strict=True):
            line[side] = {
                "model": name,
                "media": keep_media(rundir, f"digit-{ask.number:03d}-{side}.png", _png(picture)),
                "seed": seed,
                "parameters": SAMPLING,
            }
    return lines


def _png(picture: Image.Image) -> bytes:
    packed = io.BytesIO()
    picture.save(packed, "PNG")
    return packed.getvalue()


def _spec(name: str, folder: Path) -> dict[str, Any]:
    return {"name": name, "modality": "image", "family": "class_unet", "source": str(folder)}


def _model_line(name: str, folder: Path) -> dict[str, Any]:
    return {**_spec(name, folder), "options": {"sampling": SAMPLING}}


def _counts(rundir: RunDir) -> dict[str, int]:
    lines = written(rundir, OUTPUTS)
    held_out = sum(line["held_out"] for line in lines)
    return {"pairs": len(lines) - held_out, "held_out": held_out}
