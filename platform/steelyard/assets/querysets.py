from __future__ import annotations

from typing import Self

from django.db import models


class AssetQuerySet(models.QuerySet):
    def with_renditions(self) -> Self:
        """With the copies that pages show, so that ``preview_url`` asks nothing more."""
        return self.prefetch_related("renditions")

    def pending(self) -> Self:
        """Files whose renditions are still to be made, those tried least first."""
        return self.filter(renditions_state="pending").order_by("renditions_tries", "pk")
