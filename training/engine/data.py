"""The rows of a dataset version as token ids: checked, cut to length, counted, told in words."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, NamedTuple

import torch
from pyarrow import ArrowInvalid
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from steelyard.inference.text import encode_prompt, shown
from steelyard.lib.errors import UserError
from steelyard.lib.records import PreferenceRecord, read_parquet
from steelyard.lib.rundir import RunDir
from training.engine.forward import Row

_NAMED = 5
_COUNTED = (
    "train",
    "test",
    "ties",
    "cut_chosen",
    "cut_rejected",
    "dropped_too_long",
    "dropped_identical",
    "tokens",
)


@dataclass(frozen=True)
class Pair:
    """One preference in token ids."""

    key: str
    prompt: list[int]
    """The chat template's prompt up to where the answer starts."""
    chosen: list[int]
    """The answer and the template's end-of-turn token, or less where it was cut."""
    rejected: list[int]
    tie: bool
    weight: float

    @property
    def length(self) -> int:
        """Of prompt and the longer answer, in tokens."""
        return len(self.prompt) + max(len(self.chosen), len(self.rejected))


@dataclass(frozen=True)
class Example:
    """One record as an objective reads it: sequences by name, and what the votes say of them."""

    key: str
    """The pair's."""
    rows: tuple[Row, ...]
    names: tuple[str, ...]
    """One for each sequence across the rows, in order, such as chosen and rejected."""
    tie: bool
    weight: float
    p: float
    """How probable it is that chosen is the better answer, by the votes, 0 to 1."""
    agreement: float
    """Share of the votes for the outcome, 0 to 1."""
    margin: float
    """Mean strength of the votes toward chosen, 0 to 3."""
    number: int = 0
    """Of the record in its dataset version, from 1."""

    def sequence(self, name: str) -> tuple[list[int], list[int]]:
        """Prompt and answer of this name."""
        every = [(row.prompt, answer) for row in self.rows for answer in row.answers]
        return every[self.names.index(name)]

    @property
    def length(self) -> int:
        """Of the longest row with its prompt and one answer, in tokens."""
        return max(row.longest for row in self.rows)


