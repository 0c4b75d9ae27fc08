"""Right answers that somebody knows, and the pairs that are kept for training people."""

from __future__ import annotations

from annotation.models import Pair
from annotation.services.imported_rows import Row
from steelyard.lib.errors import UserError

Answer = tuple[str, str, str]
"""The outcome on the pair's own sides, why it is right, and which side (a or b) the reason speaks
of as the first."""
FIELDS = ["known_outcome", "known_reason", "known_first"]
"""What ``tell`` sets of a pair."""


def known_of_rows(rows: list[Row]) -> dict[str, Answer]:
    """The right answers that a file says, by the pair's key.

    Raises:
        UserError: two lines say two things of a pair, or only one of them is for training.
    """
    known: dict[str, Answer] = {}
    training: dict[str, bool] = {}
    for row in rows:
        if training.setdefault(row.pair, row.record.training) != row.record.training:
            raise _wrong(row, "another line has the same pair as one to label; it is one or other.")
        if row.record.known is None:
            continue
        said = (row.known_outcome, row.record.known.reason, "b" if row.flipped else "a")
        if known.setdefault(row.pair, said)[0] != said[0]:
            raise _wrong(row, "another line says that another answer to the same pair is right.")
    return known


def settle_known(rows: list[Row], known: dict[str, Answer], pairs: dict[str, Pair]) -> None:
    """Write the right answers to the pairs, whose rows the caller has locked.

    Raises:
        UserError: a pair is here already with another answer, or for the other use.
    """
    told = []
    for row in rows:
        pair = pairs[row.pair]
        said = known.get(row.pair)
        try:
            changed = tell(pair, said, training=row.record.training)
        except UserError as error:
            raise _wrong(row, error.message, code=error.code) from None
        if changed:
            told.append(pair)
    Pair.objects.bulk_update(told, FIELDS, batch_size=1000)


def tell(pair: Pair, known: Answer | None, *, training: bool) -> bool:
    """Set a pair's right answer where it has none, and where it has the same, what was not kept of
    it; whether that changed it. Nothing is saved.

    Raises:
        UserError: it has another one, or is kept for the other use.
    """
    if pair.is_training != training:
        use = "for the training round" if pair.is_training else "as one to label"
        raise UserError(
            f"This pair is in the project already {use}; no pair is both.",
            code="pair_in_use",
            status=409,
            field="training",
        )
    if known is None:
        return False
    outcome, reason, first = known
    if pair.known_outcome == outcome:
        # brought in before it was kept which side the reason speaks of as the first
        fills = not pair.known_first and bool(reason) and reason == pair.known_reason
        pair.known_first = first if fills else pair.known_first
        return fills
    if pair.known_outcome:
        raise UserError(
            f"This pair is in the project already with another right answer: side "
            f"{pair.known_outcome} of the sides as the site has them."
            if pair.known_outcome in {"a", "b"}
            else f"This pair is in the project already with another right answer: "
            f"{pair.get_known_outcome_display()}.",
            code="known_otherwise",
            status=409,
            field="known",
        )
    pair.known_outcome, pair.known_reason = outcome, reason
    pair.known_first = first if reason else ""
    return True


def _wrong(row: Row, message: str, *, code: str = "bad_line") -> UserError:
    return UserError(f"{row.record.place}: {message}", code=code, field="file")
