"""Who may do what. A thing outside one's reach is not found, never forbidden: its existence is
nobody's business."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from django.db.models import Model, QuerySet
from django.http import Http404

from steelyard.projects.models import Project, Role

if TYPE_CHECKING:
    from steelyard.accounts.models import User

ANY_ROLE = [Role.ANNOTATOR, Role.RESEARCHER, Role.ADMIN]
STAFF = [Role.RESEARCHER, Role.ADMIN]
ADMINS = [Role.ADMIN]

M = TypeVar("M", bound=Model)


def get_project(user: User, slug: str, roles: Sequence[str] = STAFF) -> Project:
    """Load and authorise in one call.

    Raises:
        Http404: there is no such project, or none in which the person has one of the roles.
    """
    project = Project.objects.with_role(user, roles).filter(slug=slug).first()
    if project is None:
        raise Http404("No such project.")
    return project


def get_visible(
    source: type[M] | QuerySet[M], user: User, roles: Sequence[str] = STAFF, **lookup: Any
) -> M:
    """Load one object of a project (it has a ``project`` field) and authorise in one call.

    Raises:
        Http404: there is no such object, or it is in a project out of the person's reach.
    """
    rows = source if isinstance(source, QuerySet) else source._default_manager.all()
    allowed = Project.objects.with_role(user, roles)
    found = rows.filter(project__in=allowed, **lookup).first()
    if found is None:
        raise Http404("No such thing.")
    return found


def role_in(user: User, project: Project) -> str | None:
    """The person's role in a project, ``admin`` for a site admin, None for a stranger."""
    if user.is_superuser:
        return Role.ADMIN
    membership = project.memberships.filter(user=user).first()
    return membership.role if membership else None


def is_staff_anywhere(user: User) -> bool:
    """Whether the person is a researcher or admin of any project."""
    return Project.objects.with_role(user, STAFF).exists() or user.is_superuser
