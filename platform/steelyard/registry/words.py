"""A version's recipe and counts as sentences. What this page does not know it shows as it is."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

_ANNOTATORS = {
    "people": _("Votes of people count."),
    "judges": _("Votes of AI judges count."),
    "both": _("Votes of people and of AI judges count together."),
}
_AGGREGATIONS = {
    "majority": _("Each pair's verdict is the majority's."),
    "dawid_skene": _("Verdicts weigh annotators by how reliable they are (one-coin Dawid–Skene)."),
}
_TIES = {
    "drop": _("Ties are left out."),
    "keep": _("Ties are kept as ties."),
    "random": _("A tie goes to a side drawn by the seed."),
}
_COUNTS = {
    "rows": _("rows"),
    "train": _("to train on"),
    "test": _("to test on"),
    "ties": _("ties among the verdicts"),
    "prompts": _("prompts"),
    "votes": _("votes behind the rows"),
    "annotators": _("annotators"),
    "dropped_few_votes": _("left out: fewer votes than asked for"),
    "dropped_identical": _("left out: both outputs are the same"),
    "dropped_both_bad": _("left out: both bad"),
    "dropped_low_agreement": _("left out: too little agreement"),
    "dropped_tie": _("left out: tie"),
}


def recipe_in_words(recipe: dict[str, Any]) -> list[str]:
    """One sentence a setting; those that do nothing are not spoken of."""
    left = dict(recipe)
    sentences = [
        str(table[left.pop(name)])
        for name, table in (
            ("annotators", _ANNOTATORS),
            ("aggregation", _AGGREGATIONS),
            ("ties", _TIES),
        )
        if left.get(name) in table
    ]
    if names := left.pop("exclude", []):
        sentences.append(gettext("Not counted: %(names)s.") % {"names": ", ".join(names)})
    if names := left.pop("categories", []):
        sentences.append(gettext("Only prompts of %(names)s.") % {"names": ", ".join(names)})
    if (votes := left.pop("min_votes", 1)) > 1:
        sentences.append(
            gettext("Pairs with fewer than %(count)s votes are left out.") % {"count": votes}
        )
    if share := left.pop("min_agreement", 0):
        sentences.append(
            gettext("Pairs in which fewer than %(share)s agree are left out.")
            % {"share": f"{share:.0%}"}
        )
    if "test_fraction" in left:
        sentences.append(
            gettext("%(share)s of prompts are kept for testing.")
            % {"share": f"{left.pop('test_fraction'):.0%}"}
        )
    return sentences + [f"{name.replace('_', ' ')}: {value}" for name, value in left.items()]


def counts_in_words(counts: dict[str, int]) -> list[tuple[int, str]]:
    """(count, of what); what was left out only where something was."""
    names = [name for name in _COUNTS if name in counts]
    names += [name for name in counts if name not in _COUNTS]
    return [
        (counts[name], str(_COUNTS.get(name, name.replace("_", " "))))
        for name in names
        if counts[name] or not name.startswith("dropped_")
    ]
