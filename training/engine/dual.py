"""Pairs of pictures for Re-Align's rDPO, made before training and kept to be looked at.

For each record with one picture, another of the version's pictures is found that is like it by the
model's own vision tower. Where the worse answer is to be refilled, the words of the chosen answer
that say what there is are masked, the model fills them in while it looks at the other picture, and
the result is taken if it differs enough; otherwise the next picture is tried. ``data/dual.jsonl``
has a line a record::

    {"pair": …, "number": 3, "image": …, "other": …, "cosine": 0.87, "tried": 1,
     "masked": "The [MASK] sits on …", "rejected": "The dog sits on …", "alike": 0.8}
    {"pair": …, "number": 4, "dropped": "all_alike"}
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from steelyard.inference.text import context_length
from steelyard.inference.vision import encode_look, generate
from steelyard.lib.engine import Stop
from steelyard.lib.errors import UserError
from steelyard.lib.journal import Journal
from steelyard.lib.records import PreferenceRecord
from steelyard.lib.rundir import Onlooker, RunDir
from steelyard.lib.said import Said, together
from training.engine.bases import SeeingBase, check_family, open_base
from training.engine.config import config_of_run
from training.engine.config.dual import DualDPOConfig
from training.engine.data import read_records
from training.engine.dual_words import MASK, masked, shared_words
from training.engine.loop import choose_machine
from training.engine.vision import Sight
from training.engine.words import WORDS

FILE = "dual.jsonl"
DONE = "dual.done"
SAME = 0.9999
"""Pictures with a cosine from here on are one picture, saved twice."""
AT_ONCE = 8
ASK = (
    "\n\nBelow is an answer in which some words are covered and stand as [MASK]. Look at the "
    "picture and write the whole answer again, with words that fit the picture in place of every "
    "[MASK]. Write nothing but the answer.\n\n"
)


@dataclass(frozen=True)
class Negative:
    image: str
    """SHA-256 of the picture that the prompt is about."""
    other: str
    rejected: str = ""
    """The refilled answer; empty where the record's own is the worse one."""


def train(rundir: RunDir, stop: Stop) -> None:
    """Make the pairs of pictures, then train as every recipe for language models does."""
    from training.engine import text

    config = config_of_run(rundir.spec())
    assert isinstance(config, DualDPOConfig)
    if config.negatives == "retrieved" and not _ready(rundir, stop):
        build(rundir, stop, config)
        if not (rundir.data / DONE).exists():
            return
    text.train(rundir, stop)


def negatives_of(rundir: RunDir) -> dict[str, Negative]:
    """By pair, of those that were not left out."""
    return _read(rundir.data / FILE)


@lru_cache(maxsize=1)
def _read(path: Path) -> dict[str, Negative]:
    with Journal(path) as journal:
        return {
            line["pair"]: Negative(line["image"], line["other"], line.get("rejected", ""))
            for line in journal.lines()
            if "dropped" not in line
        }


def _ready(rundir: RunDir, stop: Stop) -> bool:
    """Whether they are made; of several processes the first one makes them, the others wait."""
    while isinstance(rundir, Onlooker) and not (rundir.data / DONE).exists() and not stop:
        time.sleep(0.5)
    return (rundir.data / DONE).exists() or isinstance(rundir, Onlooker)


