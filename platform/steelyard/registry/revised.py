"""A model with a number of revisions: it answers, and improves on its last answer so many times.

It is a model version of its own, on the weights of the one that has learnt to improve, so that
evaluations, kept outputs, leaderboards and arenas treat it like any other. What it is asked when it
revises is kept with the model that was trained on these words.
"""

from __future__ import annotations

from django.db import transaction
from django.utils.translation import gettext as _

from steelyard.accounts.models import User
from steelyard.lib.errors import UserError
from steelyard.projects.models import Project
from steelyard.registry.models import ModelVersion
from steelyard.registry.services import NAME_LIMIT, free_name, register_model

MOST_REVISIONS = 10
_KEPT = ("sampling", "label_control", "revising")
"""Options that hold of the model with revisions as well."""


def revised_name(name: str, revisions: int) -> str:
    """What a model with revisions is called, on every page and in every answer alike."""
    behind = f" · {revisions} revision{'' if revisions == 1 else 's'}"
    return name[: NAME_LIMIT - len(behind)] + behind


@transaction.atomic
def with_revisions(*, model: ModelVersion, revisions: int, by: User | None) -> ModelVersion:
    """The model with so many revisions; asked for again, the same one.

    Raises:
        UserError: ``cannot_revise``: the model has not learnt to improve an answer; or the number
            is out of bounds.
    """
    if not model.can_revise:
        raise UserError(_why_not(model), code="cannot_revise", status=409)
    if not 1 <= revisions <= MOST_REVISIONS:
        raise UserError(
            _("A model revises its answers from 1 to %(most)s times.") % {"most": MOST_REVISIONS},
            code="bad_revisions",
            field="revisions",
        )
    # of two who ask at once the second finds what the first made
    Project.objects.select_for_update(no_key=True).get(pk=model.project_id)
    if made := revised_of(model).get(revisions):
        return made
    return register_model(
        project=model.project,
        name=free_name(project=model.project, name=revised_name(model.name, revisions)),
        modality=model.modality,
        family=model.family,
        source=model.source,
        options={
            **{name: value for name, value in model.options.items() if name in _KEPT},
            "revisions": revisions,
        },
        base=model,
        digest=model.digest,
        by=by,
    )


def revised_of(model: ModelVersion) -> dict[int, ModelVersion]:
    """The model with revisions, by how many, as far as somebody has asked for it."""
    rows = model.descendants.filter(options__has_key="revisions").select_related("project")
    found = {one.revisions: one for one in rows.order_by("-pk")}
    return dict(sorted(found.items()))


def _why_not(model: ModelVersion) -> str:
    if model.revisions:
        return _("%(model)s revises its answers already. Ask for another number of %(base)s.") % {
            "model": model.name,
            "base": model.base,
        }
    return _(
        "%(model)s has not learnt to improve an answer. Train a model with the recipe srpo; that "
        "one can be asked for revisions."
    ) % {"model": model.name}
