"""Language models: load one once, let it write, and ask how probable an answer is to it.

Nothing here depends on what else is in a batch or on what was drawn before: a text is a function
of (model, prompt, seed, sampling), up to the rounding of the machine's arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jinja2 import TemplateError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    LogitsProcessorList,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    StoppingCriteriaList,
)
from transformers.utils import logging as transformers_logging

from steelyard.inference.adapters import merge_adapter
from steelyard.inference.clean import storable
from steelyard.inference.sampling import Draw, Interruption
from steelyard.inference.saying import WORDS
from steelyard.inference.sources import LOAD_ERRORS, explain
from steelyard.lib.errors import UserError
from steelyard.lib.said import Said

Messages = Sequence[Mapping[str, Any]]
"""A chat: objects with ``role`` and ``content``."""

SHOWN = 60


@dataclass(frozen=True)
class Generated:
    text: str
    tokens: list[int]
    """Ids of the answer, the end-of-answer token left out."""
    finished: bool
    """Whether the model came to an end by itself, before ``max_new_tokens``."""


def load_causal_lm(
    source: str,
    *,
    adapters: Sequence[str] = (),
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a language model and its tokenizer, with the adapters merged into the weights.

    Args:
        source: a folder, or a name on the hub.
        adapters: folders of LoRA adapters, oldest first; each lies on the merged result of those
            before it.

    Returns:
        A plain transformers model in eval mode, and a tokenizer that pads on the left.

    Raises:
        UserError: there is no such model, it cannot be reached, it is no chat model in
            safetensors, or an adapter does not fit it.
    """
    _, tokenizer = load_tokenizer(source)
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            source,
            dtype=dtype,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except LOAD_ERRORS as error:
        raise explain(error, source, "a language model") from error
    model, found = loaded
    check_complete(found, source)
    for folder in adapters:
        model = merge_adapter(model, Path(folder))
    try:
        model.to(device)
    except torch.OutOfMemoryError as error:
        raise out_of_memory(source, device) from error
    return model.eval(), tokenizer


def load_tokenizer(source: str) -> tuple[PreTrainedConfig, PreTrainedTokenizerBase]:
    """Load all but the weights: enough to say whether prompts fit.

    Raises:
        UserError: as :func:`load_causal_lm`.
    """
    be_quiet()
    try:
        # first, so that a hub out of reach is waited for once only
        config = AutoConfig.from_pretrained(source, trust_remote_code=False)
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    except LOAD_ERRORS as error:
        raise explain(error, source, "a language model") from error
    _check_tokenizer(tokenizer, source)
    return config, tokenizer


def encode_prompt(tokenizer: PreTrainedTokenizerBase, messages: Messages) -> list[int]:
    """The token ids that the model answers to: the chat template with its generation prompt.

    The template writes what special tokens there are, so none is added a second time.

    Raises:
        UserError: the template refuses these messages, as some do a system message.
    """
    try:
        ids: Any = tokenizer.apply_chat_template(
            [dict(message) for message in messages],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=False,
        )
    except (TemplateError, ValueError, TypeError) as error:
        raise UserError(
            Said(WORDS, "template_does_not_take", prompt=shown(messages), error=error),
            code="bad_messages",
        ) from error
    return ids


def bad_template(error: Exception, asked: str) -> UserError:
    """A template that refuses what every chat has.

    Args:
        error: what it raised.
        asked: what was put to it, in words.
    """
    said = " ".join(str(error).split())[:300]
    return UserError(
        Said(WORDS, "template_refuses", asked=asked, said=said),
        code="bad_template",
    )


def context_length(config: PreTrainedConfig) -> int | None:
    """The longest sequence a model was made for, in tokens; None where it names none."""
    return getattr(config.get_text_config(decoder=True), "max_position_embeddings", None)


def check_fits(config: PreTrainedConfig, ids: Sequence[int], new: int, messages: Messages) -> None:
    """
    Raises:
        UserError: the prompt and ``new`` more tokens are longer than the model's context.
    """
    context = context_length(config)
    if context is not None and len(ids) + new > context:
        raise UserError(
            Said(
                WORDS,
                "prompt_too_long",
                prompt=shown(messages),
                tokens=len(ids),
                new=new,
                context=context,
                most=max(0, context - new),
            ),
            code="prompt_too_long",
        )


