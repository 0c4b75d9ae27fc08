"""The rows of a dataset version as token ids: checked, cut to length, counted, told in words."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from jinja2 import TemplateError
from pyarrow import ArrowInvalid
from transformers import PreTrainedTokenizerBase

from steelyard.inference.text import bad_template, encode_prompt, shown
from steelyard.lib.errors import UserError
from steelyard.lib.records import PreferenceRecord, read_parquet
from steelyard.lib.rundir import RunDir
from steelyard.lib.said import Said, listed, together
from training.engine.forward import Row
from training.engine.words import WORDS

_NAMED = 5
_COUNTED = (
    "train",
    "test",
    "ties",
    "dropped_too_long",
    "dropped_identical",
    "tokens",
)


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
    both_bad: bool = False
    """Whether neither answer is any good; there is no winner then."""

    def sequences(self) -> dict[str, tuple[list[int], list[int]]]:
        """Prompt and answer by name."""
        every = [(row.prompt, answer) for row in self.rows for answer in row.answers]
        return dict(zip(self.names, every, strict=True))

    @property
    def length(self) -> int:
        """Of the longest prompt with one answer, in tokens."""
        return max(row.longest for row in self.rows)

    @property
    def packed(self) -> int:
        """Of the longest row with all its answers, in tokens."""
        return max(row.packed for row in self.rows)


class Encoder:
    """Turns the words of records into rows of token ids, and counts what did not fit.

    Args:
        max_length: of prompt and answer together, in tokens.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, max_length: int, end: list[int] | None = None
    ) -> None:
        self.tokenizer, self.max_length = tokenizer, max_length
        self.end = end_of_turn(tokenizer) if end is None else end
        self.media: tuple[str, ...] = ()
        """SHA-256 of what the prompt of the record is about."""
        self.counts: Counter[str] = Counter()
        self.number = 0
        """Of the record that is being read, from 1."""
        self.notes: list[str] = []
        """What is to be said of single rows, each line with the row's number."""

    def row(
        self,
        messages: Sequence[dict[str, Any]],
        answers: dict[str, str],
        images: tuple[str, ...] | None = None,
    ) -> Row:
        """
        Args:
            images: what the prompt is about, where it is not the record's own.
            answers: text by name; one that is longer than there is room for is cut at its end and
                counted as ``cut_<name>``.

        Raises:
            DoesNotFit: the prompt leaves no room for an answer.
            UserError: the prompt is empty, or the chat template refuses it.
        """
        images = self.media if images is None else images
        prompt = self.prompt(messages, images)
        if not prompt:
            # the first token of an answer is predicted at the last one of the prompt
            raise UserError(
                Said(WORDS, "empty_prompt", number=self.number),
                code="empty_prompt",
            )
        room = self.max_length - len(prompt)
        if room <= 0:
            raise DoesNotFit(messages, len(prompt))
        made = {n: encode_answer(self.tokenizer, text, self.end) for n, text in answers.items()}
        for name, ids in made.items():
            self.counts[f"cut_{name}"] += len(ids) > room
        return Row(prompt, tuple(ids[:room] for ids in made.values()), images)

    def prompt(self, messages: Sequence[dict[str, Any]], images: tuple[str, ...]) -> list[int]:
        """The ids that the model answers to; of a language model, which sees no images."""
        return encode_prompt(self.tokenizer, messages)

    def example(
        self, record: PreferenceRecord, rows: tuple[Row, ...], names: tuple[str, ...]
    ) -> Example:
        """What the record says of these sequences."""
        return Example(
            key=record.pair,
            rows=rows,
            names=names,
            tie=record.outcome == "tie",
            weight=record.weight,
            p=chance_of_chosen(record),
            agreement=record.agreement,
            margin=record.strength,
            number=self.number,
            both_bad=record.outcome == "both_bad",
        )


class DoesNotFit(Exception):
    """A prompt that leaves no room for an answer."""

    def __init__(self, messages: Sequence[dict[str, Any]], tokens: int) -> None:
        self.said = Said(WORDS, "prompt_tokens", prompt=shown(messages), tokens=tokens)
        super().__init__(self.said)