class Encoder:
    """Turns the words of records into rows of token ids, and counts what did not fit.

    Args:
        max_length: of prompt and answer together, in tokens.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, max_length: int) -> None:
        self.tokenizer, self.max_length = tokenizer, max_length
        self.end = end_of_turn(tokenizer)
        self.counts: Counter[str] = Counter()

    def row(
        self,
        messages: Sequence[dict[str, Any]],
        answers: dict[str, str],
        images: tuple[str, ...] = (),
    ) -> Row:
        """
        Args:
            answers: text by name; one that is longer than there is room for is cut at its end and
                counted as ``cut_<name>``.

        Raises:
            DoesNotFit: the prompt leaves no room for an answer.
            UserError: the prompt is empty, or the chat template refuses it.
        """
        prompt = encode_prompt(self.tokenizer, messages)
        if not prompt:
            # the first token of an answer is predicted at the last one of the prompt
            raise UserError(
                f"The prompt {shown(messages)} is empty, and the model's chat template adds "
                "nothing to it. Leave that row out, or use a model with another template.",
                code="empty_prompt",
            )
        room = self.max_length - len(prompt)
        if room <= 0:
            raise DoesNotFit(messages, len(prompt))
        made = {n: encode_answer(self.tokenizer, text, self.end) for n, text in answers.items()}
        self.counts.update(f"cut_{name}" for name, ids in made.items() if len(ids) > room)
        return Row(prompt, tuple(ids[:room] for ids in made.values()), images)


class DoesNotFit(Exception):
    """A prompt that leaves no room for an answer."""

    def __init__(self, messages: Sequence[dict[str, Any]], tokens: int) -> None:
        super().__init__(f"{shown(messages)} ({tokens} tokens)")


@dataclass(frozen=True)
class Dataset:
    pairs: list[Pair]
    """Those to train on, then those to test with."""
    trained: int
    """How many of them are trained on."""
    counts: dict[str, int]
    """By the names in _COUNTED; tokens are of prompts and answers as the model reads them."""

    @property
    def train(self) -> range:
        return range(self.trained)

    @property
    def test(self) -> range:
        return range(self.trained, len(self.pairs))

    @property
    def has_ties(self) -> bool:
        return any(pair.tie for pair in self.pairs)


class Batch(NamedTuple):
    """Pairs side by side: all chosen answers, then all rejected ones, padded on the right."""

    ids: Tensor
    """int64, (2 x pairs, length)."""
    answer: Tensor
    """bool, (2 x pairs, length): which of the ids belong to the answer."""


def read_records(
    rundir: RunDir, dataset: dict[str, Any], *, modality: str
) -> list[PreferenceRecord]:
    """The rows of the run's dataset version.

    Args:
        dataset: ``files``, in the order of the rows; or ``file``, where there is one.

    Raises:
        UserError: the file is missing, is no preference file or holds what this recipe cannot use:
            nothing, another modality, prompts with media, no row to train on, or ties alone.
    """
    names = dataset.get("files") or [dataset["file"]]
    try:
        records = read_parquet([rundir.path / name for name in names])
    except (FileNotFoundError, ArrowInvalid, ValueError) as error:
        raise UserError(
            f"The dataset file {', '.join(names)} of this run cannot be read: {error}. It should "
            "be the Parquet file of a dataset version; freeze a version and start a new run.",
            code="bad_dataset",
        ) from error
    if not records:
        raise UserError(
            "The dataset version has no rows. Label some pairs and freeze a new version.",
            code="empty_version",
        )
    if other := [record.modality for record in records if record.modality != modality]:
        raise UserError(
            f"This recipe trains on {modality} pairs, but {len(other)} of {len(records)} rows are "
            f"of modality {other[0]}. Choose another recipe or another dataset version.",
            code="wrong_modality",
        )
    if asked := sum(bool(record.prompt_media) for record in records):
        raise UserError(
            f"{asked} of {len(records)} prompts are about a picture or a video, which this recipe "
            "would not see. Freeze a version of the categories whose prompts are text alone.",
            code="prompt_media",
        )
    check_learnable([r.outcome == "tie" for r in records if r.split == "train"], len(records))
    return records


def check_learnable(ties: Sequence[bool], rows: int) -> None:
    """
    Args:
        ties: for each row to train on, whether it has no winner.
        rows: how many rows there are with those to test with.

    Raises:
        UserError: nothing can be learnt from them.
    """
    if not ties:
        raise UserError(
            f"None of the {rows} rows is there to train on. Freeze a version with a smaller test "
            "share, with another seed, or of more prompts.",
            code="no_train_rows",
        )
    if all(ties):
        raise UserError(
            f"All {len(ties)} rows to train on are ties, so no answer is better than another and "
            "there is nothing to learn. Label pairs in which one side wins.",
            code="one_class",
        )


def encode_records(
    records: Sequence[PreferenceRecord],
    tokenizer: PreTrainedTokenizerBase,
    *,
    max_length: int,
    drop_too_long: bool,
) -> Dataset:
    """Tokenise all rows; answers that do not fit are cut at their end.

    Pairs whose answers are the same, from the start or once cut, teach nothing and are left out.

    Args:
        max_length: of prompt and answer together, in tokens.
        drop_too_long: leave out rows whose prompt leaves no room for an answer.

    Raises:
        UserError: ``prompt_too_long`` names such rows where they are not to be left out; nothing
            is left to train on; the template refuses a prompt; a weight is no number from 0 up.
    """
    end = end_of_turn(tokenizer)
    parts: dict[str, list[Pair]] = {"train": [], "test": []}
    counts: Counter[str] = Counter()
    too_long = []
    for number, record in zip(count(1), records, strict=False):
        _check_weight(number, record)
        prompt = _prompt(number, record, tokenizer)
        room = max_length - len(prompt)
        if room <= 0:
            too_long.append(f"row {number} {shown(record.prompt)} ({len(prompt)} tokens)")
            continue
        chosen, rejected = (
            encode_answer(tokenizer, text, end) for text in (record.chosen, record.rejected)
        )
        if chosen[:room] == rejected[:room]:
            counts["dropped_identical"] += 1
            continue
        counts["cut_chosen"] += len(chosen) > room
        counts["cut_rejected"] += len(rejected) > room
        tie = record.outcome == "tie"
        pair = Pair(record.pair, prompt, chosen[:room], rejected[:room], tie, record.weight)
        parts["train" if record.split == "train" else "test"].append(pair)
    if too_long and not drop_too_long:
        raise _prompts_too_long(too_long, len(records), max_length)
    counts["dropped_too_long"] = len(too_long)
    _check_left(parts["train"], counts, len(records))
    return _dataset(parts["train"], parts["test"], counts)


def end_of_turn(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """What the chat template writes after an answer, up to its first special token.

    That token is what ends an answer when the model writes, so it is trained; white space that a
    template puts after it is never written by the model and is not.

    Raises:
        UserError: neither template nor tokenizer has an end-of-answer token.
    """
    probe = "steelyard-probe"
    messages = [{"role": "user", "content": "?"}, {"role": "assistant", "content": probe}]
    rendered = str(tokenizer.apply_chat_template(messages, tokenize=False))
    after = tokenizer.encode(rendered.rpartition(probe)[2], add_special_tokens=False)
    special = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    place = next((place for place, token in enumerate(after) if token in special), None)
    if place is not None:
        return after[: place + 1]
    if tokenizer.eos_token_id is None:
        raise UserError(
            "The model's chat template puts no end-of-turn token after an answer, and its "
            "tokenizer names no eos_token, so the model could not learn where to stop. Set "
            "eos_token in the tokenizer's files.",
            code="no_end_token",
        )
    return [int(tokenizer.eos_token_id)]


def encode_answer(tokenizer: PreTrainedTokenizerBase, text: str, end: list[int]) -> list[int]:
    """An answer as the model would have to write it, with its end.

    Words in it that look like special tokens stay words: an answer cannot end its own turn.
    """
    ids = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    return [*ids, *end]


def collate(pairs: Sequence[Pair]) -> Batch:
    """
    Padding needs no attention mask: it stands on the right, where a causal model's real tokens
    never look.
    """
    sides = [(p.prompt, p.chosen) for p in pairs] + [(p.prompt, p.rejected) for p in pairs]
    length = max(len(prompt) + len(answer) for prompt, answer in sides)
    ids = torch.zeros(len(sides), length, dtype=torch.long)
    marks = torch.zeros(len(sides), length, dtype=torch.bool)
    for row, (prompt, answer) in enumerate(sides):
        end = len(prompt) + len(answer)
        ids[row, :end] = torch.tensor(prompt + answer)
        marks[row, len(prompt) : end] = True
    return Batch(ids, marks)


def batches(rows: Sequence[int], pairs: Sequence[Pair], size: int) -> Iterator[list[int]]:
    """Row numbers in groups of at most ``size``, like lengths together to spare padding."""
    ordered = sorted(rows, key=lambda row: (pairs[row].length, row))
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size]


def describe(dataset: Dataset, tokenizer: PreTrainedTokenizerBase, max_length: int) -> list[str]:
    """What goes into the model, for the run's log, with one pair as it is really trained."""
    n, first = dataset.counts, dataset.pairs[0]
    lengths = sorted(pair.length for pair in dataset.pairs)
    lines = [
        f"{n['train']} pairs to train on, {n['test']} to test with; {n['ties']} of them are ties.",
        f"Prompt and answer together: median {lengths[len(lengths) // 2]} tokens, longest "
        f"{lengths[-1]}, limit {max_length}; {n['tokens']} tokens in all.",
        f"Cut at their end: {n['cut_chosen']} chosen and {n['cut_rejected']} rejected answers.",
        f"Left out: {n['dropped_too_long']} pairs with a prompt that is too long, "
        f"{n['dropped_identical']} with two answers that are the same.",
        f"The first pair, pair {first.key[:12]}, as it is trained: the prompt "
        f"{_decoded(tokenizer, first.prompt)} is read; chosen {_decoded(tokenizer, first.chosen)} "
        f"and rejected {_decoded(tokenizer, first.rejected)} are learnt from.",
    ]
    return lines


