"""What the model writes while it is trained, beside what it wrote before: for people to read.

``samples.jsonl`` of the run directory has a line a prompt and step: ``step``, ``prompt`` as
messages, ``text``, ``reference_text``. The reference's texts are those of step 0, when the model is
the base still. Greedy, so that what changes is the model and not the draw; nothing here touches the
draws of training.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from steelyard.inference.text import context_length, encode_prompt, generate
from steelyard.lib.errors import UserError
from steelyard.lib.records import PreferenceRecord
from steelyard.lib.rundir import RunDir
from steelyard.lib.said import Said
from training.engine.words import WORDS

FILE = "samples.jsonl"
MAX_NEW_TOKENS = 128
Messages = Sequence[dict[str, Any]]


class SampleSettings(Protocol):
    """What is read of a config."""

    @property
    def sample_every(self) -> int: ...
    @property
    def sample_prompts(self) -> int: ...


def sampler(
    rundir: RunDir,
    config: SampleSettings,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    records: Sequence[PreferenceRecord],
    total: int,
) -> Callable[[int], None]:
    """Write samples after a step where they are due: every ``sample_every`` steps, the first time
    before training, and at the end. A step whose samples are there is passed over.

    Args:
        records: those to test with give the prompts, those to train on where there are none.
    """
    if not config.sample_every:
        return lambda step: None
    sight = getattr(model, "sight", None)
    if sight is not None:
        room = (context_length(model.config) or 1 << 20) - MAX_NEW_TOKENS
        asked = sight.prompts_of(_test_first(records), config.sample_prompts, room)
        prompts, media = [messages for messages, _ in asked], [images for _, images in asked]
    else:
        prompts, media = prompts_of(records, tokenizer, model, config.sample_prompts), []
    if not prompts:
        rundir.event(Said(WORDS, "no_sample_prompts"))
        return lambda step: None

    def write(step: int) -> None:
        due = step % config.sample_every == 0 or step == total
        lines, _ = rundir.read_lines(FILE, 0)
        if not due or any(line["step"] == step for line in lines):
            return
        # in the order of the prompts, of which two may ask the same of two pictures
        before = [line["text"] for line in lines if line["step"] == 0]
        rundir.progress(step, total, "steps", Said(WORDS, "writing_samples"))
        if sight is not None:
            texts = sight.written(model, prompts, media, MAX_NEW_TOKENS)
        else:
            texts = _written(model, tokenizer, prompts)
        with (rundir.path / FILE).open("a") as stream:
            for number, (prompt, text) in enumerate(zip(prompts, texts, strict=True)):
                known = text if step == 0 else "".join(before[number : number + 1])
                line = {
                    "step": step,
                    "prompt": list(prompt),
                    "text": text,
                    "reference_text": known,
                }
                stream.write(json.dumps(line, ensure_ascii=False) + "\n")

    return write


def prompts_of(
    records: Sequence[PreferenceRecord],
    tokenizer: PreTrainedTokenizerBase,
    model: PreTrainedModel,
    count: int,
) -> list[Messages]:
    """The first prompts that a model can be asked with words alone and has room to answer."""
    ordered = _test_first(records)
    room = (context_length(model.config) or 1 << 20) - MAX_NEW_TOKENS
    found: dict[str, Messages] = {}
    for record in ordered:
        if len(found) == count:
            break
        if record.prompt_media or record.prompt_key in found:
            continue
        try:
            fits = len(encode_prompt(tokenizer, record.prompt)) <= room
        except UserError:
            continue
        if fits:
            found[record.prompt_key] = record.prompt
    return list(found.values())


def _test_first(records: Sequence[PreferenceRecord]) -> list[PreferenceRecord]:
    return sorted(records, key=lambda record: record.split == "train")


def _written(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompts: Sequence[Messages]
) -> list[str]:
    training = model.training
    model.eval()
    made = generate(
        model,
        tokenizer,
        prompts,
        max_new_tokens=MAX_NEW_TOKENS,
        temperature=0.0,
        seeds=[0] * len(prompts),
        batch_size=len(prompts),
    )
    model.train(training)
    return [answer.text for answer in made]
