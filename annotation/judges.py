"""How a judge of any kind comes to be: an annotator whose name nobody of its project has."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from annotation.models import Annotator
from steelyard.lib.errors import UserError
from steelyard.projects.models import Project


def new_judge(project: Project, name: str, values: dict[str, Any]) -> Annotator:
    """
    Args:
        values: of the judge's columns, but for project, name and kind.

    Raises:
        UserError: ``name_taken``.
    """
    judge, created = Annotator.objects.get_or_create(
        project=project, name=name, defaults={"kind": Annotator.Kind.JUDGE, **values}
    )
    if not created:
        raise UserError(
            _("An annotator of this project is called “%(name)s” already; choose another name.")
            % {"name": name},
            code="name_taken",
            status=409,
            field="name",
        )
    return judge
