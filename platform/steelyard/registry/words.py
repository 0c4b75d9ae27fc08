"""A version's recipe and counts as sentences. What this page does not know it shows as it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

_ANNOTATORS = {
    "people": _("Votes of people count."),
    "judges": _("Votes of AI judges count."),
    "both": _("Votes of people and of AI judges count together."),
}
_AGGREGATIONS = {
    "majority": _("Each pair's verdict is the majority's."),
    "per_vote": _("Each vote is a row of its own."),
    "dawid_skene": _("Verdicts weigh annotators by how reliable they are (one-coin Dawid–Skene)."),
}
_TIES = {
    "drop": _("Ties are left out."),
    "keep": _("Ties are kept as ties."),
    "half": _("A tie is there twice with half the weight, once for each side."),
    "random": _("A tie goes to a side drawn by the seed."),
}
_BOTH_BAD = {
    "keep": _("Pairs of which both are bad are kept as that."),
}
_CAPS = {
    "models": _("At most %(cap)s pairs of two models against each other."),
    "category": _("At most %(cap)s pairs of a category."),
    "prompt": _("At most %(cap)s pairs of a prompt."),
}
_COUNTS = {
    "rows": _("rows"),
    "train": _("to train on"),
    "test": _("to test on"),
    "ties": _("ties among the verdicts"),
    "both_bad": _("pairs of which both are bad"),
    "prompts": _("prompts"),
    "votes": _("votes behind the rows"),
    "annotators": _("annotators"),
    "dropped_few_votes": _("left out: fewer votes than asked for"),
    "dropped_identical": _("left out: both outputs are the same"),
    "dropped_both_bad": _("left out: both bad"),
    "dropped_low_agreement": _("left out: too little agreement"),
    "dropped_tie": _("left out: tie"),
    "dropped_low_strength": _("left out: too weak a preference"),
    "dropped_held_out_twin": _("left out: the prompt is nearly a held-out one"),
    "dropped_cap": _("left out: more than the limit of its source"),
    "similar_prompts": _("prompts that are nearly another one"),
}


def recipe_in_words(recipe: dict[str, Any]) -> list[str]:
    """One sentence a setting; those that do nothing are not spoken of."""
    left = dict(recipe)
    sentences = []
    if names := left.pop("projects", []):
        sentences.append(
            gettext("Votes of the projects %(names)s are drawn together.")
            % {"names": ", ".join(names)}
        )
    sentences += [
        str(table[left.pop(name)])
        for name, table in (
            ("annotators", _ANNOTATORS),
            ("aggregation", _AGGREGATIONS),
            ("ties", _TIES),
            ("both_bad", _BOTH_BAD),
        )
        if left.get(name) in table
    ]
    if names := left.pop("exclude", []):
        sentences.append(gettext("Not counted: %(names)s.") % {"names": ", ".join(names)})
    sentences += _of_votes(left)
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
    sentences += _of_pairs(left)
    if "test_fraction" in left:
        sentences.append(
            gettext("%(share)s of prompts are kept for testing.")
            % {"share": f"{left.pop('test_fraction'):.0%}"}
        )
    return sentences + [f"{name.replace('_', ' ')}: {value}" for name, value in left.items()]


def projects_in_words(projects: Sequence[dict[str, Any]]) -> list[str]:
    """What each of several projects has given, and in what their votes could not say the same.

    Args:
        projects: as the manifest tells of them.
    """
    return [
        ngettext(
            "%(name)s (%(slug)s) gave %(rows)s row, of %(votes)s votes.",
            "%(name)s (%(slug)s) gave %(rows)s rows, of %(votes)s votes.",
            one["train"] + one["test"],
        )
        % {
            "name": one["name"],
            "slug": one["project"],
            "rows": one["train"] + one["test"],
            "votes": one["votes"],
        }
        for one in projects
    ] + scales_in_words(projects)


def scales_in_words(projects: Sequence[dict[str, Any]]) -> list[str]:
    """In what the label schemes of several projects differ; nothing where they are alike.

    Args:
        projects: of each its name, ``steps``, ``tie`` and ``both_bad``.
    """
    told = []
    if len({one["steps"] for one in projects}) > 1:
        steps = ", ".join(f"{one['name']} {one['steps']}" for one in projects)
        told.append(
            gettext(
                "The scales have different numbers of steps (%(steps)s), so strengths of different "
                "projects cannot be compared."
            )
            % {"steps": steps}
        )
    for name, words in (
        ("tie", _("In %(names)s nobody could vote for a tie; elsewhere people could.")),
        ("both_bad", _("In %(names)s nobody could vote “both bad”; elsewhere people could.")),
    ):
        without = [one["name"] for one in projects if not one[name]]
        if 0 < len(without) < len(projects):
            told.append(str(words) % {"names": ", ".join(without)})
    return told


def warning_of(
    recipe: dict[str, Any],
    counts: dict[str, int],
    categories: Sequence[tuple[str, int, int]] = (),
) -> str:
    """What is odd about a version, though it can be trained on; empty where nothing is.

    Args:
        categories: each with its rows to train on and to test on, where they are known.
    """
    share = recipe.get("test_fraction") or 0
    if not share or not counts.get("rows"):
        return ""
    if counts.get("test"):
        return _untested(categories)
    return gettext(
        "The test part is empty, though a share of %(share)s was asked for: too few prompts fall "
        "into it. Change the seed, raise the share, or label more prompts."
    ) % {"share": f"{share:g}"}


def _untested(categories: Sequence[tuple[str, int, int]]) -> str:
    missing = [
        name or gettext("no category") for name, train, test in categories if train > test == 0
    ]
    if not missing:
        return ""
    names = ", ".join(missing[:5]) + ("…" if len(missing) > 5 else "")
    return ngettext(
        "The test part has no row of %(names)s, which the part to train on has: too few prompts "
        "fall into it. Change the seed, raise the share, or label more prompts.",
        "The test part has no row of %(count)s categories that the part to train on has "
        "(%(names)s): too few prompts fall into it. Change the seed, raise the share, or label "
        "more prompts.",
        len(missing),
    ) % {"names": names, "count": len(missing)}


def _of_votes(left: dict[str, Any]) -> list[str]:
    """Takes what it has told out of the recipe."""
    told = []
    if names := left.pop("only", []):
        told.append(gettext("Only votes of %(names)s.") % {"names": ", ".join(names)})
    if day := left.pop("since", ""):
        told.append(gettext("Only votes since %(day)s.") % {"day": day})
    if day := left.pop("until", ""):
        told.append(gettext("Only votes until %(day)s.") % {"day": day})
    if seconds := left.pop("min_seconds", 0):
        told.append(
            gettext("Votes given in less than %(seconds)s s do not count.")
            % {"seconds": f"{seconds:g}"}
        )
    known = left.pop("min_known", 0)
    if share := left.pop("min_right", 0):
        told.append(
            gettext(
                "Annotators with %(known)s known answers or more do not count where fewer than "
                "%(share)s of theirs are right."
            )
            % {"known": known, "share": f"{share:.0%}"}
        )
    if keys := left.pop("withdrawals", []):
        told.append(
            gettext("Withdrawn votes do not count (%(names)s).") % {"names": ", ".join(keys)}
        )
    return told


def _of_pairs(left: dict[str, Any]) -> list[str]:
    told = []
    if names := left.pop("models", []):
        told.append(gettext("Only pairs of outputs by %(names)s.") % {"names": ", ".join(names)})
    if names := left.pop("origins", []):
        told.append(gettext("Only pairs of the origin %(names)s.") % {"names": ", ".join(names)})
    if names := left.pop("without_models", []):
        told.append(gettext("No output by %(names)s.") % {"names": ", ".join(names)})
    if strength := left.pop("min_strength", 0):
        told.append(
            gettext("Winners weaker than %(strength)s are left out.")
            % {"strength": f"{strength:g}"}
        )
    source = left.pop("cap_by", "")
    if cap := left.pop("cap", 0):
        told.append(str(_CAPS[source]) % {"cap": cap})
    if left.pop("group_similar", False):
        told.append(gettext("Prompts that are nearly the same share a part."))
    return told


def counts_in_words(counts: dict[str, int]) -> list[tuple[int, str]]:
    """(count, of what); what was left out only where something was."""
    names = [name for name in _COUNTS if name in counts]
    names += [name for name in counts if name not in _COUNTS]
    return [
        (counts[name], str(_COUNTS.get(name, name.replace("_", " "))))
        for name in names
        if counts[name] or not name.startswith("dropped_")
    ]
