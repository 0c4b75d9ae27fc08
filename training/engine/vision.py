"""What a vision-language model in training is shown: pictures by their hash, looked at once.

A row names its pictures by SHA-256; their files lie in the run's ``media/``. While the vision tower
is not trained, what it makes of a prompt's pictures is kept, so that they go through it once a run
and not in every step, for chosen and rejected, and for the reference again.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from steelyard.inference.frames import FRAMES, read_pictures
from steelyard.inference.text import Messages
from steelyard.inference.vision import Look, answer_end, encode_look, generate
from steelyard.lib.errors import UserError
from steelyard.lib.records import PreferenceRecord
from steelyard.lib.rundir import RunDir
from steelyard.lib.said import Said
from training.engine.config import names_in
from training.engine.data import Encoder
from training.engine.forward import Row
from training.engine.words import WORDS

KEPT_BYTES = 2**31
"""How much of what the vision tower makes is kept in the machine's memory."""


class VisionEncoder(Encoder):
    """Turns prompts with pictures and answers into rows.

    Args:
        max_length: of prompt, places of its pictures, and answer together, in tokens.
    """

    def __init__(self, sight: Sight, max_length: int) -> None:
        super().__init__(sight.processor.tokenizer, max_length, end=answer_end(sight.processor))
        self.sight = sight

    def prompt(self, messages: Sequence[Mapping[str, Any]], images: tuple[str, ...]) -> list[int]:
        """
        Raises:
            UserError: ``no_picture`` or ``bad_picture`` with the row's number, or the template
                refuses the prompt.
        """
        try:
            return self.sight.look(messages, images).ids
        except UserError as error:
            told = Said(WORDS, "in_row", row=self.number, trouble=error.message)
            raise UserError(told, code=error.code) from error


class Sight:
    """A processor with the run's pictures; as ``model.sight`` it shows a model those of its rows.

    Args:
        frames: as how many pictures a clip is shown.
    """

    def __init__(self, rundir: RunDir, processor: Any, frames: int = FRAMES) -> None:
        self.rundir, self.processor, self.frames = rundir, processor, frames
        self._grids: dict[tuple[str, ...], dict[str, Tensor]] = {}
        self._kept: dict[tuple[str, ...], Any] = {}
        self._kept_bytes = 0
        self._tower_trains = False

    def look(self, messages: Sequence[Mapping[str, Any]], images: tuple[str, ...]) -> Look:
        """
        Raises:
            UserError: as :func:`~steelyard.inference.vision.encode_look`, or a file is no picture.
        """
        look = encode_look(self.processor, messages, self.pictures(images))
        if images not in self._grids:
            grids = {n: v for n, v in look.pixels.items() if n.endswith("grid_thw")}
            self._grids[images] = {**grids, "": torch.tensor(bool(look.kinds))}
        return look

    def pictures(self, images: tuple[str, ...]) -> list[Any]:
        paths = [self.rundir.media / sha256 for sha256 in images]
        return [picture for path in paths for picture in read_pictures(path, self.frames)]

    def prompts_of(
        self, records: Sequence[PreferenceRecord], count: int, room: int
    ) -> list[tuple[list[dict[str, str]], tuple[str, ...]]]:
        """The first different prompts of at most ``room`` tokens, with their pictures."""
        found: dict[str, tuple[list[dict[str, str]], tuple[str, ...]]] = {}
        for record in records:
            if len(found) == count:
                break
            images = tuple(record.prompt_media)
            if record.prompt_key in found or len(self.look(record.prompt, images).ids) > room:
                continue
            found[record.prompt_key] = record.prompt, images
        return list(found.values())

    def written(
        self,
        model: PreTrainedModel,
        prompts: Sequence[Messages],
        media: Sequence[tuple[str, ...]],
        max_new_tokens: int,
    ) -> list[str]:
        """What the model writes about pictures now, greedily."""
        made = generate(
            model,
            self.processor,
            prompts,
            [self.pictures(images) for images in media],
            max_new_tokens=max_new_tokens,
            temperature=0.0,
            seeds=[0] * len(prompts),
        )
        return [answer.text for answer in made]

    def inputs(
        self, model: PreTrainedModel, rows: Sequence[Row], ids: Tensor, positions: Tensor
    ) -> dict[str, Any]:
        """What the model takes beside the ids of rows.

        Args:
            ids: int64, (rows, longest), padded on the right.
            positions: int64, (rows, longest): how many tokens of its own sequence stand before
                each.
        """
        found: dict[str, Any] = {}
        seen = [self.features(model, row.images) for row in rows if row.images]
        if seen:
            found["mm_encoder_outputs"] = {"image": _together(seen)}
        if seen and any(bool(self._grid(row.images)[""]) for row in rows):
            kinds = self.processor.create_mm_token_type_ids(ids.tolist())
            told = torch.tensor(kinds, device=ids.device)
            for name in ("mm_token_type_ids", "token_type_ids"):
                if name in inspect.signature(_plain(model).forward).parameters:
                    found[name] = told
            if hasattr(_plain(model).model, "get_rope_index"):
                found["position_ids"] = self._spread(model, rows, ids, positions, told)
        return found

    def features(self, model: PreTrainedModel, images: tuple[str, ...]) -> Any:
        """What the vision tower makes of the pictures of a prompt."""
        if torch.is_grad_enabled() and not self._tower_trains and _tower_trains(model):
            self._tower_trains = True
            self._kept.clear()
        if images in self._kept:
            return _moved(self._kept[images], model.device)
        pixels = self._pixels_of(images)
        moved = {name: value.to(model.device) for name, value in pixels.items()}
        made: Any = _plain(model).get_image_features(**moved)
        made = type(made)(
            **{n: made[n] for n in ("pooler_output", "deepstack_features") if n in made}
        )
        size = sum(one.nbytes for one in _tensors(made))
        if not self._tower_trains and self._kept_bytes + size <= KEPT_BYTES:
            self._kept[images] = _moved(made, torch.device("cpu"), detached=True)
            self._kept_bytes += size
        return made

    def _pixels_of(self, images: tuple[str, ...]) -> dict[str, Tensor]:
        asked = [{"role": "user", "content": "?"}]
        return encode_look(self.processor, asked, self.pictures(images)).pixels

    def _grid(self, images: tuple[str, ...]) -> dict[str, Tensor]:
        if images not in self._grids:
            self.look([{"role": "user", "content": "?"}], images)
        return self._grids[images]

    def _spread(
        self,
        model: PreTrainedModel,
        rows: Sequence[Row],
        ids: Tensor,
        positions: Tensor,
        kinds: Tensor,
    ) -> Tensor:
        """Positions in time, height and width, (3, rows, longest), for models that count so: a
        prompt's as the model has them, and of every answer on from the prompt's greatest."""
        spread = positions[None].repeat(3, 1, 1)
        index: Any = _plain(model).model.get_rope_index
        for number, row in enumerate(rows):
            end = len(row.prompt)
            grids = {n: v.to(ids.device) for n, v in self._grid(row.images).items() if n}
            own, _ = index(
                input_ids=ids[number : number + 1, :end],
                mm_token_type_ids=kinds[number : number + 1, :end],
                **grids,
            )
            spread[:, number, :end] = own[:, 0]
            spread[:, number, end:] += own.max() + 1 - end
        return spread


