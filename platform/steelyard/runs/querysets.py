from __future__ import annotations

from typing import Self

from django.db import models


class RunQuerySet(models.QuerySet):
    def active(self) -> Self:
        return self.filter(state__in=["queued", "running", "cancelling"])

    def queued(self) -> Self:
        """Waiting for a place, the oldest first."""
        return self.filter(state="queued").order_by("created_at")

    def started(self) -> Self:
        return self.filter(state__in=["running", "cancelling"])
