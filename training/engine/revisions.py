"""What a model that has learnt to improve writes: answers to test prompts, each revised some times.

They stand in the run's ``revisions.jsonl``, a line an answer: the prompt's key and messages,
``revision`` from 0 (not revised) on, the text, whether the model came to its end, the seed and the
temperature. Whether a later one is better is for a judge to say: ``evaluation.engine.revisions``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from steelyard.inference.revising import ROOM, generate_revised, revision_messages
from steelyard.inference.sampling import Interrupted
from steelyard.inference.text import context_length, encode_prompt
from steelyard.lib.hashing import canonical_json, stable_int
from steelyard.lib.records import PreferenceRecord
from steelyard.lib.rundir import RunDir, write_atomically
from steelyard.lib.said import Said
from training.engine.config.objectives import SRPOConfig
from training.engine.words import WORDS

FILE = "revisions.jsonl"
TEMPERATURE = 0.7
MOST_TOKENS = 200
"""Of an answer; less where a model's context is short."""


@torch.inference_mode()
def write_revisions(
    rundir: RunDir,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    records: Sequence[PreferenceRecord],
    config: SRPOConfig,
    stop: Callable[[], bool],
) -> bool:
    """Answer test prompts and revise; False where it was stopped.

    Which prompts is drawn by their keys, the same for every run of a dataset version. Those that
    leave no room in the model's context for an answer and its revision are left out, and those
    about pictures or clips, which are not shown here.
    """
    held_out = {r.prompt_key: r.prompt for r in records if r.split == "test" and not r.prompt_media}
    context = context_length(model.config) or config.max_length
    new = min(MOST_TOKENS, context // 4)
    keys = [
        key
        for key in sorted(held_out, key=lambda key: (stable_int("revisions", key), key))
        if len(encode_prompt(tokenizer, revision_messages(held_out[key], ""))) + ROOM * new
        < context
    ][: config.revised_prompts]
    if not (config.revisions and keys):
        return True
    rundir.event(Said(WORDS, "revised", prompts=len(keys), revisions=config.revisions))
    seeds = [stable_int("revisions", config.seed, key) & 0x7FFF_FFFF for key in keys]
    try:
        chains = generate_revised(
            model,
            tokenizer,
            [held_out[key] for key in keys],
            revisions=config.revisions,
            seeds=seeds,
            max_new_tokens=new,
            temperature=TEMPERATURE,
            batch_size=config.batch_size,
            stop=stop,
        )
    except Interrupted:
        return False
    lines = [
        {
            "prompt": key,
            "messages": held_out[key],
            "revision": number,
            "text": answer.text,
            "finished": answer.finished,
            "seed": seed,
            "temperature": TEMPERATURE,
        }
        for key, seed, chain in zip(keys, seeds, chains, strict=True)
        for number, answer in enumerate(chain)
    ]
    write_atomically(rundir.path / FILE, b"".join(canonical_json(line) + b"\n" for line in lines))
    return True
