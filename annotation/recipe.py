"""The recipe of a dataset version: which votes count, how they become one verdict, and the split.

Pure: no database. The docstring under each field is its help text on the page.
"""

from __future__ import annotations

import ast
import inspect
from dataclasses import asdict, dataclass, fields
from datetime import date
from itertools import pairwise
from typing import Any

from steelyard.lib.errors import UserError

ANNOTATORS = {
    "people": "People only",
    "judges": "AI judges only",
    "both": "People and AI judges together",
}
AGGREGATIONS = {
    "majority": "Majority",
    "dawid_skene": "Dawid–Skene (one coin)",
    "per_vote": "None: a row for each vote",
}
TIES = {
    "drop": "Leave ties out",
    "keep": "Keep them as ties",
    "random": "Give each to a side drawn by the seed",
    "half": "Twice with half the weight, once for each side",
}
BOTH_BAD = {
    "drop": "Leave them out",
    "keep": "Keep them as two bad outputs",
}
PRELABELLED = {
    "keep": "Count them like any other",
    "drop": "Leave them out",
}
MACHINE_RATIONALES = {
    "": "None: people's own reasons alone",
    "general": "General ones",
    "specific": "Specific ones",
}
CAPS = {
    "models": "of two models against each other",
    "category": "of a category",
    "prompt": "of a prompt",
}
_CHOICES = {
    "annotators": ANNOTATORS,
    "aggregation": AGGREGATIONS,
    "ties": TIES,
    "both_bad": BOTH_BAD,
    "prelabelled": PRELABELLED,
    "machine_rationales": MACHINE_RATIONALES,
    "cap_by": CAPS,
}
ORIGINS = {
    "import": "brought in",
    "evaluation": "made by evaluations and rounds",
    "correction": "with a better answer that somebody wrote",
    "ranking": "of ranked sets",
    "arena": "of arenas",
}
_LISTS = (
    *("exclude", "categories", "only", "models", "without_models"),
    *("withdrawals", "origins", "projects"),
)
_WHOLE = (
    ("min_votes", 1, 1000),
    ("seed", 0, 2**31 - 1),
    ("min_known", 1, 10_000),
    ("cap", 0, 2**31 - 1),
)
_NUMBERS = (
    ("min_agreement", 1.0),
    ("test_fraction", 0.9),
    ("min_strength", 3.0),
    ("min_right", 1.0),
    ("min_seconds", 3600.0),
)
_FIRST = {
    "annotators",
    "exclude",
    "categories",
    "min_votes",
    "aggregation",
    "min_agreement",
    "ties",
    "test_fraction",
    "seed",
}
"""What recipes have had from the start: written out always. A later field is written only where it
says something, so that what an earlier release froze has its digest still."""


