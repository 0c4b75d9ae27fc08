from __future__ import annotations

from typing import Self

from django.conf import settings
from django.db import models


class RunQuerySet(models.QuerySet):
    def active(self) -> Self:
        return self.filter(state__in=["queued", "running", "pausing", "cancelling"])

    def queued(self) -> Self:
        """Waiting for a place, the oldest first."""
        return self.filter(state="queued").order_by("created_at")

    def started(self) -> Self:
        return self.filter(state__in=["running", "pausing", "cancelling"])

    def in_places(self) -> Self:
        """Started ones that take one of the places for heavy runs."""
        others = {*settings.LIGHT_RUNS, *settings.ARENA_RUNS, *settings.RUNS_WITHOUT_PLACE}
        return self.started().exclude(kind__in=others)

    def in_light_places(self) -> Self:
        """Started ones that take one of the places for light runs."""
        return self.started().filter(kind__in=settings.LIGHT_RUNS)

    def in_arena_places(self) -> Self:
        """Started ones that take one of the places for engines of arenas."""
        return self.started().filter(kind__in=settings.ARENA_RUNS)
