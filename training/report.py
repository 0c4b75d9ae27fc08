"""A preflight's report in the language of the page; the engine writes it in English."""

from __future__ import annotations

import json
from typing import Any

from django.utils.translation import gettext

from steelyard.runs.said import said
from training.engine.preflight_words import REMEDIES, WORDS


def in_words(report: dict[str, Any]) -> dict[str, Any]:
    """The same report, with titles and texts translated and what a remedy's button sends."""
    findings = [_finding(one) for one in report["findings"]]
    return {
        **report,
        "findings": findings,
        "stops": [one for one in findings if one["level"] == "stop"],
        "looks": [one for one in findings if one["level"] == "look"],
        "fine": [one for one in findings if one["level"] == "fine"],
    }


def title_of(one: dict[str, Any]) -> str:
    """A finding's title, translated."""
    return gettext(WORDS[one["code"]][0] if one.get("code") in WORDS else one["title"])


def _finding(one: dict[str, Any]) -> dict[str, Any]:
    text = WORDS.get(one["code"], ("", ""))[1]
    coded = one.get("said", {})
    values = {
        name: said("preflight", coded.get(name), value) for name, value in one["values"].items()
    }
    words = gettext(text) % values if text else one["text"]
    remedies = [_remedy(remedy) for remedy in one["remedies"]]
    return {**one, "title": title_of(one), "text": words, "remedies": remedies}


def _remedy(one: dict[str, Any]) -> dict[str, Any]:
    words = REMEDIES.get(one["code"])
    text = gettext(words) % one["values"] if words else one["text"]
    return {**one, "text": text, "send": json.dumps(one["set"]) if one["set"] else ""}