def shown(messages: Messages) -> str:
    """The prompt's last message as an error names it, shortened."""
    text = " ".join(str(messages[-1]["content"]).split()) if messages else ""
    return f"“{text[:SHOWN]}{'…' if len(text) > SHOWN else ''}”"


@torch.inference_mode()
def generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Messages],
    *,
    max_new_tokens: int,
    temperature: float,
    top_p: float = 1.0,
    seeds: Sequence[int],
    batch_size: int = 8,
    stop: Callable[[], bool] | None = None,
) -> list[Generated]:
    """Answer each prompt.

    Args:
        temperature: 0 takes the most probable token each time and the seed does nothing.
        top_p: draw from the smallest set of tokens that has this much of the probability.
        seeds: one a prompt; an answer depends on (seed, prompt), never on its neighbours.
        batch_size: prompts of like length go together; a larger one needs more memory.
        stop: asked before each token; when true,
            :class:`~steelyard.inference.sampling.Interrupted` is raised.

    Raises:
        UserError: a prompt does not fit the context (before any text is made), or the machine's
            memory is too small for a batch.
    """
    encoded = [encode_prompt(tokenizer, messages) for messages in prompts]
    for ids, messages in zip(encoded, prompts, strict=True):
        check_fits(model.config, ids, max_new_tokens, messages)
    order = sorted(range(len(prompts)), key=lambda place: len(encoded[place]))
    answers: dict[int, Generated] = {}
    for start in range(0, len(order), batch_size):
        places = order[start : start + batch_size]
        draw = Draw([(seeds[p], encoded[p]) for p in places], temperature, top_p)
        batch = [encoded[p] for p in places]
        made = generate_batch(model, tokenizer, batch, draw, max_new_tokens, stop)
        answers.update(zip(places, made, strict=True))
    return [answers[place] for place in range(len(prompts))]


@torch.inference_mode()
def log_probabilities(
    model: PreTrainedModel,
    ids: Sequence[Sequence[int]],
    prompt_lengths: Sequence[int],
    *,
    batch_size: int = 8,
) -> list[torch.Tensor]:
    """How probable given answers are, token by token.

    Args:
        ids: prompt and answer together, one sequence an item.
        prompt_lengths: how many of an item's ids are the prompt; at least 1.

    Returns:
        For each item a float32 tensor on the CPU, [answer tokens]: log p(token | all before it).
        Their sum is the log-probability of the answer.
    """
    order = sorted(range(len(ids)), key=lambda place: len(ids[place]))
    result: dict[int, torch.Tensor] = {}
    for start in range(0, len(order), batch_size):
        places = order[start : start + batch_size]
        width = max(len(ids[p]) for p in places)
        rows = torch.zeros(len(places), width, dtype=torch.long)
        mask = torch.zeros_like(rows)
        for row, place in enumerate(places):
            rows[row, : len(ids[place])] = torch.tensor(ids[place])
            mask[row, : len(ids[place])] = 1
        logits = model(
            input_ids=rows.to(model.device), attention_mask=mask.to(model.device), use_cache=False
        ).logits
        for row, place in enumerate(places):
            first, end = prompt_lengths[place], len(ids[place])
            scores = logits[row, first - 1 : end - 1].float().log_softmax(-1)
            answer = rows[row, first:end].to(scores.device)
            result[place] = scores.gather(-1, answer[:, None])[:, 0].cpu()
    return [result[place] for place in range(len(ids))]


@torch.inference_mode()
def option_log_probabilities(
    model: PreTrainedModel, prefix: Sequence[int], options: Sequence[Sequence[int]]
) -> list[float]:
    """How probable each of a few ways to go on is: log p(option | prefix), summed over its tokens.

    The prefix is read once, whatever the number of options.
    """
    device = model.device
    read = model(input_ids=torch.tensor([list(prefix)], device=device), use_cache=True)
    first = read.logits[0, -1].float().log_softmax(-1)
    width = max(len(option) for option in options)
    totals = [float(first[option[0]]) for option in options]
    if width == 1:
        return totals
    cache = read.past_key_values
    cache.batch_repeat_interleave(len(options))
    rows = torch.zeros(len(options), width, dtype=torch.long)
    for row, option in enumerate(options):
        rows[row, : len(option)] = torch.tensor(option)
    logits = model(input_ids=rows[:, :-1].to(device), past_key_values=cache, use_cache=True).logits
    scores = logits.float().log_softmax(-1).cpu()
    for row, option in enumerate(options):
        for place, token in enumerate(option[1:]):
            totals[row] += float(scores[row, place, token])
    return totals


