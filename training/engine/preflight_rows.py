"""What a preflight finds in the rows before any is tokenised: splits, ties, reasons, repeats."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from steelyard.lib.records import PreferenceRecord
from training.engine.preflight_words import Finding

NAMED = 10
FEW = 50


def row_findings(
    records: Sequence[PreferenceRecord], recipe: str, settings: dict[str, Any]
) -> list[Finding]:
    train = [record for record in records if record.split == "train"]
    test = [record for record in records if record.split != "train"]
    ties = sum(record.outcome == "tie" for record in train)
    counts = {"train": len(train), "test": len(test)}
    found = [Finding("rows", "fine", {**counts, "ties": ties})]
    if 0 < len(train) < FEW:
        found.append(Finding("few_rows", "look", counts))
    if not test:
        found.append(Finding("no_test_rows", "look"))
    if train and ties > len(train) / 2:
        share = round(100 * ties / len(train))
        found.append(Finding("many_ties", "look", {"share": share}))
    found += _repetitions(records)
    if recipe.startswith("rationale"):
        found += _reasons(records)
    return found


def _repetitions(records: Sequence[PreferenceRecord]) -> list[Finding]:
    found = []
    prompts = Counter(record.prompt_key for record in records if record.split == "train")
    if prompts and max(prompts.values()) > 1:
        values = {
            "rows": prompts.total(),
            "prompts": len(prompts),
            "most": max(prompts.values()),
        }
        found.append(Finding("repeated", "fine", values))
    trained = {plain(record) for record in records if record.split == "train"}
    twice = [
        (number, record.pair)
        for number, record in enumerate(records, 1)
        if record.split != "train" and plain(record) in trained
    ]
    if twice:
        count = len({plain(records[number - 1]) for number, _ in twice})
        found.append(Finding("split_leak", "look", {"count": count}, tuple(twice[:NAMED])))
    return found


def _reasons(records: Sequence[PreferenceRecord]) -> list[Finding]:
    without = [
        (number, record.pair)
        for number, record in enumerate(records, 1)
        if not any(str(reason.get("text", "")).strip() for reason in record.rationales)
    ]
    if not without:
        return []
    level = "stop" if len(without) == len(records) else "look"
    values = {"count": len(without), "rows": len(records)}
    return [Finding("no_rationales", level, values, tuple(without[:NAMED]))]  # type: ignore[arg-type]


def plain(record: PreferenceRecord) -> str:
    """A prompt without what people do not see as another prompt: case, spaces, punctuation."""
    text = " ".join(str(message.get("content", "")) for message in record.prompt)
    media = " ".join(record.prompt_media)
    return " ".join(re.findall(r"\w+", text.casefold())) + "|" + media