@dataclass(frozen=True)
class Dataset:
    examples: list[Example]
    """Those to train on, then those to test with."""
    trained: int
    """How many of them are trained on."""
    counts: dict[str, int]
    """By the names in _COUNTED, ``cut_<name>`` for each sequence, and what an objective counts;
    tokens are of prompts and answers, a prompt once for each of its answers."""
    notes: tuple[str, ...] = ()
    """What is to be said of single rows."""

    @property
    def train(self) -> range:
        return range(self.trained)

    @property
    def test(self) -> range:
        return range(self.trained, len(self.examples))

    @property
    def has_ties(self) -> bool:
        return any(example.tie for example in self.examples)


def read_records(
    rundir: RunDir, dataset: dict[str, Any], *, modality: str, media: bool = False
) -> list[PreferenceRecord]:
    """The rows of the run's dataset version.

    Args:
        dataset: ``files``, in the order of the rows; or ``file``, where there is one.
        media: whether prompts may be about pictures and clips.

    Raises:
        UserError: the file is missing, is no preference file or holds what this recipe cannot use:
            nothing, another modality, prompts with media, no row to train on, or ties alone.
    """
    names = dataset.get("files") or [dataset["file"]]
    try:
        records = read_parquet([rundir.path / name for name in names])
    except (FileNotFoundError, ArrowInvalid, ValueError) as error:
        raise UserError(
            Said(WORDS, "unreadable_file", names=", ".join(names), error=error),
            code="bad_dataset",
        ) from error
    if not records:
        raise UserError(
            Said(WORDS, "no_rows"),
            code="empty_version",
        )
    if other := [record.modality for record in records if record.modality != modality]:
        raise UserError(
            Said(
                WORDS,
                "wrong_rows",
                modality=modality,
                other=len(other),
                of=len(records),
                theirs=other[0],
            ),
            code="wrong_modality",
        )
    asked = 0 if media else sum(bool(record.prompt_media) for record in records)
    if asked:
        raise UserError(
            Said(WORDS, "recipe_sees_nothing", asked=asked, of=len(records)),
            code="prompt_media",
        )
    check_learnable([not r.won for r in records if r.split == "train"], len(records))
    return records


def check_learnable(ties: Sequence[bool], rows: int) -> None:
    """
    Args:
        ties: for each row to train on, whether it is a tie or of two bad answers.
        rows: how many rows there are with those to test with.

    Raises:
        UserError: nothing can be learnt from them.
    """
    if not ties:
        raise UserError(
            Said(WORDS, "no_train_rows", rows=rows),
            code="no_train_rows",
        )
    if all(ties):
        raise UserError(
            Said(WORDS, "all_ties", ties=len(ties)),
            code="one_class",
        )


def encode_records(
    records: Sequence[PreferenceRecord],
    tokenizer: PreTrainedTokenizerBase,
    *,
    max_length: int,
    drop_too_long: bool,
    rows: Callable[[PreferenceRecord, Encoder, Any], Example | None] | None = None,
    arrange: Callable[..., list[Example]] | None = None,
    config: Any = None,
    encoder: Encoder | None = None,
) -> Dataset:
    """Tokenise all rows; answers that do not fit are cut at their end.

    Args:
        max_length: of prompt and answer together, in tokens.
        drop_too_long: leave out rows whose prompt leaves no room for an answer.
        rows: how a record becomes an example, as an objective has it, told ``config``; without it
            a :func:`preference`.
        arrange: what an objective does with all examples of a split, told ``config``.

    Raises:
        UserError: ``prompt_too_long`` names such rows where they are not to be left out; nothing
            is left to train on; the template refuses a prompt; a weight is no number from 0 up.
    """
    encoder, make = encoder or Encoder(tokenizer, max_length), rows or preference
    parts: dict[str, list[Example]] = {"train": [], "test": []}
    too_long = []
    for number, record in zip(count(1), records, strict=False):
        _check_weight(number, record)
        encoder.number, encoder.media = number, tuple(record.prompt_media)
        try:
            example = make(record, encoder, config)
        except DoesNotFit as error:
            too_long.append(Said(WORDS, "row_named", number=number, named=error.said))
            continue
        if example is not None:
            parts["train" if record.split == "train" else "test"].append(example)
    counts = encoder.counts
    if too_long and not drop_too_long:
        raise _prompts_too_long(too_long, len(records), max_length)
    counts["dropped_too_long"] = len(too_long)
    _check_left(parts["train"], len(parts["test"]), counts, len(records))
    if arrange is not None:
        for name, part in parts.items():
            parts[name] = arrange(part, config, counts, test=name == "test")
    return _dataset(parts["train"], parts["test"], counts, tuple(encoder.notes))


