"""Vision-language models: what they are shown, what they write about it.

torchvision is not needed: pictures are prepared by Pillow, and a clip is shown as some of its
frames, each a picture. As in :mod:`~steelyard.inference.text`, an answer is a function of (model,
prompt, pictures, seed, sampling).
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import transformers
from huggingface_hub.errors import EntryNotFoundError
from jinja2 import TemplateError
from PIL import Image
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    ProcessorMixin,
)
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING_NAMES
from transformers.utils import cached_file

from steelyard.inference.adapters import merge_adapter
from steelyard.inference.sampling import Draw
from steelyard.inference.saying import WORDS
from steelyard.inference.sources import LOAD_ERRORS, explain
from steelyard.inference.text import (
    Generated,
    Messages,
    bad_template,
    be_quiet,
    check_complete,
    check_fits,
    generate_batch,
    out_of_memory,
    shown,
)
from steelyard.lib.errors import UserError
from steelyard.lib.said import Said

WHAT = "a vision-language model"
_PROCESSOR_FILES = (
    "processor_config.json",
    "preprocessor_config.json",
    "video_preprocessor_config.json",
    "chat_template.jinja",
    "chat_template.json",
)


@dataclass(frozen=True)
class Look:
    """A prompt with its pictures as the model takes them."""

    ids: list[int]
    """The chat template's prompt, pictures spread out to as many placeholders as they need."""
    kinds: dict[str, list[int]] = field(default_factory=dict)
    """What some models are told of each id, such as which of them are of a picture."""
    pixels: dict[str, Tensor] = field(default_factory=dict)
    """What the vision tower takes, by the names of the model's own arguments; empty without
    pictures."""


def load_processor(source: str) -> tuple[PreTrainedConfig, Any]:
    """Load all but the weights.

    Returns:
        The config, and the processor with its tokenizer, which pads on the left.

    Raises:
        UserError: as :func:`load_vision_language`.
    """
    be_quiet()
    try:
        config = AutoConfig.from_pretrained(source, trust_remote_code=False)
        name = PROCESSOR_MAPPING_NAMES.get(config.model_type)
        if name is None:
            raise UserError(
                Said(WORDS, "sees_nothing", source=source, type=config.model_type),
                code="not_a_model",
            )
        processor: Any = less_clips(getattr(transformers, name)).from_pretrained(
            source, trust_remote_code=False
        )
    except ImportError as error:
        raise UserError(
            Said(WORDS, "lacks_library", source=source, error=" ".join(str(error).split())[:200]),
            code="not_a_model",
        ) from error
    except LOAD_ERRORS as error:
        raise explain(error, source, WHAT) from error
    _check_processor(processor, source)
    return config, processor


