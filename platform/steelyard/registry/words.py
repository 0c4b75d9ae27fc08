"""A version's recipe and counts as sentences. What this page does not know it shows as it is."""

from __future__ import annotations

from typing import Any

_ANNOTATORS = {
    "people": "Votes of people count.",
    "judges": "Votes of AI judges count.",
    "both": "Votes of people and of AI judges count together.",
}
_AGGREGATIONS = {
    "majority": "Each pair's verdict is the majority's.",
    "dawid_skene": "Verdicts weigh annotators by how reliable they are (one-coin Dawid–Skene).",
}
_TIES = {
    "drop": "Ties are left out.",
    "keep": "Ties are kept as ties.",
    "random": "A tie goes to a side drawn by the seed.",
}
_COUNTS = {
    "rows": "rows",
    "train": "to train on",
    "test": "to test on",
    "ties": "ties among the verdicts",
    "prompts": "prompts",
    "votes": "votes behind the rows",
    "annotators": "annotators",
    "dropped_few_votes": "left out: fewer votes than asked for",
    "dropped_identical": "left out: both outputs are the same",
    "dropped_both_bad": "left out: both bad",
    "dropped_low_agreement": "left out: too little agreement",
    "dropped_tie": "left out: tie",
}


def recipe_in_words(recipe: dict[str, Any]) -> list[str]:
    """One sentence a setting; those that do nothing are not spoken of."""
    left = dict(recipe)
    sentences = [
        table[left.pop(name)]
        for name, table in (
            ("annotators", _ANNOTATORS),
            ("aggregation", _AGGREGATIONS),
            ("ties", _TIES),
        )
        if left.get(name) in table
    ]
    if names := left.pop("exclude", []):
        sentences.append(f"Not counted: {', '.join(names)}.")
    if names := left.pop("categories", []):
        sentences.append(f"Only prompts of {', '.join(names)}.")
    if (votes := left.pop("min_votes", 1)) > 1:
        sentences.append(f"Pairs with fewer than {votes} votes are left out.")
    if share := left.pop("min_agreement", 0):
        sentences.append(f"Pairs in which fewer than {share:.0%} agree are left out.")
    if "test_fraction" in left:
        sentences.append(f"{left.pop('test_fraction'):.0%} of prompts are kept for testing.")
    return sentences + [f"{name.replace('_', ' ')}: {value}" for name, value in left.items()]


def counts_in_words(counts: dict[str, int]) -> list[tuple[int, str]]:
    """(count, of what); what was left out only where something was."""
    names = [name for name in _COUNTS if name in counts]
    names += [name for name in counts if name not in _COUNTS]
    return [
        (counts[name], _COUNTS.get(name, name.replace("_", " ")))
        for name in names
        if counts[name] or not name.startswith("dropped_")
    ]