def build(rundir: RunDir, stop: Stop, config: DualDPOConfig) -> None:
    """Write ``data/dual.jsonl``; started again it goes on behind its last line.

    Raises:
        UserError: ``wrong_family``, ``one_picture``, ``no_negatives``, or a picture or the model
            cannot be read.
    """
    spec = rundir.spec()
    device, dtype = choose_machine(config)
    check_family(spec["base"])
    records = read_records(rundir, spec["dataset"], modality="text", media=True)
    words = open_base(spec["base"], rundir, records, frames=config.frames)
    if not isinstance(words, SeeingBase):
        raise UserError(
            Said(WORDS, "sees_no_pictures", base=spec["base"]["name"]),
            code="wrong_family",
            field="base",
        )
    library = sorted({r.prompt_media[0] for r in records if len(r.prompt_media) == 1})
    if len(library) < 2:
        raise UserError(
            Said(WORDS, "too_few_pictures", pictures=len(library)),
            code="one_picture",
            field="negatives",
        )
    rundir.event(Said(WORDS, "looking_alike", pictures=len(library)))
    model = words.load(dtype, device)
    if (vectors := _embedded(rundir, stop, model, words.sight, library)) is None:
        return
    place = {sha256: n for n, sha256 in enumerate(library)}
    # pictures of test prompts are not shown in training
    shown = {r.prompt_media[0] for r in records if r.split == "train" and r.prompt_media}
    open_to_all = torch.tensor([sha256 in shown for sha256 in library])
    with Journal(rundir.data / FILE) as journal:
        done = {line["pair"] for line in journal.lines()}
        left = [(n, r) for n, r in enumerate(records, start=1) if r.pair not in done]
        for some in _chunks(left, AT_ONCE):
            if stop:
                return
            near = [
                _near(vectors, place.get("".join(r.prompt_media)), open_to_all, config.neighbours)
                for _, r in some
            ]
            for line in _lines(model, words.sight, config, some, near, library):
                journal.add(line)
                done.add(line["pair"])
            rundir.progress(
                0, 0, "steps", Said(WORDS, "other_pictures", done=len(done), of=len(records))
            )
        _tell(rundir, list(journal.lines()))
    _read.cache_clear()
    (rundir.data / DONE).touch()


@torch.no_grad()
def _embedded(
    rundir: RunDir, stop: Stop, model: PreTrainedModel, sight: Sight, library: Sequence[str]
) -> Tensor | None:
    """Unit vectors of the pictures, (pictures, hidden), float32; None where it was stopped."""
    found = []
    for number, sha256 in enumerate(library, start=1):
        if stop:
            return None
        seen = sight.features(model, (sha256,))["pooler_output"]
        parts = [seen] if isinstance(seen, Tensor) else seen
        tokens = torch.cat([part.flatten(0, -2) for part in parts])
        found.append(torch.nn.functional.normalize(tokens.float().mean(0), dim=0).cpu())
        if number % 20 == 0:
            told = Said(WORDS, "pictures_seen", done=number, of=len(library))
            rundir.progress(0, 0, "steps", told)
    return torch.stack(found)


def _near(
    vectors: Tensor, own: int | None, allowed: Tensor, wanted: int
) -> list[tuple[int, float]]:
    """Place and cosine of the pictures most like one's own, which itself and its copies are not."""
    if own is None:
        return []
    cosines = vectors @ vectors[own]
    free = allowed & (cosines < SAME)
    free[own] = False
    order = cosines.masked_fill(~free, -torch.inf).argsort(descending=True, stable=True)
    return [(int(n), float(cosines[n])) for n in order[:wanted] if free[n]]


def _lines(
    model: PreTrainedModel,
    sight: Sight,
    config: DualDPOConfig,
    some: Sequence[tuple[int, PreferenceRecord]],
    near: Sequence[Sequence[tuple[int, float]]],
    library: Sequence[str],
) -> Iterator[dict[str, Any]]:
    """What is written of some records, in their order."""
    lines: dict[int, dict[str, Any]] = {}
    covered = {n: masked(r.chosen, spared=_asked(r)) for n, r in some}
    for (number, record), found in zip(some, near, strict=True):
        if len(record.prompt_media) != 1:
            lines[number] = {"dropped": "not_one_picture"}
        elif not found:
            lines[number] = {"dropped": "nothing_alike"}
        elif config.rejected == "refilled" and MASK not in covered[number]:
            lines[number] = {"dropped": "nothing_to_mask"}
        elif config.rejected == "record":
            lines[number] = _found(record, library[found[0][0]], found[0][1], 1)
    for attempt in range(config.neighbours):
        waiting = [
            (n, r, found[attempt])
            for (n, r), found in zip(some, near, strict=True)
            if n not in lines and attempt < len(found)
        ]
        if not waiting:
            break
        asked = [(r, covered[n], library[place]) for n, r, (place, _) in waiting]
        for (number, record, (place, cosine)), text in zip(
            waiting, _refilled(model, sight, asked), strict=True
        ):
            if not text or MASK in text:
                continue
            alike = _alike(model, sight, config, record.chosen, text)
            if alike < config.most_alike:
                lines[number] = _found(record, library[place], cosine, attempt + 1) | {
                    "masked": covered[number],
                    "rejected": text,
                    "alike": round(alike, 4),
                }
    for number, record in some:
        told = lines.get(number, {"dropped": "all_alike"})
        yield {"pair": record.pair, "number": number, **told}


