"""What a preflight finds in the rows before any is tokenised: splits, ties, reasons, repeats."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from steelyard.lib.records import PreferenceRecord
from training.engine.objectives.reasons import reason
from training.engine.preflight_words import Finding, Remedy

FEW = 50


def row_findings(records: Sequence[PreferenceRecord], recipe: str, config: Any) -> list[Finding]:
    """
    Args:
        config: the recipe's settings, as its config class has them.
    """
    train = [record for record in records if record.split == "train"]
    test = [record for record in records if record.split != "train"]
    every = sum(record.outcome == "tie" for record in records)
    ties = sum(record.outcome == "tie" for record in train)
    counts = {"train": len(train), "test": len(test)}
    bad = sum(record.outcome == "both_bad" for record in records)
    found = [Finding("rows", "fine", {**counts, "ties": every})]
    if bad:
        found.append(_both_bad(bad, len(records), recipe, config))
    if 0 < len(train) < FEW:
        found.append(Finding("few_rows", "look", counts, (), (Remedy("more_rows"),)))
    if not test:
        found.append(Finding("no_test_rows", "look"))
    if train and ties > len(train) / 2:
        share = round(100 * ties / len(train))
        found.append(Finding("many_ties", "look", {"share": share}))
    found += _repetitions(records)
    if recipe.startswith("rationale"):
        found += _reasons(records, config)
    if getattr(config, "ground_truth_weight", 0):
        found += _without(records, "no_ground_truth", lambda record: record.reference_answer)
    by_strength = getattr(config, "weight_by", "") == "strength"
    if by_strength or getattr(config, "strength_offset", 0):
        found += _without(records, "no_strengths", lambda record: record.strength)
    return found


def _both_bad(count: int, rows: int, recipe: str, config: Any) -> Finding:
    """KTO learns from them, others leave them out."""
    values = {"count": count, "rows": rows}
    if "kto" in (recipe, getattr(config, "loss_type", "")):
        return Finding("both_bad", "fine", values)
    return Finding("both_bad_left", "look", values)


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
        found.append(Finding("split_leak", "look", {"count": count}, tuple(twice)))
    return found


def _reasons(records: Sequence[PreferenceRecord], config: Any) -> list[Finding]:
    return _without(records, "no_rationales", lambda record: reason(record, config, first=True))


def _without(
    records: Sequence[PreferenceRecord], code: str, said: Callable[[PreferenceRecord], str | float]
) -> list[Finding]:
    """Rows to train on that lack what the settings learn from; a stop where all do."""
    without = [
        (number, record.pair)
        for number, record in enumerate(records, 1)
        if record.split == "train" and not said(record)
    ]
    train = sum(record.split == "train" for record in records)
    if not without:
        return []
    level = "stop" if len(without) == train else "look"
    values = {"count": len(without), "rows": train}
    return [Finding(code, level, values, tuple(without))]  # type: ignore[arg-type]


def plain(record: PreferenceRecord) -> str:
    """A prompt without what people do not see as another prompt: case, spaces, punctuation."""
    text = " ".join(str(message.get("content", "")) for message in record.prompt)
    media = " ".join(record.prompt_media)
    return " ".join(re.findall(r"\w+", text.casefold())) + "|" + media
