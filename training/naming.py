"""Names of models that are still to be made: free ones, that no unfinished run will take."""

from __future__ import annotations

from django.utils.translation import gettext as _

from steelyard.lib.errors import UserError
from steelyard.projects.models import Project
from steelyard.registry.services import check_new_name
from training.models import TrainingJob


def checked_name(project: Project, name: str) -> str:
    """A name that the model of a new job can have.

    Raises:
        UserError: it is taken, promised to a run, or none; ``field`` is model_name.
    """
    try:
        name = check_new_name(project=project, name=name)
    except UserError as error:
        raise UserError(
            error.message, code=error.code, status=error.status, field="model_name"
        ) from error
    promised = TrainingJob.objects.active().filter(project=project, model_name=name).first()
    if promised:
        raise UserError(
            _(
                "A run that is not finished yet (%(run)s) will make a model called “%(name)s”; "
                "choose another name."
            )
            % {"run": promised.run, "name": name},
            code="model_name_taken",
            status=409,
            field="model_name",
        )
    return name
