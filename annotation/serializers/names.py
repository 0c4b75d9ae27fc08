"""The API names models and annotators by their names."""

from __future__ import annotations

from annotation.models import Annotator
from steelyard.lib.errors import UserError
from steelyard.projects.models import Project
from steelyard.registry.models import ModelVersion


def model_named(project: Project, name: str, field: str = "model") -> ModelVersion:
    """
    Args:
        field: in which it is named.

    Raises:
        UserError: the project has no model version of that name.
    """
    found = ModelVersion.objects.filter(project=project, name=name).first()
    if found is None:
        raise UserError(f"No model version of this project is named {name!r}.", field=field)
    return found


def annotator_named(project: Project, name: str, field: str = "annotator") -> Annotator:
    """
    Args:
        field: under which the name was said.

    Raises:
        UserError: the project has no annotator of that name.
    """
    found = Annotator.objects.filter(project=project, name=name).first()
    if found is None:
        raise UserError(f"No annotator of this project is named {name!r}.", field=field)
    return found
