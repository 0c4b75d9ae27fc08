"""A trained model, or the base it came from, as a writer of answers that are measured: of either
family, asked in one way.

One that sees is shown a prompt's pictures and clips as evaluations show them
(:class:`steelyard.inference.loading.SeeingWriter`), a few prompts at a time: the frames of many
clips would fill the memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import torch

from steelyard.inference import text, vision
from steelyard.inference.frames import read_pictures
from steelyard.inference.text import Generated
from steelyard.lib.rundir import RunDir

AT_A_TIME = 4
"""Prompts with pictures that are answered together."""


class Asked(NamedTuple):
    """A held-out prompt."""

    messages: list[dict[str, str]]
    media: tuple[str, ...] = ()
    """SHA-256 of what it is about, in order; the files lie in the run's media folder."""


class Answering(Protocol):
    context: int | None
    """Tokens of prompt and answer together; None where the model has no limit."""

    def length(self, asked: Asked) -> int:
        """Tokens of the prompt, pictures among them."""
        ...

    def write(
        self,
        prompts: Sequence[Asked],
        *,
        seeds: Sequence[int],
        max_new_tokens: int,
        stop: Callable[[], bool],
    ) -> list[Generated]:
        """An answer to each at temperature 1.

        Raises:
            Interrupted: it is to stop.
        """
        ...

    def scores(self, prompts: Sequence[Asked], answers: Sequence[Generated]) -> torch.Tensor:
        """log p of every token of these answers, float32, (tokens,)."""
        ...


def open_answering(
    rundir: RunDir,
    family: str,
    source: str,
    adapters: Sequence[str],
    *,
    dtype: torch.dtype,
    device: torch.device,
) -> Answering:
    """Load a language model, or one that sees.

    Raises:
        UserError: it cannot be loaded.
    """
    loaded = {"adapters": adapters, "dtype": dtype, "device": device}
    if family == "vision_language":
        return Seeing(rundir, *vision.load_vision_language(source, **loaded))  # type: ignore[arg-type]
    return Blind(*text.load_causal_lm(source, **loaded))  # type: ignore[arg-type]


class Blind:
    """A language model."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model, self.tokenizer = model, tokenizer
        self.context = text.context_length(model.config)

    def length(self, asked: Asked) -> int:
        return len(self._ids(asked))

    def write(
        self,
        prompts: Sequence[Asked],
        *,
        seeds: Sequence[int],
        max_new_tokens: int,
        stop: Callable[[], bool],
    ) -> list[Generated]:
        return text.generate(
            self.model,
            self.tokenizer,
            [asked.messages for asked in prompts],
            max_new_tokens=max_new_tokens,
            temperature=1.0,
            seeds=seeds,
            stop=stop,
        )

    def scores(self, prompts: Sequence[Asked], answers: Sequence[Generated]) -> torch.Tensor:
        ids = [self._ids(asked) for asked in prompts]
        whole = [prompt + answer.tokens for prompt, answer in zip(ids, answers, strict=True)]
        return torch.cat(text.log_probabilities(self.model, whole, [len(one) for one in ids]))

    def _ids(self, asked: Asked) -> list[int]:
        return text.encode_prompt(self.tokenizer, asked.messages)


class Seeing:
    """A vision-language model."""

    def __init__(self, rundir: RunDir, model: Any, processor: Any) -> None:
        self.media, self.model, self.processor = rundir.media, model, processor
        self.context = text.context_length(model.config)

    def length(self, asked: Asked) -> int:
        return len(self._look(asked).ids)

    def write(
        self,
        prompts: Sequence[Asked],
        *,
        seeds: Sequence[int],
        max_new_tokens: int,
        stop: Callable[[], bool],
    ) -> list[Generated]:
        made: list[Generated] = []
        for start in range(0, len(prompts), AT_A_TIME):
            some = prompts[start : start + AT_A_TIME]
            made += vision.generate(
                self.model,
                self.processor,
                [asked.messages for asked in some],
                [self._pictures(asked) for asked in some],
                max_new_tokens=max_new_tokens,
                temperature=1.0,
                seeds=seeds[start : start + AT_A_TIME],
                stop=stop,
            )
        return made

    def scores(self, prompts: Sequence[Asked], answers: Sequence[Generated]) -> torch.Tensor:
        pairs = zip(prompts, answers, strict=True)
        found = [
            vision.log_probabilities(self.model, self._look(asked), answer.tokens)
            for asked, answer in pairs
        ]
        return torch.cat(found)

    def _look(self, asked: Asked) -> vision.Look:
        return vision.encode_look(self.processor, asked.messages, self._pictures(asked))

    def _pictures(self, asked: Asked) -> list[Any]:
        return [one for name in asked.media for one in read_pictures(self.media / name)]
