"""What is asked about projects: making one, its settings, and who is in it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import IntegrityError, transaction
from django.utils.text import slugify

from steelyard.accounts.models import User
from steelyard.accounts.services import record
from steelyard.lib.errors import UserError
from steelyard.projects.models import Membership, Modality, Project, Role

# What an admin may change later. The modality and the slug are for good: outputs and links
# depend on them.
CHANGEABLE = {"name", "guidelines", "label_scheme", "overlap", "lease_seconds"}
SCHEME_FLAGS = ("tie", "both_bad", "rationale_required")
SCHEME_LISTS = ("tags", "aspects")
MAX_NAMES = 20
MAX_NAME = 40


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
            f"{modality!r} is no modality; it must be one of {', '.join(Modality.values)}.",
            code="invalid_modality",
            field="modality",
        )
    slug = slug or slugify(name)[:80]
    if not slug or slug != slugify(slug):
        raise UserError(
            "The name in URLs must be of letters a to z, digits and hyphens.",
            code="invalid_slug",
            field="slug",
        )
    project = Project(slug=slug, name=name, modality=modality, created_by=by)
    _set(project, values)
    try:
        with transaction.atomic():
            project.save()
    except IntegrityError:
        raise UserError(
            f"There is a project at /p/{slug}/ already; choose another name in URLs.",
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
def add_member(*, project: Project, by: User, username: str, role: str) -> Membership:
    """Give somebody with an account a role.

    Raises:
        UserError: ``unknown_user`` or ``already_member``.
    """
    user = User.objects.filter(username=username.strip(), is_active=True).first()
    if user is None:
        raise UserError(
            f"Nobody signs in as {username.strip()!r}. Upper and lower case differ; a site admin "
            "makes accounts.",
            code="unknown_user",
            field="username",
        )
    membership, added = Membership.objects.get_or_create(
        project=project, user=user, defaults={"role": _role(role)}
    )
    if not added:
        raise UserError(
            f"{user} is a member already, as {membership.get_role_display().lower()}; "
            "change the role in the table.",
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


def check_scheme(scheme: dict[str, Any]) -> dict[str, Any]:
    """The label scheme, with its lists free of blanks and doubles.

    Raises:
        UserError: ``invalid_scheme`` for an unknown key or a value of a wrong kind.
    """
    clean: dict[str, Any] = {}
    for key, value in scheme.items():
        if key in SCHEME_FLAGS:
            if not isinstance(value, bool):
                raise _wrong_scheme(f"{key} must be true or false, not {value!r}")
            clean[key] = value
        elif key in SCHEME_LISTS:
            clean[key] = _names(key, value)
        else:
            known = ", ".join([*SCHEME_FLAGS, *SCHEME_LISTS])
            raise _wrong_scheme(f"{key!r} is no part of it; the parts are {known}")
    return clean


def _names(key: str, value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise _wrong_scheme(f"{key} must be a list of words, not {value!r}")
    names = list(dict.fromkeys(name.strip() for name in value if name.strip()))
    if len(names) > MAX_NAMES or any(len(name) > MAX_NAME for name in names):
        raise _wrong_scheme(f"{key} takes at most {MAX_NAMES} words of {MAX_NAME} letters each")
    return names


def _wrong_scheme(what: str) -> UserError:
    return UserError(f"Label scheme: {what}.", code="invalid_scheme", field="label_scheme")


def _set(project: Project, values: dict[str, Any]) -> None:
    unknown = sorted(set(values) - CHANGEABLE)
    if unknown:
        raise UserError(
            f"{unknown[0]} cannot be set; what can is {', '.join(sorted(CHANGEABLE))}.",
            code="unknown_setting",
            field=unknown[0],
        )
    _within(values, "overlap", 1, 100, "people")
    _within(values, "lease_seconds", 60, 86_400, "seconds")
    if "name" in values and not values["name"].strip():
        raise UserError("A project needs a name.", field="name")
    if "label_scheme" in values:
        values = {**values, "label_scheme": check_scheme(values["label_scheme"])}
    for name, value in values.items():
        setattr(project, name, value)


def _within(values: dict[str, Any], name: str, least: int, most: int, unit: str) -> None:
    if name in values and not least <= values[name] <= most:
        raise UserError(
            f"{values[name]} {unit} is out of range; it must be {least} to {most}.", field=name
        )


def _role(role: str) -> str:
    if role not in Role.values:
        known: Iterable[str] = Role.values
        raise UserError(
            f"{role!r} is no role; it must be one of {', '.join(known)}.",
            code="invalid_role",
            field="role",
        )
    return role


def _keep_an_admin(membership: Membership) -> None:
    """Holds the lock of the project's row until the transaction ends, so that two admins cannot
    remove each other at the same moment."""
    Project.objects.select_for_update().get(pk=membership.project_id)
    admins = Membership.objects.filter(project=membership.project_id, role=Role.ADMIN)
    mine = admins.filter(pk=membership.pk).exists()
    if mine and not admins.exclude(pk=membership.pk).exists():
        raise UserError(
            f"{membership.user} is the last admin of {membership.project}. Make somebody else an "
            "admin first.",
            code="last_admin",
            status=409,
        )
