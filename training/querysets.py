from __future__ import annotations

from typing import Self

from django.db import models


class TrainingJobQuerySet(models.QuerySet):
    def active(self) -> Self:
        """Those whose run has not ended."""
        return self.exclude(run__state__in=["succeeded", "failed", "cancelled"])

    def making_models(self) -> Self:
        """Those that are to make a model version, which of a sweep's runs only few do."""
        return self.exclude(trial_run__keeps_model=False)

    def with_parts(self) -> Self:
        """With everything that a row of a page shows."""
        return self.select_related("run__project", "version__dataset", "base", "result", "project")
