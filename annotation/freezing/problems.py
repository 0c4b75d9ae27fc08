"""Why a selection cannot be published, and what to do about it."""

from __future__ import annotations

from django.utils.translation import gettext as _

from annotation.freezing.select import DROPPED, DROPPED_IF_ASKED, Selection
from annotation.recipe import Recipe
from steelyard.lib.errors import UserError


def problem_of(selection: Selection, recipe: Recipe) -> UserError | None:
    """Why nothing could be learnt from these rows; None where something can."""
    counts = selection.counts
    rows, train = counts["rows"], counts["train"]
    if not rows:
        return UserError(_empty(selection, recipe), code="empty_version")
    if counts.get("both_bad") and not selection.train_wins:
        return UserError(
            _(
                "No row to train on has a winner: all that is left are ties and pairs of which "
                "both are bad. Label pairs in which one side wins, or count other annotators."
            ),
            code="one_class",
        )
    if counts["ties"] and not selection.wins:
        return UserError(
            _(
                "All %(n)s rows are ties, so no answer is better than another and there is "
                "nothing to learn. Label pairs in which one side wins, or count other annotators."
            )
            % {"n": rows},
            code="one_class",
        )
    if not train:
        return UserError(
            _(
                "All %(n)s rows fall into the test split, and none is left to train on. "
                "Lower the test share, change the seed, or label more prompts."
            )
            % {"n": rows},
            code="no_train_rows",
            field="test_fraction",
        )
    if not selection.train_wins:
        return UserError(
            _(
                "All %(n)s rows to train on are ties, so there is nothing to learn from them. "
                "Change the seed, or label pairs in which one side wins."
            )
            % {"n": train},
            code="one_class",
        )
    return None


def _empty(selection: Selection, recipe: Recipe) -> str:
    words = DROPPED | DROPPED_IF_ASKED
    dropped = [
        f"{n} {_(words[name])}"
        for reason, n in selection.counts.items()
        if n and (name := reason.removeprefix("dropped_")) != reason
    ]
    if dropped:
        return _(
            "This recipe keeps no rows (left out: %(reasons)s). Loosen it, or collect more votes."
        ) % {"reasons": ", ".join(dropped)}
    return {
        "people": _(
            "No pair has a vote by people that this recipe counts. Label some pairs first."
        ),
        "judges": _(
            "No pair has a vote by AI judges that this recipe counts. Label some pairs first."
        ),
        "both": _("No pair has a vote by anybody that this recipe counts. Label some pairs first."),
    }[recipe.annotators]
