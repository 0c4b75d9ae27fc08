"""A small image model that paints one of a few things: a folder that needs no text encoder.

::

    FOLDER/ config.json                          a UNet2DConditionModel with num_class_embeds
            diffusion_pytorch_model.safetensors  its weights
            scheduler/scheduler_config.json      any DDPM-like scheduler: noise and target
            labels.json                          {"labels": [["0", "zero"], ["1", "one"], …],
                                                  "empty": 10, "enlarge": 8}

``labels[i]`` are the words that mean class ``i``; a prompt names its class by holding one of them
as a whole word, in any case. ``empty`` is the class of the empty prompt, for classifier-free
guidance. The UNet works on pixels from -1 to 1, so it has no autoencoder; it takes the class as
``class_labels`` and no text. ``enlarge`` is how many screen pixels a painted pixel is shown as:
people could not judge a picture of 16 pixels, and :func:`~.pixels.fit_square` undoes it exactly.
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffusers import DDPMScheduler, UNet2DConditionModel

from steelyard.inference.saying import WORDS
from steelyard.inference.sources import LOAD_ERRORS, explain
from steelyard.lib.errors import UserError
from steelyard.lib.hashing import canonical_json
from steelyard.lib.said import Said

_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Labels:
    """Which words of a prompt mean which class."""

    labels: list[list[str]]
    empty: int
    enlarge: int = 1

    def class_of(self, prompt: str) -> int:
        """The class that a prompt names; the empty prompt has its own.

        Raises:
            UserError: ``unknown_label`` or ``several_labels``.
        """
        if not prompt.strip():
            return self.empty
        words = set(_WORD.findall(prompt.casefold()))
        named = [
            number
            for number, names in enumerate(self.labels)
            if words & {name.casefold() for name in names}
        ]
        if len(named) == 1:
            return named[0]
        if named:
            shown = " and ".join(self.labels[number][0] for number in named)
            raise UserError(
                Said(WORDS, "names_several", prompt=prompt, shown=shown),
                code="several_labels",
            )
        known = ", ".join(names[0] for names in self.labels)
        raise UserError(
            Said(WORDS, "names_nothing", prompt=prompt, known=known),
            code="unknown_label",
        )

    @classmethod
    def read(cls, path: Path) -> Labels:
        try:
            values: dict[str, Any] = json.loads(path.read_bytes())
            labels = [[str(name) for name in names] for names in values["labels"]]
            return cls(labels, int(values["empty"]), int(values.get("enlarge", 1)))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                Said(WORDS, "bad_labels", path=path, error=error),
                code="not_a_model",
            ) from error

    def write(self, path: Path) -> None:
        body = {"labels": self.labels, "empty": self.empty, "enlarge": self.enlarge}
        path.write_bytes(canonical_json(body))


@dataclass
class ClassUnet:
    """What the folder holds, loaded."""

    unet: Any
    """UNet2DConditionModel; the library's own types say nothing to a type checker."""
    scheduler: Any
    """DDPMScheduler."""
    labels: Labels

    @property
    def size(self) -> int:
        """Side of its pictures in pixels."""
        return int(self.unet.config.sample_size)

    @property
    def channels(self) -> int:
        return int(self.unet.config.in_channels)


def load_class_unet(source: str) -> ClassUnet:
    """The model in a folder, in eval mode, float32, without adapters.

    Raises:
        UserError: ``unknown_model`` or ``not_a_model``.
    """
    folder = Path(source).expanduser()
    for name in ("config.json", "scheduler/scheduler_config.json"):
        if not (folder / name).is_file():
            raise UserError(
                Said(WORDS, "no_class_unet", source=source, name=name),
                code="unknown_model",
            )
    labels = Labels.read(folder / "labels.json")
    try:
        unet = UNet2DConditionModel.from_pretrained(
            folder, use_safetensors=True, local_files_only=True
        )
        scheduler = DDPMScheduler.from_pretrained(
            folder, subfolder="scheduler", local_files_only=True
        )
    except LOAD_ERRORS as error:
        raise explain(error, source, "a class-conditional UNet") from error
    classes = unet.config.num_class_embeds or 0
    if classes <= max(labels.empty, len(labels.labels) - 1) or labels.empty < 0:
        raise UserError(
            Said(WORDS, "too_few_classes", source=source, classes=classes),
            code="not_a_model",
        )
    return ClassUnet(unet.eval(), scheduler, labels)


def save_class_unet(folder: Path, *, unet: Any, scheduler: Any, labels: Labels) -> None:
    """Write the folder whole or not at all; an older one there is kept."""
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    unet.save_pretrained(partial, safe_serialization=True)
    scheduler.save_pretrained(partial / "scheduler")
    labels.write(partial / "labels.json")
    if not folder.exists():
        partial.rename(folder)
    shutil.rmtree(partial, ignore_errors=True)