def check_trainable(model: PreTrainedModel) -> None:
    """
    Raises:
        UserError: the model takes pictures in a way that training does not know.
    """
    known = inspect.signature(type(model).forward).parameters
    if "mm_encoder_outputs" not in known or not hasattr(model, "get_image_features"):
        raise UserError(
            Said(WORDS, "cannot_be_trained", type=model.config.model_type),
            code="cannot_train",
            field="base",
        )


def language_targets(model: PreTrainedModel, targets: str) -> str:
    """The layers of ``lora_targets`` as a pattern that names those of the language model alone.

    The vision tower has layers of the same names; it stays as it is, which is usual and lets what
    it makes be kept.
    """
    decoder = model.get_decoder()
    inside = next(name for name, module in model.named_modules() if module is decoder)
    if targets.strip() == "all-linear":
        linear = sorted(
            {n.rpartition(".")[2] for n, m in decoder.named_modules() if isinstance(m, nn.Linear)}
        )
    else:
        linear = names_in(targets)
    wanted = "|".join(re.escape(name) for name in linear)
    return rf"{re.escape(inside)}\.(?:.*\.)?(?:{wanted})"


def _plain(model: Any) -> Any:
    """The transformers model below an adapter."""
    base = getattr(model, "get_base_model", None)
    return base() if base else model


def _tower_trains(model: PreTrainedModel) -> bool:
    plain = _plain(model)
    language = {id(p) for p in plain.get_decoder().parameters()}
    head = plain.get_output_embeddings()
    language |= {id(p) for p in head.parameters()} if head is not None else set()
    return any(p.requires_grad and id(p) not in language for p in plain.parameters())


def _together(outputs: Sequence[Any]) -> Any:
    """What the tower made of several prompts, as it would have made of all their pictures."""
    first = outputs[0]
    made: dict[str, Any] = {}
    for name, value in first.items():
        values = [one[name] for one in outputs]
        if isinstance(value, Tensor):
            made[name] = torch.cat(values)
        elif name == "pooler_output":
            made[name] = list(chain.from_iterable(values))
        else:
            # of several layers, of each a tensor or one a picture
            made[name] = [
                torch.cat(layer) if isinstance(layer[0], Tensor) else list(chain(*layer))
                for layer in zip(*values, strict=True)
            ]
    return type(first)(**made)


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    else:
        for one in value.values() if isinstance(value, Mapping) else value:
            yield from _tensors(one)


def _moved(output: Any, device: torch.device, *, detached: bool = False) -> Any:
    def move(value: Any) -> Any:
        if isinstance(value, Tensor):
            return (value.detach() if detached else value).to(device)
        return [move(one) for one in value]

    return type(output)(**{name: move(value) for name, value in output.items()})
