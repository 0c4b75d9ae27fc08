"""What engines say, in the language of the page: they write English with a code and numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any

from django.conf import settings
from django.utils.formats import get_format
from django.utils.translation import gettext

from steelyard.inference.saying import WORDS as OF_INFERENCE
from steelyard.lib.said import WORDS as OF_ENGINES

_DECIMAL = re.compile(r"-?\d+\.\d+")


def said(kind: str, coded: Any, text: str) -> str:
    """
    Args:
        kind: of the run; its runner's ``words`` has the sentences of its own.
        coded: ``code`` and ``values``, as the engine wrote them.
        text: what it says in English, which stands where the code is not known.
    """
    if not isinstance(coded, Mapping):
        return text
    words = words_of(kind).get(str(coded.get("code")))
    values = coded.get("values")
    if words is None or not isinstance(values, Mapping):
        return text
    shown = {name: _shown(kind, value) for name, value in values.items()}
    try:
        return gettext(words) % shown
    except (KeyError, ValueError, TypeError):
        # an engine of another day may have given other numbers
        return text


@cache
def words_of(kind: str) -> dict[str, str]:
    runner = settings.RUN_KINDS.get(kind)
    own = getattr(import_module(runner), "words", {}) if runner else {}
    return {**OF_ENGINES, **OF_INFERENCE, **own}


def _shown(kind: str, value: Any) -> str:
    if isinstance(value, Mapping):
        return said(kind, value, "")
    text = str(value)
    if _DECIMAL.fullmatch(text):
        return text.replace(".", get_format("DECIMAL_SEPARATOR"))
    return text
