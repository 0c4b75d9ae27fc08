"""Starting a run that asks a judge, of whatever make, about pairs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from annotation.models import Annotator, Pair
from annotation.querysets import PairQuerySet
from annotation.titles import TITLES
from steelyard.accounts.models import User
from steelyard.lib.errors import UserError
from steelyard.lib.said import Said
from steelyard.runs.models import Run
from steelyard.runs.services import start_run


@transaction.atomic
def start_asking(
    *,
    judge: Annotator,
    pairs: Iterable[Pair],
    open_pairs: PairQuerySet,
    kind: str,
    by: User | None,
    **more: Any,
) -> Run:
    """Start a run over those of the pairs that are open to the judge, in the order given.

    Args:
        open_pairs: what the judge may be asked and has not judged.
        more: what else its engine is told.

    Raises:
        UserError: nothing is left for it.
    """
    # two runs that are asked for at once do not both take the same pairs
    Annotator.objects.select_for_update(no_key=True).get(pk=judge.pk)
    wanted = list(dict.fromkeys(pair.pk for pair in pairs))
    left = set(open_pairs.filter(pk__in=wanted).values_list("pk", flat=True))
    if not left:
        raise UserError(
            _(
                "There is no pair left for %(judge)s: it has judged all of these already, a run "
                "of its own is at them now, or they are not for it (taken out, for training, or "
                "about a picture)."
            )
            % {"judge": judge.name},
            code="nothing_to_judge",
        )
    return start_run(
        project=judge.project,
        kind=kind,
        title=Said(TITLES, f"title_{kind}", judge=judge.name, count=len(left)),
        spec={"judge": judge.pk, "pairs": [pk for pk in wanted if pk in left], **more},
        by=by,
    )