@dataclass(frozen=True)
class Recipe:
    """How votes become the rows of a version.

    Held-out prompts are never in a version, skips never count, and pairs whose outputs are
    identical are left out.
    """

    annotators: str = "people"
    """Whose votes count. People and AI judges are only mixed if you say so."""
    projects: tuple[str, ...] = ()
    """Further projects that you own, whose votes are drawn as well. The API has them by their names
    in URLs."""
    only: tuple[str, ...] = ()
    """Names of annotators whose votes alone count; none chosen means all."""
    exclude: tuple[str, ...] = ()
    """Names of annotators whose votes do not count."""
    since: str = ""
    """The first day (UTC) whose votes count, as 2031-05-17."""
    until: str = ""
    """The last day (UTC) whose votes count."""
    categories: tuple[str, ...] = ()
    """Only prompts of these categories; none chosen means all."""
    models: tuple[str, ...] = ()
    """Only pairs whose outputs are both by these models; none chosen means all."""
    without_models: tuple[str, ...] = ()
    """No pair with an output of one of these models."""
    origins: tuple[str, ...] = ()
    """Only pairs that came about in these ways; none chosen means all."""
    min_right: float = 0.0
    """Annotators who are right on a smaller share of the known answers, 0 to 1, do not count."""
    min_known: int = 10
    """That rule looks only at annotators who have judged so many pairs with a known answer."""
    min_seconds: float = 0.0
    """Votes given in fewer seconds do not count; those whose time nobody measured do."""
    prelabelled: str = "keep"
    """What becomes of votes of people who saw a machine's verdict before they gave theirs."""
    count_withdrawn: bool = False
    """Count votes as well that have been withdrawn."""
    withdrawals: tuple[str, ...] = ()
    """The withdrawals whose votes do not count; all of the project unless it says which."""
    min_votes: int = 1
    """A pair with fewer votes is left out."""
    aggregation: str = "majority"
    """Majority counts every vote alike; Dawid–Skene weighs annotators by how reliable they are."""
    min_agreement: float = 0.0
    """A pair is left out where a smaller share of its votes, 0 to 1, is for its verdict."""
    min_strength: float = 0.0
    """A pair with a winner is left out where its strength, 0 to 3, is less."""
    ties: str = "drop"
    """What becomes of pairs whose verdict is a tie."""
    both_bad: str = "drop"
    """What becomes of pairs whose verdict is “both bad”. Kept ones have no winner: KTO learns from
    them that neither is good, other recipes leave them out."""
    cap: int = 0
    """At most so many pairs of one source, drawn by the seed; 0 means no limit."""
    cap_by: str = "models"
    """What a source is."""
    machine_rationales: str = ""
    """Reasons that models have written for people's verdicts, in a column of their own: where
    chosen is what a counted vote of a person says."""
    test_fraction: float = 0.1
    """Share of prompts, 0 to 0.9, whose rows are kept for testing; no prompt is in both parts."""
    group_similar: bool = False
    """Prompts that say nearly the same share a part, and pairs whose prompt is nearly a held-out
    one are left out."""
    seed: int = 0
    """Draws the split, the sides of ties and the pairs that stay under a limit."""

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise _wrong(name, f"it must be one of {', '.join(choices)}")
        for name in _LISTS:
            names = getattr(self, name)
            if not all(isinstance(item, str) for item in names):
                raise _wrong(name, "it must be a list of names")
            object.__setattr__(self, name, tuple(sorted(set(names))))
        for name, low, high in _WHOLE:
            value = getattr(self, name)
            if type(value) is not int or not low <= value <= high:
                raise _wrong(name, f"it must be a whole number, {low} to {high}")
        for name, top in _NUMBERS:
            value = getattr(self, name)
            if type(value) not in {int, float} or not 0.0 <= value <= top:
                raise _wrong(name, f"it must be a number, 0 to {top:g}")
            object.__setattr__(self, name, float(value))
        for name in ("count_withdrawn", "group_similar"):
            if type(getattr(self, name)) is not bool:
                raise _wrong(name, "it must be true or false")
        self._check_origins()
        self._check_days()
        self._check_names()

    def _check_origins(self) -> None:
        if unknown := [name for name in self.origins if name not in ORIGINS]:
            raise _wrong("origins", f"“{unknown[0]}” is none of {', '.join(ORIGINS)}")

    def _check_days(self) -> None:
        for name in ("since", "until"):
            day = getattr(self, name)
            if day and (not isinstance(day, str) or _day(day) is None):
                raise _wrong(name, "it must be a day such as 2031-05-17")
        if self.since and self.until and self.since > self.until:
            raise _wrong(
                "until",
                f"it must not lie before since, and {self.until} is before {self.since}, so no "
                "vote could count",
            )

    def _check_names(self) -> None:
        for some, none in (("only", "exclude"), ("models", "without_models")):
            both = sorted(set(getattr(self, some)) & set(getattr(self, none)))
            if both:
                raise _wrong(none, f"“{both[0]}” cannot be in {some} as well")
        if self.count_withdrawn and self.withdrawals:
            raise _wrong("withdrawals", "there are none where withdrawn votes are counted")

    def withdrawals_of(self, project: str) -> list[str]:
        """The keys of those of one project: where several are drawn, each is named with its
        project, for one key may stand for an annotator of the same name in another."""
        if not self.projects:
            return list(self.withdrawals)
        named = [one.partition("/") for one in self.withdrawals]
        return [key for slug, _, key in named if slug == project]

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Recipe:
        """A recipe from plain JSON; what is absent has its default.

        Raises:
            UserError: a key is unknown or a value out of bounds.
        """
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise UserError(
                f"A recipe has no “{unknown[0]}”; it has {', '.join(sorted(known))}.",
                code="bad_recipe",
                field="recipe",
            )
        for name in _LISTS:
            if not isinstance(values.get(name, []), list | tuple):
                raise _wrong(name, "it must be a list of names")
        return cls(**values)

    def values(self) -> dict[str, Any]:
        """Every field as plain JSON."""
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in asdict(self).items()
        }

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON, lists sorted: equal recipes give equal bytes.

        A field that came after the first release is there only where it does something.
        """
        values = self.values()
        plain = {field.name: field.default for field in fields(self)}
        said = {name for name in values if getattr(self, name) != plain[name]} - {"count_withdrawn"}
        # half of a rule, which says something only beside its other half
        for name, other in (("cap_by", "cap"), ("min_known", "min_right")):
            (said.add if getattr(self, other) else said.discard)(name)
        return {name: value for name, value in values.items() if name in _FIRST | said}


def _day(text: str) -> date | None:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        return None
    return found if found.isoformat() == text else None


def _wrong(name: str, advice: str) -> UserError:
    return UserError(f"{name}: {advice}.", code="bad_recipe", field=name)


def help_texts() -> dict[str, str]:
    """Each field's docstring, read from the source above."""
    body = ast.parse(inspect.getsource(Recipe)).body[0].body  # type: ignore[attr-defined]
    texts = {}
    for line, after in pairwise(body):
        if isinstance(line, ast.AnnAssign) and isinstance(after, ast.Expr):
            assert isinstance(line.target, ast.Name)
            assert isinstance(after.value, ast.Constant)
            texts[line.target.id] = " ".join(str(after.value.value).split())
    return texts
