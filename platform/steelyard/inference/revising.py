"""Ask a language model for a better answer than one that is there, again and again.

The messages are made by one function, :func:`revision_messages`, which training by self-improvement
(SRPO) uses too: what a model has learnt to improve is what it is shown when it improves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steelyard.lib.hashing import stable_int

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from steelyard.inference.loading import Writer
    from steelyard.inference.text import Generated

Messages = Sequence[Mapping[str, Any]]

ASKED = (
    "Write a better answer to my message above: more correct, clearer, closer to what was asked. "
    "If your last answer cannot be improved, write it again. Write the answer alone."
)


ROOM = 2.2
"""An answer has about as many tokens when it is read again, and needs room for the next one."""


def revision_messages(messages: Messages, answer: str, asked: str = ASKED) -> list[dict[str, str]]:
    """The prompt, an answer to it as the model's own turn, and the wish for a better one.

    It stays a chat in which user and assistant take turns, as most templates want it.

    Args:
        asked: the words for that wish; those that the model was trained on.
    """
    told = [{str(k): str(v) for k, v in message.items()} for message in messages]
    return [*told, {"role": "assistant", "content": answer}, {"role": "user", "content": asked}]


def seed_of_revision(seed: int, number: int) -> int:
    """For the answer that has been revised so many times; that of the first answer is the seed."""
    return stable_int(seed, number) & 0x7FFF_FFFF if number else seed


class RevisingWriter:
    """A writer that hands on its last answer after so many revisions.

    What it answers before the first is what the same writer alone answers to the same seed.
    """

    def __init__(self, writer: Writer, revisions: Mapping[str, Any]) -> None:
        """
        Args:
            revisions: ``times``, and ``asked``, the words that the model has learnt to improve by.
        """
        self.writer, self.times, self.asked = writer, revisions["times"], revisions["asked"]
        self.batch_size = writer.batch_size

    def write(
        self,
        prompts: Sequence[Messages],
        *,
        sampling: Mapping[str, Any],
        seeds: Sequence[int],
        media: Sequence[Sequence[Path]] = (),
    ) -> list[str]:
        asked: Sequence[Messages] = prompts
        answers: list[str] = []
        for number in range(self.times + 1):
            if number:
                asked = [
                    revision_messages(messages, answer, self.asked)
                    for messages, answer in zip(prompts, answers, strict=True)
                ]
            answers = self.writer.write(
                asked,
                sampling=sampling,
                seeds=[seed_of_revision(seed, number) for seed in seeds],
                media=media,
            )
        return answers

    def close(self) -> None:
        self.writer.close()


def generate_revised(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Messages],
    *,
    revisions: int,
    seeds: Sequence[int],
    max_new_tokens: int,
    temperature: float,
    top_p: float = 1.0,
    batch_size: int = 8,
    stop: Callable[[], bool] | None = None,
) -> list[list[Generated]]:
    """Answer each prompt, then improve on the last answer so many times.

    Args:
        seeds: one a prompt; revision k of an answer depends on (seed, k, prompt, answer before).

    Returns:
        For each prompt ``revisions + 1`` answers: at place k the one that was revised k times.

    Raises:
        UserError: a prompt, or a prompt with an answer of ``max_new_tokens``, does not fit the
            context. Otherwise as :func:`steelyard.inference.text.generate`.
    """
    from steelyard.inference.text import generate

    chains: list[list[Generated]] = [[] for _ in prompts]
    for number in range(revisions + 1):
        asked = [
            revision_messages(messages, chain[-1].text) if chain else messages
            for messages, chain in zip(prompts, chains, strict=True)
        ]
        made = generate(
            model,
            tokenizer,
            asked,
            max_new_tokens=max_new_tokens,
            temperature=temperature,
            top_p=top_p,
            seeds=[seed_of_revision(seed, number) for seed in seeds],
            batch_size=batch_size,
            stop=stop,
        )
        for chain, answer in zip(chains, made, strict=True):
            chain.append(answer)
    return chains