def load_vision_language(
    source: str,
    *,
    adapters: Sequence[str] = (),
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
) -> tuple[PreTrainedModel, Any]:
    """Load a vision-language model and its processor, with the adapters merged into the weights.

    Args:
        source: a folder, or a name on the hub.
        adapters: folders of LoRA adapters, oldest first.

    Returns:
        A plain transformers model in eval mode, and its processor.

    Raises:
        UserError: there is no such model, it cannot be reached, it is no chat model for pictures
            in safetensors, or an adapter does not fit it.
    """
    _, processor = load_processor(source)
    try:
        loaded: Any = AutoModelForImageTextToText.from_pretrained(
            source,
            dtype=dtype,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except LOAD_ERRORS as error:
        raise explain(error, source, WHAT) from error
    model, found = loaded
    check_complete(found, source)
    for folder in adapters:
        model = merge_adapter(model, Path(folder))
    try:
        model.to(device)
    except torch.OutOfMemoryError as error:
        raise out_of_memory(source, device) from error
    return model.eval(), processor


def encode_look(processor: Any, messages: Messages, pictures: Sequence[Image.Image]) -> Look:
    """The prompt that the model answers to, pictures at the head of the last user's message.

    Words in a message that look like a placeholder or another special token stay words.

    Args:
        pictures: in order, in RGB; may be none.

    Raises:
        UserError: ``bad_messages``: the template refuses these messages, or holds no place for a
            picture; ``no_user`` where there are pictures and no message of a user.
    """
    conversation = [_spoken(message) for message in messages]
    if pictures:
        asked = next((one for one in reversed(conversation) if one["role"] == "user"), None)
        if asked is None:
            raise UserError(
                Said(WORDS, "pictures_of_nobody", prompt=shown(messages)),
                code="no_user",
            )
        asked["content"][:0] = [{"type": "image", "image": picture} for picture in pictures]
    try:
        made = _templated(processor, conversation, messages)
    except (TemplateError, ValueError, TypeError, KeyError, IndexError) as error:
        raise UserError(
            Said(
                WORDS,
                "template_takes_no_pictures",
                prompt=shown(messages),
                error=" ".join(str(error).split())[:300],
            ),
            code="bad_messages",
        ) from error
    return _look(dict(made))


def answer_end(processor: Any) -> list[int]:
    """What the chat template writes after an answer, up to its first special token.

    Raises:
        UserError: neither template nor tokenizer has an end-of-answer token.
    """
    probe = "steelyard-probe"
    messages = [{"role": "user", "content": "?"}, {"role": "assistant", "content": probe}]
    spoken = [_spoken(message) for message in messages]
    try:
        rendered = str(processor.apply_chat_template(spoken, tokenize=False))
    except (TemplateError, ValueError, TypeError) as error:
        raise bad_template(error, "a plain question with its answer") from error
    tokenizer: PreTrainedTokenizerBase = processor.tokenizer
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


def joined(pixels: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor] | None:
    """The pictures of several prompts as one batch; None where they cannot lie in one tensor."""
    some = [one for one in pixels if one]
    if not some:
        return {}
    if any(one.keys() != some[0].keys() for one in some):
        return None
    for name, first in some[0].items():
        if any(one[name].shape[1:] != first.shape[1:] for one in some):
            return None
    return {name: torch.cat([one[name] for one in some]) for name in some[0]}


@torch.inference_mode()
def generate(
    model: PreTrainedModel,
    processor: Any,
    prompts: Sequence[Messages],
    pictures: Sequence[Sequence[Image.Image]],
    *,
    max_new_tokens: int,
    temperature: float,
    top_p: float = 1.0,
    seeds: Sequence[int],
    batch_size: int = 4,
    stop: Callable[[], bool] | None = None,
) -> list[Generated]:
    """Answer each prompt about its pictures; arguments as of
    :func:`steelyard.inference.text.generate`.

    Raises:
        UserError: a prompt does not fit the context (before any text is made), the template refuses
            it, or the machine's memory is too small for a batch.
    """
    looks = [
        encode_look(processor, messages, some)
        for messages, some in zip(prompts, pictures, strict=True)
    ]
    for look, messages in zip(looks, prompts, strict=True):
        check_fits(model.config, look.ids, max_new_tokens, messages)
    answers: dict[int, Generated] = {}
    for places in _batches(looks, batch_size):
        some = [looks[place] for place in places]
        draw = Draw([(seeds[p], looks[p].ids) for p in places], temperature, top_p)
        made = generate_batch(
            model,
            processor.tokenizer,
            [look.ids for look in some],
            draw,
            max_new_tokens,
            stop,
            inputs=_to(model, {**(joined([look.pixels for look in some]) or {}), **_kinds(some)}),
        )
        answers.update(zip(places, made, strict=True))
    return [answers[place] for place in range(len(prompts))]


@torch.inference_mode()
def log_probabilities(model: PreTrainedModel, look: Look, answer: Sequence[int]) -> Tensor:
    """How probable an answer to a prompt with pictures is, token by token.

    The model reads prompt, pictures and answer whole, as it does when it writes.

    Args:
        answer: its token ids; may be none.

    Returns:
        float32 on the CPU, (answer tokens,): log p(token | all before it), in nats.
    """
    first = len(look.ids)
    ids = torch.tensor([[*look.ids, *answer]])
    # what is told of each id is 0 of words, and an answer is words
    kinds = {n: torch.tensor([values + [0] * len(answer)]) for n, values in look.kinds.items()}
    told = {"input_ids": ids, "attention_mask": torch.ones_like(ids), **look.pixels, **kinds}
    logits = model(**_to(model, told), use_cache=False).logits
    scores = logits[0, first - 1 : ids.shape[1] - 1].float().log_softmax(-1).cpu()
    return scores.gather(-1, ids[0, first:, None])[:, 0]


def save_processor(processor: Any, source: str, folder: Path) -> None:
    """Write what belongs to the weights, the part for clips too, which is not loaded here."""
    processor.save_pretrained(folder)
    for name in _PROCESSOR_FILES:
        if (Path(source) / name).is_file():
            shutil.copyfile(Path(source) / name, folder / name)
        elif not Path(source).is_dir():
            try:
                there = cached_file(source, name)
            except (OSError, EntryNotFoundError):
                continue
            if there:
                shutil.copyfile(there, folder / name)


def less_clips(kind: type[ProcessorMixin]) -> type[ProcessorMixin]:
    """The processor without its part for clips, which no one here loads: it wants torchvision."""
    if "video_processor" not in kind.get_attributes():
        return kind
    *parts, last = kind.get_attributes()
    if last != "video_processor":
        raise ImportError(
            f"{kind.__name__} takes clips and sound, which is more than is known here"
        )
    module: Any = sys.modules[kind.__module__]
    if getattr(module, "num2words", str) is None:
        # wanted for the words around a clip's frames alone
        module.num2words = str

    def arguments(cls: Any, *args: Any, **kwargs: Any) -> list[Any]:
        plain: Any = kind._get_arguments_from_pretrained
        return [*plain.__func__(cls, *args, **kwargs), None]

    # its __init__ stays its own: which settings a processor has is read from that one's code
    return type(
        kind.__name__,
        (kind,),
        {
            "__module__": kind.__module__,
            "get_attributes": classmethod(lambda cls: parts),
            "_get_arguments_from_pretrained": classmethod(arguments),
            # SmolVLM asks for these two whatever is shown
            "video_processor": SimpleNamespace(num_frames=None, fps=None),
        },
    )


def _check_processor(processor: Any, source: str) -> None:
    if not getattr(processor, "image_processor", None) or not getattr(processor, "tokenizer", None):
        raise UserError(
            Said(WORDS, "no_image_processor", source=source),
            code="not_a_model",
        )
    if not (processor.chat_template or processor.tokenizer.chat_template):
        raise UserError(
            Said(WORDS, "no_processor_template", source=source),
            code="no_chat_template",
        )
    processor.chat_template = processor.chat_template or processor.tokenizer.chat_template
    tokenizer = processor.tokenizer
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    if tokenizer.pad_token_id is None:
        raise UserError(
            Said(WORDS, "no_end_token", source=source),
            code="no_end_token",
        )
    tokenizer.padding_side = "left"


def _templated(processor: Any, conversation: list[dict[str, Any]], messages: Messages) -> Any:
    options = {
        "add_generation_prompt": True,
        "tokenize": True,
        "return_dict": True,
        "return_tensors": "pt",
    }
    try:
        return processor.apply_chat_template(conversation, sanitize_control_tokens=True, **options)
    except ValueError as error:
        # processors that look for places in the text afterwards cannot have it marked
        if "char_to_token" not in str(error):
            raise
    special = [*processor.tokenizer.all_special_tokens, processor.image_token]
    text = " ".join(str(message["content"]) for message in messages)
    if found := next((token for token in special if token in text), None):
        raise ValueError(f"this model cannot tell the words {found} from its own sign")
    return processor.apply_chat_template(conversation, **options)


def _spoken(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message in parts, which is the form that the templates of such models know."""
    return {"role": message["role"], "content": [{"type": "text", "text": message["content"]}]}


def _look(made: dict[str, Any]) -> Look:
    ids: list[int] = made.pop("input_ids")[0].tolist()
    made.pop("attention_mask", None)
    of_each = {
        name for name, value in made.items() if value.dim() == 2 and value.shape == (1, len(ids))
    }
    return Look(
        ids,
        {name: made[name][0].tolist() for name in sorted(of_each)},
        {name: value for name, value in made.items() if name not in of_each},
    )


def _batches(looks: Sequence[Look], size: int) -> Iterator[list[int]]:
    """Prompts of like length together; those whose pictures cannot lie in one tensor apart."""
    order = sorted(range(len(looks)), key=lambda place: (len(looks[place].ids), place))
    waiting: list[int] = []
    for place in order:
        together = [looks[one].pixels for one in (*waiting, place)]
        if waiting and (len(waiting) == size or joined(together) is None):
            yield waiting
            waiting = []
        waiting.append(place)
    if waiting:
        yield waiting


def _kinds(looks: Sequence[Look]) -> dict[str, Tensor]:
    """What is told of each id, padded on the left as the ids are."""
    width = max(len(look.ids) for look in looks)
    names = {name for look in looks for name in look.kinds}
    made = {name: torch.zeros(len(looks), width, dtype=torch.long) for name in names}
    for row, look in enumerate(looks):
        for name, values in look.kinds.items():
            made[name][row, width - len(values) :] = torch.tensor(values)
    return made


def _to(model: PreTrainedModel, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.to(model.device) for name, value in inputs.items()}
