from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from django.apps import apps
from django.db import models
from django.db.models import OuterRef, Subquery, Value

if TYPE_CHECKING:
    from steelyard.accounts.models import User


class ProjectQuerySet(models.QuerySet):
    def visible_to(self, user: User) -> Self:
        """Projects in which the person has any role; a site admin sees all."""
        if user.is_superuser:
            return self
        return self.filter(memberships__user=user)

    def with_role(self, user: User, roles: Sequence[str]) -> Self:
        """Projects in which the person has one of the roles; a site admin sees all."""
        if user.is_superuser:
            return self
        return self.filter(memberships__user=user, memberships__role__in=roles)

    def with_role_of(self, user: User) -> Self:
        """Adds ``role``: the person's own in each project; a site admin is admin of all."""
        if user.is_superuser:
            return self.annotate(role=Value("admin", output_field=models.CharField()))
        memberships = apps.get_model("projects", "Membership").objects
        mine = memberships.filter(project=OuterRef("pk"), user=user).values("role")
        return self.annotate(role=Subquery(mine))
