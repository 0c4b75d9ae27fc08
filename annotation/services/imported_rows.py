"""A record of an import with its content keys and the files that it names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from annotation.formats.records import ImportedRanking, ImportedRecord
from annotation.keys import output_key, pair_key, prompt_key, set_key
from steelyard.assets.models import Asset
from steelyard.lib.errors import UserError

_FLIP = {"a": "b", "b": "a"}


@dataclass(frozen=True)
class Side:
    """One of a record's two answers."""

    model: str
    text: str
    asset: Asset | None
    key: str


class Answered(Protocol):
    """What a row of pairs and one of a set to rank have in common."""

    @property
    def record(self) -> ImportedRecord | ImportedRanking: ...
    @property
    def prompt(self) -> str:
        """The prompt's key."""

    @property
    def media(self) -> list[str]:
        """SHA-256 of what the prompt is about."""

    @property
    def sides(self) -> Sequence[Side]:
        """The answers, as the file has them."""


@dataclass(frozen=True)
class Row:
    record: ImportedRecord
    prompt: str
    """The prompt's key."""
    media: list[str]
    """SHA-256 of what the prompt is about."""
    sides: tuple[Side, Side]
    """As the file has them; which of them is canonical side a, the keys' order says."""

    @classmethod
    def of(cls, record: ImportedRecord, files: Mapping[str, Asset]) -> Row:
        """
        Args:
            files: by the names that the records use.

        Raises:
            UserError: both answers are the same.
        """
        media = [files[name].sha256 for name in record.media]
        sides = (
            side_of(record.model_a, record.text_a, files.get(record.media_a)),
            side_of(record.model_b, record.text_b, files.get(record.media_b)),
        )
        if sides[0].key == sides[1].key:
            what = "file" if record.media_a else "text"
            raise UserError(
                f"{record.place}: both outputs are the same {what} by the same model "
                f"({record.model_a}); a pair needs two different ones.",
                code="bad_line",
                field="file",
            )
        return cls(record, prompt_key(record.messages, media), media, sides)

    @cached_property
    def flipped(self) -> bool:
        return self.sides[0].key > self.sides[1].key

    @cached_property
    def outputs(self) -> list[str]:
        """Keys of the canonical sides a and b."""
        return sorted(side.key for side in self.sides)

    @cached_property
    def pair(self) -> str:
        return pair_key(self.prompt, *self.outputs)

    @property
    def known_outcome(self) -> str:
        """The right answer on the pair's own sides, empty where none is known."""
        said = self.record.known.outcome if self.record.known else ""
        return _FLIP.get(said, said) if self.flipped else said


def side_of(model: str, text: str, asset: Asset | None) -> Side:
    """An answer with its key."""
    media = asset.sha256 if asset else ""
    key = output_key(model=model, text=text, media=media, seed=None, parameters={})
    return Side(model, text, asset, key)


@dataclass(frozen=True)
class SetRow:
    """A record of a set to rank, with its keys."""

    record: ImportedRanking
    prompt: str
    media: list[str]
    sides: list[Side]

    @classmethod
    def of(cls, record: ImportedRanking, files: Mapping[str, Asset]) -> SetRow:
        """
        Args:
            files: by the names that the records use.

        Raises:
            UserError: two of the answers are the same.
        """
        media = [files[name].sha256 for name in record.media]
        sides = [side_of(one.model, one.text, files.get(one.media)) for one in record.answers]
        if len({side.key for side in sides}) < len(sides):
            raise UserError(
                f"{record.place}: two of the outputs are the same by the same model.",
                code="bad_line",
                field="file",
            )
        return cls(record, prompt_key(record.messages, media), media, sides)

    @cached_property
    def key(self) -> str:
        """The set's."""
        return set_key(self.prompt, [side.key for side in self.sides])
