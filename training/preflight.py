"""A look at a training run before it starts: whether one still holds, and what it found."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Max
from django.utils import timezone
from django.utils.translation import gettext as _

from steelyard.lib.errors import UserError
from steelyard.lib.hashing import digest_of
from steelyard.projects.models import Project
from steelyard.registry.models import DatasetVersion, ModelVersion
from steelyard.runs.models import Run
from steelyard.web.templatetags.steelyard import in_sentence
from training.models import TrainingJob
from training.report import title_of

FRESH = timedelta(hours=1)
"""Memory, disk and speed change; what an older look found of them does not count."""


def find_preflight(
    *,
    project: Project,
    version: DatasetVersion,
    base: ModelVersion,
    recipe: str,
    config: dict[str, Any],
) -> Run | None:
    """The newest look at these settings that is under way or fresh. Once this base has been trained
    on this version, time, memory and what is kept of it are known better than before."""
    key = preflight_key(version=version, base=base, recipe=recipe, config=config)
    trained = TrainingJob.objects.filter(
        base=base, version=version, trial_run__isnull=True
    ).aggregate(last=Max("run__finished_at"))
    since = max(timezone.now() - FRESH, trained["last"] or datetime.min.replace(tzinfo=UTC))
    rows = Run.objects.filter(
        project=project, kind="preflight", spec__key=key, created_at__gte=since
    ).exclude(state__in=["failed", "cancelled", "cancelling"])
    return rows.order_by("-created_at").first()


def report_of(run: Run) -> dict[str, Any] | None:
    """What it found; None while it looks, and where it failed."""
    return (run.result or {}).get("report") if run.state == "succeeded" else None


def check_preflight(
    *,
    run: Run,
    version: DatasetVersion,
    base: ModelVersion,
    recipe: str,
    config: dict[str, Any],
) -> None:
    """
    Args:
        config: checked and whole.

    Raises:
        UserError: the look was at other settings, is not done, or found what stops the run.
    """
    report = report_of(run)
    if run.kind != "preflight" or run.spec.get("key") != preflight_key(
        version=version, base=base, recipe=recipe, config=config
    ):
        raise UserError(
            _("Run %(run)s is no preflight of these settings. Ask for one, or leave it out.")
            % {"run": run.pk},
            code="other_preflight",
            field="preflight",
        )
    if report is None:
        raise UserError(
            _("The preflight is not done: it is %(state)s.")
            % {"state": in_sentence(run.get_state_display())},
            code="preflight_open",
            status=409,
            field="preflight",
        )
    if report["level"] == "stop":
        stops = [title_of(one) for one in report["findings"] if one["level"] == "stop"]
        raise UserError(
            _("The preflight found what would stop the run: %(titles)s.")
            % {"titles": "; ".join(stops)},
            code="preflight_stop",
            field="preflight",
        )


def preflight_key(
    *, version: DatasetVersion, base: ModelVersion, recipe: str, config: dict[str, Any]
) -> str:
    # the seed changes nothing that a preflight looks at
    settings_seen = {name: value for name, value in config.items() if name != "seed"}
    return digest_of([version.digest, base.as_spec(), recipe, settings_seen])
