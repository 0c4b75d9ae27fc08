"""Names that can be moved from one version of a dataset to another, and notes about versions."""

from __future__ import annotations

import re

from django.db import transaction
from django.utils.translation import gettext as _

from steelyard.accounts.models import User
from steelyard.accounts.services import record
from steelyard.lib.errors import UserError
from steelyard.registry.models import DatasetVersion, VersionNote, VersionTag

_NAME = re.compile(r"[\w][\w .-]{0,59}")
NOTE_LIMIT = 5000


@transaction.atomic
def set_tag(*, version: DatasetVersion, name: str, by: User | None) -> VersionTag:
    """Give the version a name; another version of the dataset that had it loses it.

    Raises:
        UserError: the name is none.
    """
    name = name.strip()
    if not _NAME.fullmatch(name) or name.isdecimal():
        raise UserError(
            _("A tag has 1 to 60 letters, digits, spaces, dots and dashes, and is no number."),
            field="name",
        )
    before = VersionTag.objects.filter(dataset=version.dataset, name=name).first()
    tag, _created = VersionTag.objects.update_or_create(
        dataset=version.dataset,
        name=name,
        defaults={"project": version.project, "version": version, "moved_by": by},
    )
    record(
        by=by,
        action="version.tag",
        target=version.project.slug,
        tag=name,
        version=version.pk,
        before=before.version_id if before else None,
    )
    return tag


@transaction.atomic
def remove_tag(*, version: DatasetVersion, name: str, by: User | None) -> None:
    """
    Raises:
        UserError: the version has no tag of that name.
    """
    gone, _each = VersionTag.objects.filter(version=version, name=name).delete()
    if not gone:
        raise UserError(
            _("%(version)s has no tag “%(name)s”.") % {"version": version, "name": name},
            code="no_tag",
            status=404,
        )
    record(by=by, action="version.untag", target=version.project.slug, tag=name, version=version.pk)


def add_note(*, version: DatasetVersion, text: str, by: User | None) -> VersionNote:
    """
    Raises:
        UserError: the note is empty or too long.
    """
    text = text.strip()
    if not text or len(text) > NOTE_LIMIT:
        raise UserError(
            _("A note has 1 to %(most)s characters.") % {"most": NOTE_LIMIT}, field="text"
        )
    return VersionNote.objects.create(
        project=version.project, version=version, text=text, created_by=by
    )