def _found(record: PreferenceRecord, other: str, cosine: float, tried: int) -> dict[str, Any]:
    return {
        "image": record.prompt_media[0],
        "other": other,
        "cosine": round(cosine, 4),
        "tried": tried,
    }


def _asked(record: PreferenceRecord) -> str:
    return " ".join(m["content"] for m in record.prompt if m["role"] == "user")


def _refilled(
    model: PreTrainedModel, sight: Sight, asked: Sequence[tuple[PreferenceRecord, str, str]]
) -> list[str]:
    """Masked answers filled in by the model while it looks at another picture, greedily; an empty
    one where question and answer leave no room."""
    tokenizer, context = sight.processor.tokenizer, context_length(model.config)
    prompts, pictures, room = [], [], 8
    for record, text, other in asked:
        messages = [dict(message) for message in record.prompt]
        last = max(n for n, m in enumerate(messages) if m["role"] == "user")
        messages[last]["content"] += ASK + text
        prompts.append(messages)
        pictures.append(sight.pictures((other,)))
        room = max(room, 2 * len(tokenizer(record.chosen)["input_ids"]) + 8)
    fits = [
        context is None or len(encode_look(sight.processor, one, seen).ids) + room <= context
        for one, seen in zip(prompts, pictures, strict=True)
    ]
    made = iter(
        generate(
            model,
            sight.processor,
            [one for one, fit in zip(prompts, fits, strict=True) if fit],
            [one for one, fit in zip(pictures, fits, strict=True) if fit],
            max_new_tokens=room,
            temperature=0,
            seeds=[0] * sum(fits),
        )
    )
    return [next(made).text if fit else "" for fit in fits]


def _alike(
    model: PreTrainedModel, sight: Sight, config: DualDPOConfig, one: str, other: str
) -> float:
    if config.alike_by == "words":
        return shared_words(one, other)
    first, second = (_hidden(model, sight, text) for text in (one, other))
    return float(torch.nn.functional.cosine_similarity(first, second, dim=0))


@torch.inference_mode()
def _hidden(model: PreTrainedModel, sight: Sight, text: str) -> Tensor:
    """The language model's last hidden states of a text, their mean."""
    ids = sight.processor.tokenizer(text, return_tensors="pt")["input_ids"].to(model.device)
    decoder: Any = model.get_decoder()
    return decoder(input_ids=ids, use_cache=False).last_hidden_state[0].float().mean(0)


def _tell(rundir: RunDir, lines: Sequence[dict[str, Any]]) -> None:
    """
    Raises:
        UserError: nothing is left.
    """
    dropped = Counter(line["dropped"] for line in lines if "dropped" in line)
    told = together(Said(WORDS, reason, count=count) for reason, count in dropped.items())
    kept = len(lines) - dropped.total()
    if not kept:
        raise UserError(
            Said(WORDS, "no_second_pictures", pairs=len(lines), left=told),
            code="no_negatives",
            field="negatives",
        )
    rundir.event(
        Said(
            WORDS,
            "second_pictures",
            kept=kept,
            of=len(lines),
            file=FILE,
            left=told or Said(WORDS, "none"),
        )
    )


def _chunks(items: Sequence[Any], size: int) -> Iterator[list[Any]]:
    some = iter(items)
    while chunk := list(islice(some, size)):
        yield chunk
