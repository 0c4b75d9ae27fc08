"""Rounds that begin by themselves: a training run that has ended with a model has it answer
prompts, and the pairs come into the labelling queue. The wish, and then the round's number, stand
in the training run's spec."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from evaluation.sampling import DEFAULT_SAMPLING, sampling_used
from evaluation.services_round import start_round
from evaluation.titles import FOLLOWING
from steelyard.lib.errors import UserError
from steelyard.lib.said import Said
from steelyard.projects.models import Modality
from steelyard.registry.models import ModelVersion
from steelyard.runs.models import Run, RunState

WISH = "new_pairs"
WANTED, REFUSED = "wanted", "refused"


def round_after(run: Run) -> Run | None:
    """The round that a training run has begun."""
    number = run.spec.get(WISH)
    if not isinstance(number, int):
        return None
    return Run.objects.filter(project=run.project_id, pk=number).select_related("project").first()


@transaction.atomic
def wish_for_round(*, run: Run, wanted: bool) -> None:
    """Say whether new pairs are to be made with what a training run makes, once it has ended.

    Raises:
        UserError: it has ended already: its model's own page begins a round.
    """
    found = Run.objects.select_for_update(of=("self",)).get(pk=run.pk)
    if not found.is_active and found.state != RunState.PAUSED:
        raise UserError(
            _("This run has ended. “New pairs” on its model's page begins a round."),
            code="run_ended",
            status=409,
        )
    _note(found, WANTED if wanted else "")


def begin_rounds() -> None:
    """Begin the rounds of the training runs that have ended with a model since they were wished
    for. Again is the same, and so is several at once."""
    due = Run.objects.filter(kind="train", state=RunState.SUCCEEDED, spec__new_pairs=WANTED)
    for pk in list(due.values_list("pk", flat=True)):
        with transaction.atomic():
            rows = due.select_for_update(skip_locked=True, of=("self",))
            run = rows.select_related("project", "created_by").filter(pk=pk).first()
            if run is not None:
                _begin(run)


def _begin(run: Run) -> None:
    made = ModelVersion.objects.filter(made_by=run).select_related("project").order_by("pk")
    model = next((one for one in made if one.step is None), None)
    if model is None:
        # one of a sweep's
        _refuse(run, Said(FOLLOWING, "new_pairs_no_model"))
        return
    try:
        with transaction.atomic():
            begun = start_round(
                project=run.project, model=model, sampling=_sampling(model), by=run.created_by
            )
    except UserError as error:
        _refuse(run, Said(FOLLOWING, "new_pairs_refused", why=error.message))
        return
    _note(run, begun.pk)


def _sampling(model: ModelVersion) -> dict[str, Any]:
    """Its own; but a model that always writes the same answer is asked at the usual temperature,
    or it would make no pair."""
    if model.modality != Modality.TEXT or sampling_used(model, {})["temperature"]:
        return {}
    return {"temperature": DEFAULT_SAMPLING["temperature"]}


def _refuse(run: Run, why: str) -> None:
    _note(run, REFUSED)
    if run.dir.path.exists():
        run.dir.event(why, "warning")


def _note(run: Run, wish: str | int) -> None:
    run.spec = {**{key: value for key, value in run.spec.items() if key != WISH}, WISH: wish}
    run.save(update_fields=["spec"])
