"""What is asked about projects: making one, its settings, and who is in it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from django.db import IntegrityError, transaction
from django.utils.text import slugify
from django.utils.translation import gettext as _

from steelyard.accounts.models import User
from steelyard.accounts.services import record
from steelyard.lib.errors import UserError
from steelyard.projects.models import TAGS, Membership, Modality, Project, QueuePolicy, Role
from steelyard.projects.scheme import checked, wrong

# How many of what a setting may be.
LIMITS = {
    "overlap": (1, 100, "people"),
    "overlap_max": (0, 100, "people"),
    "lease_seconds": (60, 86_400, "seconds"),
    "person_cap": (1, 1_000_000, "verdicts"),
    "day_cap": (1, 100_000, "verdicts"),
    "training_pass": (0, 100, "per cent"),
    "break_minutes": (0, 600, "minutes"),
}
MAY_BE_NONE = {"person_cap", "day_cap"}
# What an admin may change later. The modality and the slug are for good: outputs and links
# depend on them.
CHANGEABLE = {"name", "guidelines", "label_scheme", "queue_policy", "paused", "license", *LIMITS}
_LICENSE = re.compile(r"(?:[a-z0-9][a-z0-9.+-]*)?")


@transaction.atomic
def create_project(*, by: User, name: str, modality: str, slug: str = "", **values: Any) -> Project:
    """A new project, with the person who makes it as its first admin.

    Args:
        slug: its name in URLs; made from the name where not said.
        values: any of ``CHANGEABLE``.

    Raises:
        UserError: ``slug_taken``, ``invalid_slug``, ``invalid_modality`` or a wrong setting.
    """
    if modality not in Modality.values:
        raise UserError(
            _("%(value)s is no modality; it must be one of %(known)s.")
            % {"value": repr(modality), "known": ", ".join(Modality.values)},
            code="invalid_modality",
            field="modality",
        )
    slug = slug or slugify(name)[:80]
    if not slug or slug != slugify(slug):
        raise UserError(
            _("The name in URLs must be of letters a to z, digits and hyphens."),
            code="invalid_slug",
            field="slug",
        )
    project = Project(slug=slug, name=name, modality=modality, created_by=by)
    if tags := TAGS.get(Modality(modality)):
        values["label_scheme"] = {"tags": tags, **values.get("label_scheme", {})}
    _set(project, values)
    try:
        with transaction.atomic():
            project.save()
    except IntegrityError:
        raise UserError(
            _("There is a project at /p/%(slug)s/ already; choose another name in URLs.")
            % {"slug": slug},
            code="slug_taken",
            field="slug",
        ) from None
    Membership.objects.create(project=project, user=by, role=Role.ADMIN)
    record(by=by, action="project-created", target=slug, modality=modality)
    return project


@transaction.atomic
def update_project(*, project: Project, by: User, **values: Any) -> Project:
    """Change settings; only the fields of ``CHANGEABLE`` can be.

    Raises:
        UserError: a value is wrong; nothing is changed then.
    """
    before = {name: getattr(project, name) for name in values if name in CHANGEABLE}
    _set(project, values)
    project.save(update_fields=list(before))
    changed = sorted(name for name in before if getattr(project, name) != before[name])
    if changed:
        record(by=by, action="project-changed", target=project.slug, fields=changed)
    return project


@transaction.atomic
def set_paused(*, project: Project, by: User, paused: bool) -> bool:
    """Stop handing out pairs, or go on; whether anything changed.

    What people hold at this moment they may still send.
    """
    changed = Project.objects.filter(pk=project.pk).exclude(paused=paused).update(paused=paused)
    project.paused = paused
    if changed:
        action = "labelling-paused" if paused else "labelling-resumed"
        record(by=by, action=action, target=project.slug)
    return changed == 1


@transaction.atomic
def add_member(*, project: Project, by: User, username: str, role: str) -> Membership:
    """Give somebody with an account a role.

    Raises:
        UserError: ``unknown_user`` or ``already_member``.
    """
    user = User.objects.filter(username=username.strip(), is_active=True).first()
    if user is None:
        raise UserError(
            _(
                "Nobody signs in as %(name)s. Upper and lower case differ; a site admin makes "
                "accounts."
            )
            % {"name": repr(username.strip())},
            code="unknown_user",
            field="username",
        )
    membership, added = Membership.objects.get_or_create(
        project=project, user=user, defaults={"role": _role(role)}
    )
    if not added:
        raise UserError(
            _("%(name)s is a member already, as %(role)s; change the role in the table.")
            % {"name": user, "role": membership.get_role_display().lower()},
            code="already_member",
            field="username",
        )
    record(by=by, action="member-added", target=f"{user} in {project.slug}", role=role)
    return membership


@transaction.atomic
def set_role(*, membership: Membership, by: User, role: str) -> Membership:
    """Change what a member may do.

    Raises:
        UserError: ``last_admin`` if nobody would be left to run the project.
    """
    if _role(role) != Role.ADMIN:
        _keep_an_admin(membership)
    before, membership.role = membership.role, role
    membership.save(update_fields=["role"])
    record(
        by=by,
        action="role-changed",
        target=f"{membership.user} in {membership.project.slug}",
        before=before,
        after=role,
    )
    return membership


@transaction.atomic
def remove_member(*, membership: Membership, by: User) -> None:
    """End a membership; what the person did stays.

    Raises:
        UserError: ``last_admin`` if nobody would be left to run the project.
    """
    _keep_an_admin(membership)
    target = f"{membership.user} in {membership.project.slug}"
    record(by=by, action="member-removed", target=target, role=membership.role)
    membership.delete()


def _set(project: Project, values: dict[str, Any]) -> None:
    unknown = sorted(set(values) - CHANGEABLE)
    if unknown:
        raise UserError(
            _("%(name)s cannot be set; what can is %(known)s.")
            % {"name": unknown[0], "known": ", ".join(sorted(CHANGEABLE))},
            code="unknown_setting",
            field=unknown[0],
        )
    for name, (least, most, unit) in LIMITS.items():
        _within(values, name, least, most, unit)
    if "name" in values and not values["name"].strip():
        raise UserError(_("A project needs a name."), field="name")
    if values.get("queue_policy", QueuePolicy.IN_ORDER) not in QueuePolicy.values:
        raise UserError(
            _("%(value)s is no order of the queue; it must be one of %(known)s.")
            % {"value": repr(values["queue_policy"]), "known": ", ".join(QueuePolicy.values)},
            field="queue_policy",
        )
    if "license" in values:
        # The hub knows names in small letters; licences are known by capitals (CC-BY-4.0).
        license = values["license"].strip().lower()
        if not _LICENSE.fullmatch(license):
            raise UserError(
                _("%(value)s names no licence; it must be such as cc-by-4.0, or empty.")
                % {"value": repr(values["license"])},
                field="license",
            )
        values = {**values, "license": license}
    if "label_scheme" in values:
        scheme = checked(values["label_scheme"], project.modality)
        _keep_the_task(project, scheme)
        values = {**values, "label_scheme": scheme}
    for name, value in values.items():
        setattr(project, name, value)
    if 0 < project.overlap_max < project.overlap:
        raise UserError(
            _(
                "%(most)s people at most are fewer than the %(overlap)s that judge each pair; it "
                "must be 0, for no more than these, or from %(overlap)s up."
            )
            % {"most": project.overlap_max, "overlap": project.overlap},
            field="overlap_max",
        )


def _keep_the_task(project: Project, scheme: dict[str, Any]) -> None:
    """Pairs of a ranking belong together; those that are there already belong to none, and the
    other way round."""
    task = project.scheme["task"]
    if scheme.get("task", task) == task or not project.pk:
        return
    if project.pairs.exists() or project.output_sets.exists():
        raise wrong(
            "task",
            _(
                "task stays %(task)s, because the project has pairs or sets; make another project "
                "for it"
            )
            % {"task": task},
            code="task_fixed",
            status=409,
        )


def _within(values: dict[str, Any], name: str, least: int, most: int, unit: str) -> None:
    value = values.get(name)
    if value is None and (name not in values or name in MAY_BE_NONE):
        return
    if value is None or not least <= value <= most:
        raise UserError(
            _("%(value)s %(unit)s is out of range; it must be %(least)s to %(most)s.")
            % {"value": value, "unit": unit, "least": least, "most": most},
            field=name,
        )


def _role(role: str) -> str:
    if role not in Role.values:
        known: Iterable[str] = Role.values
        raise UserError(
            _("%(value)s is no role; it must be one of %(known)s.")
            % {"value": repr(role), "known": ", ".join(known)},
            code="invalid_role",
            field="role",
        )
    return role


def _keep_an_admin(membership: Membership) -> None:
    """Holds the lock of the project's row until the transaction ends, so that two admins cannot
    remove each other at the same moment."""
    Project.objects.select_for_update(no_key=True).get(pk=membership.project_id)
    admins = Membership.objects.filter(project=membership.project_id, role=Role.ADMIN)
    mine = admins.filter(pk=membership.pk).exists()
    if mine and not admins.exclude(pk=membership.pk).exists():
        raise UserError(
            _("%(name)s is the last admin of %(project)s. Make somebody else an admin first.")
            % {"name": membership.user, "project": membership.project},
            code="last_admin",
            status=409,
        )