def generate_batch(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    batch: list[list[int]],
    draw: Draw,
    max_new_tokens: int,
    stop: Callable[[], bool] | None,
    inputs: Mapping[str, torch.Tensor] | None = None,
    streamer: Any = None,
) -> list[Generated]:
    """Answers to prompts of ids, padded on the left.

    Args:
        inputs: what else the model takes, such as pictures; as it takes it.
        streamer: told of each token of a batch of one, as transformers' streamers are.
    """
    width = max(len(ids) for ids in batch)
    rows = torch.full((len(batch), width), int(tokenizer.pad_token_id), dtype=torch.long)
    mask = torch.zeros_like(rows)
    for row, ids in enumerate(batch):
        rows[row, width - len(ids) :] = torch.tensor(ids)
        mask[row, width - len(ids) :] = 1
    ends = _end_ids(model, tokenizer)
    writer: Any = model
    try:
        made = writer.generate(
            input_ids=rows.to(model.device),
            attention_mask=mask.to(model.device),
            **(inputs or {}),
            generation_config=_config(max_new_tokens, ends, int(tokenizer.pad_token_id)),
            logits_processor=LogitsProcessorList([draw]),
            stopping_criteria=StoppingCriteriaList([Interruption(stop)] if stop else []),
            streamer=streamer,
        )
    except torch.OutOfMemoryError as error:
        raise out_of_memory(str(model.name_or_path), model.device) from error
    answers = made[:, width:].tolist()
    return [_answer(tokenizer, ids, ends) for ids in answers]


def _config(max_new_tokens: int, ends: list[int], pad: int) -> GenerationConfig:
    """Every knob that a model's own generation_config may turn is set, so that only ours act."""
    return GenerationConfig(
        max_new_tokens=max_new_tokens,
        do_sample=False,
        num_beams=1,
        temperature=1.0,
        top_p=1.0,
        top_k=50,
        repetition_penalty=1.0,
        no_repeat_ngram_size=0,
        eos_token_id=ends,
        pad_token_id=pad,
    )


def _answer(tokenizer: PreTrainedTokenizerBase, ids: list[int], ends: list[int]) -> Generated:
    end = next((place for place, token in enumerate(ids) if token in ends), None)
    tokens = ids if end is None else ids[:end]
    text = storable(str(tokenizer.decode(tokens, skip_special_tokens=True)))
    # a model may write a NUL, which PostgreSQL's text cannot hold
    text = text.replace("\x00", "\N{REPLACEMENT CHARACTER}")
    return Generated(text=text, tokens=tokens, finished=end is not None)


def _end_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """All the tokens that end an answer; some models have several."""
    own = model.generation_config.eos_token_id if model.generation_config else None
    listed = own if isinstance(own, list) else [own]
    return sorted({int(e) for e in [*listed, tokenizer.eos_token_id] if e is not None})


def _check_tokenizer(tokenizer: PreTrainedTokenizerBase, source: str) -> None:
    """Refuse one that cannot put a question; make the others pad on the left."""
    if not tokenizer.chat_template:
        raise UserError(
            Said(WORDS, "no_chat_template", source=source),
            code="no_chat_template",
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    if tokenizer.pad_token_id is None:
        raise UserError(
            Said(WORDS, "no_end_token", source=source),
            code="no_end_token",
        )
    tokenizer.padding_side = "left"


def check_complete(found: dict[str, Any], source: str) -> None:
    """transformers would go on with random numbers in place of weights that are not there."""
    if missing := sorted(found["missing_keys"]):
        raise UserError(
            Said(WORDS, "lacks_its_weights", source=source, count=len(missing), first=missing[0]),
            code="broken_weights",
        )


def out_of_memory(source: str, device: object) -> UserError:
    return UserError(
        Said(WORDS, "too_large_for_memory", source=source, device=device),
        code="out_of_memory",
    )


def be_quiet() -> None:
    """A run's log is for people: no progress bars, no advice on arguments."""
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
