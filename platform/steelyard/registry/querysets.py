from __future__ import annotations

from typing import Self

from django.db import models


class DatasetVersionQuerySet(models.QuerySet):
    def with_names(self) -> Self:
        """With everything that a row of a page shows."""
        return self.select_related("project", "dataset", "parent__dataset", "created_by")

    def chosen(self, *, dataset: str = "", tag: str = "") -> Self:
        """Those of a dataset and with a tag, both by name, as far as they are said."""
        rows = self.filter(dataset__name=dataset) if dataset else self
        # a dataset has a tag once, so that no version comes twice
        return rows.filter(tags__name=tag) if tag else rows


class ModelVersionQuerySet(models.QuerySet):
    def with_origin(self) -> Self:
        """With what made each model."""
        return self.select_related(
            "project", "base", "trained_on__dataset", "made_by__project", "created_by"
        )

    def as_they_are(self) -> Self:
        """Without those that are another one with revisions: what judges, is trained from or works
        in a pipeline says a thing once."""
        return self.exclude(options__has_key="revisions")
