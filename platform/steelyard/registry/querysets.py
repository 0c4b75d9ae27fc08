from __future__ import annotations

from typing import Self

from django.db import models


class DatasetVersionQuerySet(models.QuerySet):
    def with_names(self) -> Self:
        """With everything that a row of a page shows."""
        return self.select_related("project", "dataset", "parent__dataset", "created_by")


class ModelVersionQuerySet(models.QuerySet):
    def with_origin(self) -> Self:
        """With what made each model."""
        return self.select_related(
            "project", "base", "trained_on__dataset", "made_by__project", "created_by"
        )
