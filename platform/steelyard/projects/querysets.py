from __future__ import annotations

from typing import TYPE_CHECKING, Self

from django.db import models

if TYPE_CHECKING:
    from steelyard.accounts.models import User


class ProjectQuerySet(models.QuerySet):
    def visible_to(self, user: User) -> Self:
        """Projects in which the person has any role; a site admin sees all."""
        if user.is_superuser:
            return self
        return self.filter(memberships__user=user)

    def with_role(self, user: User, roles: list[str]) -> Self:
        """Projects in which the person has one of the roles; a site admin sees all."""
        if user.is_superuser:
            return self
        return self.filter(memberships__user=user, memberships__role__in=roles)
