"""What engines say, in the language of the page: they write English with a code and numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any

from django.conf import settings
from django.utils.formats import get_format
from django.utils.translation import gettext, ngettext

from steelyard.inference.saying import WORDS as OF_INFERENCE
from steelyard.lib.said import WORDS as OF_ENGINES
from steelyard.lib.said import Counted, Said, Words, count_of

_NUMBER = re.compile(r"-?\d+(?:,\d{3})*(?:\.\d+)?")
OF_RUNS: dict[str, Words] = {
    "waits": Counted("Waits for %(count)s GPU", "Waits for %(count)s GPUs", "count"),
    "unit_answers": Counted("answer", "answers", "n"),
    "unit_files": Counted("file", "files", "n"),
    "unit_looks": Counted("look", "looks", "n"),
    "unit_models": Counted("model", "models", "n"),
    "unit_outputs": Counted("output", "outputs", "n"),
    "unit_pairs": Counted("pair", "pairs", "n"),
    "unit_pipelines": Counted("pipeline", "pipelines", "n"),
    "unit_prompts": Counted("prompt", "prompts", "n"),
    "unit_rows": Counted("row", "rows", "n"),
    "unit_steps": Counted("step", "steps", "n"),
    "silent": "no sign of life for %(seconds)s s: killed",
    "paused_early": "paused before the first step",
    "paused": "paused at %(done)s of %(total)s %(unit)s",
    "folder_lost": "The run's folder %(path)s is gone from the server's disk, with all that it had "
    "made. Start the run again; if the disk was only unmounted, mount it first.",
    "crashed": "The process ended %(times)s times in a row without a result and without getting "
    "further. The last it printed:\n%(tail)s",
    "printed_nothing": "It printed nothing.",
    "from_checkpoint": "the process ended without a result; start %(start)s goes on from the last "
    "checkpoint",
    "from_written": "the process ended without a result; start %(start)s goes on after what is "
    "written",
    "from_start": "the process ended without a result; start %(start)s begins again: there is no "
    "checkpoint yet",
    "failed": "It failed.",
    "disk_full": "The server's disk is full. Make room and start the run again.",
    "server_files": "The server could not use a file of this run: %(why)s (%(file)s).",
    "no_name": "no name",
    "internal_error": "Something in Steelyard broke, not in your input. The server's log has the "
    "details under “run %(number)s”.",
    "too_few_gpus": "This run asks for %(wanted)s GPUs and this server has %(there)s. Set "
    "processes to %(there)s or fewer, or device to cpu.",
    "no_ray_cluster": "This server knows no Ray cluster. Choose the launcher local, or set "
    "STEELYARD_RAY_ADDRESS to the address of a cluster's dashboard (http://head:8265).",
    "ray_full": "The Ray cluster had no room for this run in %(minutes)s minutes. Ask for fewer "
    "processes, or start it again when the cluster has more free.",
    "ray_refuses": "The Ray cluster does not take the run: %(error)s. Start it again when it does.",
    "no_ray": "Ray is not installed on this server. Install it with pip install 'ray[default]' in "
    "the version of the cluster, or choose the launcher local.",
}
"""What is said of runs of every kind from outside, by code."""


def said(kind: str, coded: Any, text: str) -> str:
    """
    Args:
        kind: of the run; its runner's ``words`` has the sentences of its own.
        coded: ``code`` and ``values``, as the engine wrote them.
        text: what it says in English, which stands where the code is not known.
    """
    return _said(words_of(kind), coded, text)


def told(words: Mapping[str, Words], code: str, **values: Any) -> str:
    """A sentence in the language of now, with its code: what a request refuses is read at once,
    and what is refused in the background is stored in English."""
    sentence = Said(words, code, **values)
    return Said.read(_said(words, sentence.as_dict(), sentence), sentence.as_dict())


def counted(number: int, unit: str) -> str:
    """
    Args:
        unit: what engines count, as they write it.
    """
    code = f"unit_{unit}"
    return Said(OF_RUNS, code, n=number) if code in OF_RUNS else unit


@cache
def words_of(kind: str) -> dict[str, Words]:
    """Those of its runner's ``words``, and those that others' ``elsewhere`` has for its kind."""
    words = {**OF_ENGINES, **OF_INFERENCE, **OF_RUNS}
    for name in dict.fromkeys(settings.RUN_KINDS.values()):
        words |= getattr(import_module(name), "elsewhere", {}).get(kind, {})
    runner = settings.RUN_KINDS.get(kind)
    return words | (getattr(import_module(runner), "words", {}) if runner else {})


def _said(words: Mapping[str, Words], coded: Any, text: str) -> str:
    if not isinstance(coded, Mapping):
        return text
    try:
        return _in_words(words, coded)
    except (KeyError, ValueError, TypeError, AttributeError):
        # an engine of another day may have given another code or other numbers
        return text


def _in_words(words: Mapping[str, Words], coded: Mapping[str, Any]) -> str:
    sentence, values = words[str(coded["code"])], coded["values"]
    if isinstance(sentence, str):
        text = gettext(sentence)
    else:
        text = ngettext(sentence.one, sentence.many, count_of(values[sentence.by]))
    return text % {name: _shown(words, value) for name, value in values.items()}


def _shown(words: Mapping[str, Words], value: Any) -> str:
    if isinstance(value, Mapping):
        return _in_words(words, value)
    text = str(value)
    point = get_format("DECIMAL_SEPARATOR")
    if point != "." and _NUMBER.fullmatch(text):
        # a comma between thousands would be read as a point
        return text.replace(",", "\u202f").replace(".", point)
    return text