def preference(record: PreferenceRecord, encoder: Encoder, config: Any = None) -> Example | None:
    """A prompt with a chosen and a rejected answer, which most objectives learn from.

    Answers that are the same, from the start or once cut, teach nothing, nor do two bad ones: None.
    """
    return None if without_winner(record, encoder) else two_answers(record, encoder)


def without_winner(record: PreferenceRecord, encoder: Encoder, *, ties: bool = False) -> bool:
    """Whether both answers are bad, which is counted; with ``ties``, also whether it is a tie."""
    lost = record.outcome == "both_bad" or (ties and record.outcome == "tie")
    if lost:
        encoder.counts[f"dropped_{record.outcome}"] += 1
    return lost


def two_answers(record: PreferenceRecord, encoder: Encoder) -> Example | None:
    """:func:`preference`, of two bad answers too."""
    row = encoder.row(record.prompt, {"chosen": record.chosen, "rejected": record.rejected})
    if row.answers[0] == row.answers[1]:
        encoder.counts["dropped_identical"] += 1
        return None
    return encoder.example(record, (row,), ("chosen", "rejected"))


def end_of_turn(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """What the chat template writes after an answer, up to its first special token.

    That token is what ends an answer when the model writes, so it is trained; white space that a
    template puts after it is never written by the model and is not.

    Raises:
        UserError: ``bad_template``; or neither template nor tokenizer has an end-of-answer token.
    """
    probe = "steelyard-probe"
    messages = [{"role": "user", "content": "?"}, {"role": "assistant", "content": probe}]
    try:
        rendered = str(tokenizer.apply_chat_template(messages, tokenize=False))
    except (TemplateError, ValueError, TypeError) as error:
        raise bad_template(error, "a plain question with its answer") from error
    after = tokenizer.encode(rendered.rpartition(probe)[2], add_special_tokens=False)
    special = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    place = next((place for place, token in enumerate(after) if token in special), None)
    if place is not None:
        return after[: place + 1]
    if tokenizer.eos_token_id is None:
        raise UserError(
            Said(WORDS, "no_end_of_turn"),
            code="no_end_token",
        )
    return [int(tokenizer.eos_token_id)]


def encode_answer(tokenizer: PreTrainedTokenizerBase, text: str, end: list[int]) -> list[int]:
    """An answer as the model would have to write it, with its end.

    Words in it that look like special tokens stay words: an answer cannot end its own turn.
    """
    ids = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    return [*ids, *end]


def chance_of_chosen(record: PreferenceRecord) -> float:
    """How probable it is that chosen is the better answer, by the votes: the share for it, a tie
    half for each side. Without votes the outcome's own share; a tie is one half."""
    worth = {"a": 0.0, "b": 0.0, "tie": 0.5, record.chosen_side: 1.0}
    votes = [worth[vote["outcome"]] for vote in record.votes if vote["outcome"] in worth]
    if votes:
        return sum(votes) / len(votes)
    return record.agreement if record.won else 0.5


def passes(
    numbers: Sequence[int], examples: Sequence[Example], *, size: int, tokens: int = 0
) -> list[list[int]]:
    """Numbers of examples in groups that go through the model together, like lengths together.

    Args:
        size: how many examples a group may hold, where ``tokens`` is 0.
        tokens: how many tokens, padding included, a group may hold; one example at least.
    """
    ordered = sorted(numbers, key=lambda number: (examples[number].packed, number))
    if not tokens:
        return [ordered[start : start + size] for start in range(0, len(ordered), size)]
    groups: list[list[int]] = []
    for number in ordered:
        # the newest is the longest, to which the others are padded
        group = groups[-1] if groups else []
        rows = sum(len(examples[other].rows) for other in [*group, number])
        if group and rows * examples[number].packed <= tokens:
            group.append(number)
        else:
            groups.append([number])
    return groups


def describe(dataset: Dataset, tokenizer: PreTrainedTokenizerBase, max_length: int) -> list[str]:
    """What goes into the model, for the run's log, with one example as it is really trained."""
    n, first = dataset.counts, dataset.examples[0]
    lengths = sorted(example.length for example in dataset.examples)
    cut = {name.removeprefix("cut_"): n[name] for name in n if name.startswith("cut_")}
    told = {name: _decoded(tokenizer, ids) for name, (_, ids) in first.sequences().items()}
    prompts = dict.fromkeys(_decoded(tokenizer, row.prompt) for row in first.rows)
    return [
        Said(WORDS, "pairs", train=n["train"], test=n["test"], ties=n["ties"]),
        Said(
            WORDS,
            "lengths",
            median=lengths[len(lengths) // 2],
            longest=lengths[-1],
            limit=max_length,
            tokens=n["tokens"],
        ),
        Said(
            WORDS,
            "cut",
            cut=together(Said(WORDS, "cut_of", count=c, name=a) for a, c in cut.items()),
        ),
        Said(WORDS, "left_out", long=n["dropped_too_long"], same=n["dropped_identical"]),
        *_notes(dataset),
        Said(
            WORDS,
            "first_pair",
            pair=first.key[:12],
            prompt=together(prompts, "and"),
            answers=together([f"{name} {text}" for name, text in told.items()], "and"),
        ),
    ]


def _notes(dataset: Dataset) -> list[str]:
    """What the objective counted, and the first of what it says of single rows."""
    known = {*_COUNTED, *(name for name in dataset.counts if name.startswith("cut_"))}
    counted = [
        f"{name.replace('_', ' ')} {n}" for name, n in dataset.counts.items() if name not in known
    ]
    left = len(dataset.notes) - _NAMED
    return [
        *([Said(WORDS, "counted", counted=together(counted))] if counted else []),
        *dataset.notes[:_NAMED],
        *([Said(WORDS, "more_rows", left=left)] if left > 0 else []),
    ]


def _decoded(tokenizer: PreTrainedTokenizerBase, ids: list[int]) -> str:
    text = str(tokenizer.decode(ids, skip_special_tokens=False))
    return repr(text if len(text) <= 600 else f"{text[:300]} … {text[-300:]}")


def _check_weight(number: int, record: PreferenceRecord) -> None:
    if not (math.isfinite(record.weight) and record.weight >= 0):
        raise UserError(
            Said(WORDS, "bad_weight", number=number, weight=record.weight),
            code="bad_dataset",
        )


def _prompts_too_long(named: Sequence[str], rows: int, max_length: int) -> UserError:
    told = {"count": len(named), "rows": rows, "limit": max_length}
    return UserError(
        Said(WORDS, "prompts_too_long", named=listed(named, _NAMED), **told),
        code="prompt_too_long",
        field="max_length",
    )


_LOST = {
    "dropped_too_long": "mend_length",
    "dropped_identical": "mend_ends",
    "dropped_tie": "mend_label_wins",
    "dropped_both_bad": "mend_label_wins",
    "dropped_other_writer": "mend_writer",
}
"""Why a row is not trained on, by what is counted of it, and what to do."""


def _check_left(train: list[Example], test: int, counts: Counter[str], rows: int) -> None:
    if not train:
        lost = [name for name in _LOST if counts[name]]
        why = [Said(WORDS, f"lost_{name}", count=counts[name]) for name in lost]
        why += [Said(WORDS, "lost_to_test", count=test)] if test else []
        todo = list(dict.fromkeys(_LOST[name] for name in lost)) or ["mend_label"]
        length = {"dropped_too_long", "dropped_identical"} & set(lost)
        field = "max_length" if length else "written_by" if "dropped_other_writer" in lost else ""
        raise UserError(
            Said(
                WORDS,
                "none_left",
                rows=rows,
                why=together(why) or Said(WORDS, "lost_none"),
                todo=together([Said(WORDS, code) for code in todo], "space"),
            ),
            code="no_train_rows",
            field=field,
        )
    check_learnable([example.tie or example.both_bad for example in train], rows)


def _dataset(
    train: list[Example], test: list[Example], counts: Counter[str], notes: tuple[str, ...]
) -> Dataset:
    examples = [*train, *test]
    counts.update(
        train=len(train),
        test=len(test),
        ties=sum(example.tie for example in examples),
        tokens=sum(
            len(prompt) + len(answer)
            for example in examples
            for prompt, answer in example.sequences().values()
        ),
    )
    more = sorted(counts.keys() - set(_COUNTED))
    kept = {name: counts[name] for name in (*_COUNTED, *more)}
    return Dataset(examples, len(train), kept, notes)