def _decoded(tokenizer: PreTrainedTokenizerBase, ids: list[int]) -> str:
    text = str(tokenizer.decode(ids, skip_special_tokens=False))
    return repr(text if len(text) <= 600 else f"{text[:300]} … {text[-300:]}")


def _prompt(number: int, record: PreferenceRecord, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    ids = encode_prompt(tokenizer, record.prompt)
    if not ids:
        # the first token of an answer is predicted at the last one of the prompt
        raise UserError(
            f"The prompt of row {number} is empty, and the model's chat template adds nothing to "
            "it. Leave that row out, or use a model with another template.",
            code="empty_prompt",
        )
    return ids


def _check_weight(number: int, record: PreferenceRecord) -> None:
    if not (math.isfinite(record.weight) and record.weight >= 0):
        raise UserError(
            f"Row {number} has the weight {record.weight}; a weight is a number from 0 up.",
            code="bad_dataset",
        )


def _prompts_too_long(named: list[str], rows: int, max_length: int) -> UserError:
    more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
    return UserError(
        f"{len(named)} of {rows} prompts leave no room for an answer within {max_length} tokens "
        f"(max_length, or the model's context if that is shorter): {', '.join(named[:_NAMED])}"
        f"{more}. Raise max_length if the model's context allows it, switch drop_too_long on to "
        "train without them, or choose a model with a longer context.",
        code="prompt_too_long",
        field="max_length",
    )


def _check_left(train: list[Pair], counts: Counter[str], rows: int) -> None:
    if not train:
        raise UserError(
            f"Of {rows} rows none is left to train on: {counts['dropped_too_long']} have a prompt "
            f"that is too long and {counts['dropped_identical']} two answers that are the same "
            "within max_length. Raise max_length.",
            code="no_train_rows",
            field="max_length",
        )
    check_learnable([pair.tie for pair in train], rows)


def _dataset(train: list[Pair], test: list[Pair], counts: Counter[str]) -> Dataset:
    pairs = [*train, *test]
    counts |= Counter(
        train=len(train),
        test=len(test),
        ties=sum(pair.tie for pair in pairs),
        tokens=sum(2 * len(p.prompt) + len(p.chosen) + len(p.rejected) for p in pairs),
    )
    return Dataset(pairs, len(train), {name: counts[name] for name in _COUNTED})
