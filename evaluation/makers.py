"""Who made a model, as far as its name or its source says: a judge may favour its own maker's."""

from __future__ import annotations

import re

from steelyard.registry.models import ModelFamily, ModelVersion

_NAMES = {
    "OpenAI": r"gpt(?!-?(?:j|neo|4all))|chatgpt|o[134](?:-|$)|text-davinci|davinci",
    "Anthropic": r"claude",
    "Google": r"gemini|gemma|palm|bard|(?:text|chat)-bison|flan",
    "Meta": r"(?:meta-)?llama|codellama|code-llama",
    "Mistral AI": r"mistral|mixtral|codestral|ministral|magistral",
    "Alibaba": r"qwen|qwq|wan\d",
    "DeepSeek": r"deepseek",
    "Cohere": r"command|aya",
    "Microsoft": r"phi-?\d|wizardlm|orca",
    "Hugging Face": r"smollm|smolvlm|zephyr",
    "xAI": r"grok",
    "01.AI": r"yi-",
    "TII": r"falcon",
    "Zhipu AI": r"glm|chatglm|cogvideo",
    "AI21": r"jamba|jurassic|j2-",
    "Stability AI": r"stable-?(?:diffusion|lm|beluga)|sdxl|sd3",
    "Black Forest Labs": r"flux",
}
_PATTERNS = {
    maker: re.compile(rf"(?:^|[\s/_(-])(?:{pattern})", re.IGNORECASE)
    for maker, pattern in _NAMES.items()
}
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")


def maker_of_name(name: str) -> str:
    """The maker that a model's name speaks of; empty where none is known."""
    return next((maker for maker, said in _PATTERNS.items() if said.search(name)), "")


def maker_of(model: ModelVersion) -> str:
    """The maker of the model, or of what it was trained from; empty where neither its name nor its
    source says."""
    one: ModelVersion | None = model
    while one is not None:
        options = one.options or {}
        for said in (str(options.get("model", "")), one.source, one.name):
            if one.family == ModelFamily.ENDPOINT and said == one.source:
                continue  # an address says who serves, not who made
            if found := maker_of_name(said):
                return found
        if _HUB_NAME.fullmatch(one.source) and one.family != ModelFamily.ENDPOINT:
            return one.source.split("/")[0]
        one = one.base
    return ""
