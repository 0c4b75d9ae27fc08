"""Juries: a judge made of judges."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction
from django.utils.translation import gettext as _

from annotation.judges import new_judge
from annotation.juries import FEWEST, recount
from annotation.models import Annotator
from steelyard.lib.errors import UserError
from steelyard.projects.models import Project

MOST = 20
"""Members of a jury."""


@transaction.atomic
def create_jury(
    *, project: Project, name: str, members: Sequence[Annotator], note: str = ""
) -> Annotator:
    """Make a jury; what its members have said already becomes its votes at once.

    Who sits in it never changes, as nothing of a judge does: other members are another jury.

    Args:
        members: judges and scorers of the project, those too whose votes came from a file.

    Raises:
        UserError: there are too few or too many, one is a person, another jury or another
            project's, or the name is taken.
    """
    name, note = " ".join(name.split()), " ".join(note.split())
    if not name or len(name) > 150:
        raise UserError(_("A jury needs a name of at most 150 characters."), field="name")
    if len(note) > 300:
        raise UserError(_("A note has at most 300 characters."), field="note")
    chosen = list(dict.fromkeys(members))
    if not FEWEST <= len(chosen) <= MOST:
        raise UserError(
            _("A jury has %(fewest)s to %(most)s members.") % {"fewest": FEWEST, "most": MOST},
            field="members",
        )
    for member in chosen:
        own = member.project_id == project.pk
        if not own or member.kind != Annotator.Kind.JUDGE or member.is_jury:
            raise UserError(
                _("%(name)s cannot sit in a jury: only this project's judges and scorers can.")
                % {"name": member.name},
                code="no_juror",
                field="members",
            )
    jury = new_judge(project, name, {"is_jury": True, "family": name, "note": note})
    jury.members.set(chosen)
    recount(jury.pk)
    jury.refresh_from_db()
    return jury
