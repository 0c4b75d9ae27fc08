"""The recipe of a dataset version: which votes count, how they become one verdict, and the split.

Pure: no database. The docstring under each field is its help text on the page.
"""

from __future__ import annotations

import ast
import inspect
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from typing import Any

from steelyard.lib.errors import UserError

ANNOTATORS = {
    "people": "People only",
    "judges": "AI judges only",
    "both": "People and AI judges together",
}
AGGREGATIONS = {"majority": "Majority", "dawid_skene": "Dawid–Skene (one coin)"}
TIES = {
    "drop": "Leave ties out",
    "keep": "Keep them as ties",
    "random": "Give each to a side drawn by the seed",
}


@dataclass(frozen=True)
class Recipe:
    """How votes become the rows of a version.

    Held-out prompts are never in a version, skips never count, and pairs whose verdict is “both
    bad” or whose outputs are identical are left out.
    """

    annotators: str = "people"
    """Whose votes count. People and AI judges are only mixed if you say so."""
    exclude: tuple[str, ...] = ()
    """Names of annotators whose votes do not count."""
    categories: tuple[str, ...] = ()
    """Only prompts of these categories; none chosen means all."""
    min_votes: int = 1
    """A pair with fewer votes is left out."""
    aggregation: str = "majority"
    """Majority counts every vote alike; Dawid–Skene weighs annotators by how reliable they are."""
    min_agreement: float = 0.0
    """A pair is left out where a smaller share of its votes, 0 to 1, is for its verdict."""
    ties: str = "drop"
    """What becomes of pairs whose verdict is a tie."""
    test_fraction: float = 0.1
    """Share of prompts, 0 to 0.9, whose rows are kept for testing; no prompt is in both parts."""
    seed: int = 0
    """Draws the split and the sides of ties."""

    def __post_init__(self) -> None:
        for name, choices in (
            ("annotators", ANNOTATORS),
            ("aggregation", AGGREGATIONS),
            ("ties", TIES),
        ):
            if getattr(self, name) not in choices:
                raise _wrong(name, f"it must be one of {', '.join(choices)}")
        for name in ("exclude", "categories"):
            names = getattr(self, name)
            if not all(isinstance(item, str) for item in names):
                raise _wrong(name, "it must be a list of names")
            object.__setattr__(self, name, tuple(sorted(set(names))))
        for name, low, high in (("min_votes", 1, 1000), ("seed", 0, 2**31 - 1)):
            value = getattr(self, name)
            if type(value) is not int or not low <= value <= high:
                raise _wrong(name, f"it must be a whole number, {low} to {high}")
        for name, top in (("min_agreement", 1.0), ("test_fraction", 0.9)):
            value = getattr(self, name)
            if type(value) not in {int, float} or not 0.0 <= value <= top:
                raise _wrong(name, f"it must be a number, 0 to {top:g}")
            object.__setattr__(self, name, float(value))

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
        for name in ("exclude", "categories"):
            if not isinstance(values.get(name, []), list | tuple):
                raise _wrong(name, "it must be a list of names")
        return cls(**values)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON with every field, lists sorted: equal recipes give equal bytes."""
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in asdict(self).items()
        }


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
            texts[line.target.id] = str(after.value.value)
    return texts
