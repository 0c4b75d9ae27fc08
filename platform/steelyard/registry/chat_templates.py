"""Whether a chat template takes a plain question, asked in a sandbox without the tokenizer."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

MOST_LETTERS = 200_000


class Refused(Exception):
    """What the template said by its ``raise_exception``."""


def refusal(folder: Path, *, in_parts: bool = False) -> str:
    """What a model's template says to one turn of a user; empty where it takes it, or where only
    the tokenizer could tell.

    Args:
        in_parts: whether messages are lists of parts, as those of vision-language models.
    """
    settings = _json(folder / "tokenizer_config.json")
    text = "Are you there?"
    content: Any = [{"type": "text", "text": text}] if in_parts else text
    try:
        source = _template(folder, settings)
        if not source or len(source) > MOST_LETTERS:
            return ""
        made = _environment().from_string(source)
        made.render(
            messages=[{"role": "user", "content": content}],
            add_generation_prompt=True,
            tools=None,
            documents=None,
            **_tokens(settings),
        )
    except Refused as error:
        return " ".join(str(error).split())[:300] or "…"
    # a template may use what only the library knows: then the preflight tells
    except (TemplateError, TypeError, ValueError, LookupError, ArithmeticError, AttributeError):
        return ""
    return ""


def _environment() -> ImmutableSandboxedEnvironment:
    # as transformers renders them
    made = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    made.globals["raise_exception"] = _refuse
    made.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    made.filters["tojson"] = lambda value, **options: json.dumps(value, ensure_ascii=False)
    return made


def _refuse(message: Any = "") -> NoReturn:
    raise Refused(str(message))


def _template(folder: Path, settings: dict[str, Any]) -> str:
    """The one that transformers takes: a file of its own before a setting of the tokenizer."""
    own = folder / "chat_template.jinja"
    if own.is_file():
        return own.read_text()
    found = _json(folder / "chat_template.json").get("chat_template")
    found = found or settings.get("chat_template")
    if isinstance(found, list):
        named = {one.get("name"): one.get("template") for one in found if isinstance(one, dict)}
        found = named.get("default")
    return found if isinstance(found, str) else ""


def _tokens(settings: dict[str, Any]) -> dict[str, str]:
    found = {}
    for name in ("bos_token", "eos_token", "pad_token", "unk_token"):
        value = settings.get(name)
        value = value.get("content") if isinstance(value, dict) else value
        if isinstance(value, str):
            found[name] = value
    return found


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
