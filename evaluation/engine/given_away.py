"""Whether an answer gives away who wrote it: a vote on such a battle is not blind.

Two signs: a contestant's name stands in an answer, unless the question has it too; or the answer
says of itself which model it is or who made it. A word list is never complete, and a name that is
an everyday word is looked for in what an answer says of itself alone. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

MODELS = (
    "ChatGPT|GPT(?:[- ]?[0-9o][\\w.-]*)?|Claude|Gemini|Gemma|Bard|PaLM|Llama|LLaMA|Mistral|Mixtral|"
    "Qwen|QwQ|通义千问|DeepSeek|Grok|Phi[- ]?[0-9]\\w*|Command[- ]?[RA]|SmolLM|GLM|ChatGLM|Kimi|"
    "Granite|OLMo|Tulu|Falcon|Vicuna|Alpaca|Koala|Dolly|Pythia|StableLM|Zephyr|OpenChat|Baichuan|"
    "InternLM|Hunyuan|ERNIE|文心一言|Doubao|MiniMax|Nemotron|Jamba|Nova|Copilot|LaMDA|BLOOM"
)
MAKERS = (
    "OpenAI|Anthropic|Google|DeepMind|Meta(?: AI)?|Mistral(?: AI)?|Alibaba(?: Cloud)?|阿里|"
    "DeepSeek|深度求索|xAI|Microsoft|Cohere|Hugging ?Face|Moonshot(?: AI)?|月之暗面|Zhipu|智谱|"
    "Amazon|AWS|IBM|Ai2|AI2|Allen Institute|NVIDIA|AI21|Stability AI|Databricks|LMSYS|Baidu|百度|"
    "Tencent|腾讯|ByteDance|字节跳动|01\\.AI|Nous Research|TII|EleutherAI|BigScience"
)
_OF_ITSELF = (
    r"(?:\b[Ii]\s+am\b|\b[Ii]['’]m\b|\b[Mm]y name is\b|\b[Cc]all me\b|\b[Tt]his is\b|\bAs\b"
    r"|\b[Ii]ch bin\b|\b[Mm]ein Name ist\b|\b[Jj]e suis\b|\b[Jj]e m['’]appelle\b|\b[Ss]oy\b"
    r"|\b[Mm]e llamo\b|\b[Ss]ono\b|\b[Ee]u sou\b|\b[Jj]estem\b|我是|我叫|私は|저는)"
)
_MADE_BY = (
    r"(?:\b(?:trained|made|created|developed|built|designed|trainiert|entwickelt|erstellt"
    r"|entraîné|développé|créé|desarrollado|entrenado|creado)\s+"
    r"(?:by|at|von|durch|bei|par|por)\b"
    r"|\b(?:model|assistant|Modell|modèle|modelo) (?:by|from|of|von|de)\b|由)"
)
_ME = r"(?:\b(?:I|me|my|myself|As|Ich|ich|mich|Je|je|yo)\b|我)"
_SENTENCE = re.compile(
    r"[^.!?。！？\n]+(?:\.(?=\w)[^.!?。！？\n]+)*"
)  # a dot within GPT-3.5 ends none
_START, _END = "(?<![A-Za-z0-9_])", "(?![A-Za-z0-9_])"  # none is written between Chinese words
_DISTINCT = re.compile(r"\d|[-_/.]|[a-z][A-Z]")


def given_away(answer: str, *, question: str, names: Sequence[str]) -> list[str]:
    """What gives the writer away, in the answer's own words; empty where nothing does.

    Args:
        question: all that the person has said; a name in it proves nothing.
        names: of all contestants.
    """
    found = []
    for name in names:
        plain = _pattern(name)
        if _is_distinct(name) and (hit := plain.search(answer)) and not plain.search(question):
            found.append(hit[0])
    own = [_says_it_is(f"(?i:{_pattern(name).pattern})", answer) for name in names]
    known = [_says_it_is(f"{_START}(?:{MODELS}){_END}", answer), _says_who_made_it(answer)]
    found += [hit for hit in (*own, *known) if hit]
    return list(dict.fromkeys(found))


def _says_it_is(who: str, answer: str) -> str:
    pattern = _compiled(rf"{_OF_ITSELF}[^.!?。！？\n]{{0,30}}?{who}")
    return hit[0].strip() if (hit := pattern.search(answer)) else ""


def _says_who_made_it(answer: str) -> str:
    pattern = _compiled(rf"{_MADE_BY}[^.!?。！？\n]{{0,40}}?{_START}(?:{MAKERS}){_END}")
    for sentence in _SENTENCE.finditer(answer):
        if _compiled(_ME).search(sentence[0]) and (hit := pattern.search(sentence[0])):
            return hit[0].strip()
    return ""


def _is_distinct(name: str) -> bool:
    """Whether nobody writes it by chance: it has a digit, a join or a capital within."""
    return len(name) >= 4 and bool(_DISTINCT.search(name))


@cache
def _pattern(name: str) -> re.Pattern[str]:
    """The name however its parts are joined: SmolLM2-135M is SmolLM2 135M too."""
    parts = [re.escape(part) for part in re.split(r"[\s_/-]+", name) if part]
    return re.compile(f"{_START}{'[-_/ ]?'.join(parts)}{_END}", re.IGNORECASE)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
