"""Vision-language models small enough to be made in a test: random weights, real formats."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from PIL import Image

_CORPUS = [
    "What is in the picture? A red square on the left, a blue one on the right.",
    "The first answer is short and correct. The second answer repeats the question.",
    "user assistant system 0 1 2 3 4 5 6 7 8 9 yes no the colour is green",
]
_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}PICTURE"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_QWEN = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
_TEXT = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "pad_token_id": 0,
    "eos_token_id": 2,
    "bos_token_id": None,
}


def make_tiny_vlm(
    folder: Path, kind: Literal["llava", "qwen2_vl", "smolvlm"] = "llava", *, context: int = 512
) -> Path:
    """Save a random LLaVA (4 places a picture), Qwen2-VL (M-RoPE, as many as its size asks for) or
    SmolVLM (pictures cut in parts, a processor with settings of its own) with its processor."""
    import torch

    torch.manual_seed(0)
    model, processor = {"llava": _llava, "qwen2_vl": _qwen, "smolvlm": _smol}[kind](context)
    processor.save_pretrained(folder)
    model.save_pretrained(folder)
    return folder


def painted(colour: str, size: tuple[int, int] = (60, 30)) -> Image.Image:
    return Image.new("RGB", size, colour)


def _llava(context: int) -> tuple[Any, Any]:
    from transformers import (
        CLIPImageProcessorPil,
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
    )

    tokenizer = _tokenizer(["<image>"], context, {"image_token": "<image>"})
    pictures = CLIPImageProcessorPil(
        size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}
    )
    processor = LlavaProcessor(
        pictures,
        tokenizer,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=_TEMPLATE.replace("PICTURE", "<image>\n"),
    )
    tower = CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=28,
        patch_size=14,
    )
    language = LlamaConfig(vocab_size=len(tokenizer), max_position_embeddings=context, **_TEXT)
    config = LlavaConfig(
        vision_config=tower,
        text_config=language,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        tie_word_embeddings=False,
    )
    return LlavaForConditionalGeneration(config), processor


def _qwen(context: int) -> tuple[Any, Any]:
    from transformers import (
        Qwen2VLConfig,
        Qwen2VLForConditionalGeneration,
        Qwen2VLImageProcessorPil,
        Qwen2VLProcessor,
    )

    from steelyard.inference.vision import less_clips

    names = {"image_token": "<|image_pad|>", "video_token": "<|video_pad|>"}
    tokenizer = _tokenizer(list(_QWEN), context, names)
    pictures = Qwen2VLImageProcessorPil(
        size={"shortest_edge": 28 * 28, "longest_edge": 84 * 84},
        patch_size=14,
        merge_size=2,
        temporal_patch_size=2,
    )
    place = "<|vision_start|><|image_pad|><|vision_end|>"
    make: Any = less_clips(Qwen2VLProcessor)
    processor = make(pictures, tokenizer, chat_template=_TEMPLATE.replace("PICTURE", place))
    start, end, image, video = (tokenizer.convert_tokens_to_ids(name) for name in _QWEN)
    language = {
        "vocab_size": len(tokenizer),
        "max_position_embeddings": context,
        "rope_parameters": {
            "rope_type": "default",
            "mrope_section": [2, 3, 3],
            "rope_theta": 10_000.0,
        },
        **_TEXT,
    }
    tower = {
        "depth": 2,
        "embed_dim": 32,
        "hidden_size": 64,
        "num_heads": 4,
        "mlp_ratio": 2,
        "patch_size": 14,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
    }
    config = Qwen2VLConfig(
        text_config=language,
        vision_config=tower,
        image_token_id=image,
        video_token_id=video,
        vision_start_token_id=start,
        vision_end_token_id=end,
    )
    return Qwen2VLForConditionalGeneration(config), processor


def _smol(context: int) -> tuple[Any, Any]:
    from transformers import (
        SmolVLMConfig,
        SmolVLMForConditionalGeneration,
        SmolVLMImageProcessorPil,
        SmolVLMProcessor,
    )

    from steelyard.inference.vision import less_clips

    names = {
        "image_token": "<image>",
        "fake_image_token": "<fake_token_around_image>",
        "global_image_token": "<global-img>",
        "end_of_utterance_token": "<end_of_utterance>",
    }
    parts = [f"<row_{row}_col_{column}>" for row in (1, 2) for column in (1, 2)]
    tokenizer = _tokenizer([*names.values(), *parts], context, names)
    pictures = SmolVLMImageProcessorPil(
        size={"longest_edge": 112}, max_image_size={"longest_edge": 56}
    )
    template = _TEMPLATE.replace("PICTURE", "<image>")
    make: Any = less_clips(SmolVLMProcessor)
    processor = make(pictures, tokenizer, None, image_seq_len=4, chat_template=template)
    tower = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "image_size": 56,
        "patch_size": 14,
    }
    language = {"model_type": "llama", "vocab_size": len(tokenizer), **_TEXT}
    config = SmolVLMConfig(
        text_config={**language, "max_position_embeddings": context},
        vision_config=tower,
        scale_factor=2,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        pad_token_id=0,
    )
    return SmolVLMForConditionalGeneration(config), processor


def _tokenizer(special: list[str], context: int, names: dict[str, str]) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=512,
        special_tokens=["<pad>", "<|im_start|>", "<|im_end|>", *special],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_CORPUS, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="<|im_end|>",
        model_max_length=context,
        extra_special_tokens=names,
    )
