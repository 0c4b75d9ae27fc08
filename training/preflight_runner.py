"""What a preflight means: the rows of the training that is planned, and what it would need."""

from __future__ import annotations

from statistics import median
from typing import Any

from django.conf import settings
from django.db.models import Max, Min

from steelyard.assets.services import blob_path
from steelyard.registry.models import DatasetVersion, ModelVersion
from steelyard.runs.models import MetricPoint, Run
from training.engine.words import WORDS
from training.models import TrainingJob
from training.placing import place
from training.titles import TITLES

engine = "training.engine.preflight"
words = {**WORDS, **TITLES}
_LIKE = ("device", "train", "lora_rank", "gradient_checkpointing")
"""What a run must have in common with another that its time is guessed from."""
_LIKE_MEDIA = ("resolution", "clip_frames", "reference_draws")
EARLIER = 5
"""Runs of the same base that its speed is looked for in."""


def prepare(run: Run) -> dict[str, Any]:
    """Puts the version's rows into the run's folder; again is the same."""
    asked = run.spec
    version = DatasetVersion.objects.get(pk=asked["version"], project=run.project)
    base = ModelVersion.objects.get(pk=asked["base"], project=run.project)
    run.dir.data.mkdir(parents=True, exist_ok=True)
    for path in version.files:
        place(path, run.dir.data / path.name)
    media = version.manifest.get("media", [])
    run.dir.media.mkdir(parents=True, exist_ok=True)
    for sha in media:
        if blob_path(sha).exists():
            place(blob_path(sha), run.dir.media / sha)
    return {
        "kind": "preflight",
        "recipe": asked["recipe"],
        "config": asked["config"],
        "base": base.as_spec(),
        "dataset": {
            "digest": version.digest,
            "files": [f"data/{path.name}" for path in version.files],
        },
        "media_lost": sum(not blob_path(sha).exists() for sha in media),
        "cache": str(settings.DATA_DIR / "cache" / "reference"),
        "speed": speed_of(base, asked["config"]),
    }


def finish(run: Run, result: dict[str, Any]) -> None:
    """The report is the run's result; nothing else comes of it."""


def speed_of(base: ModelVersion, config: dict[str, Any]) -> dict[str, Any] | None:
    """Tokens or pairs a second that the newest like run of this base's weights came to on this
    server, and the seconds that it took besides its steps."""
    name = f"{'tokens' if base.modality == 'text' else 'pairs'}_per_second"
    like = {
        f"config__{name}": config[name]
        for name in (*_LIKE, *(_LIKE_MEDIA if base.modality != "text" else ()))
        if name in config
    }
    jobs = TrainingJob.objects.filter(
        base__source=base.source, base__family=base.family, run__state="succeeded", **like
    ).select_related("run")
    for job in jobs.order_by("-run__finished_at")[:EARLIER]:
        if speed := _measured(job, name):
            return {name: speed, "run": job.run_id, "start": _besides(job)}
    return None


def _besides(job: TrainingJob) -> float | None:
    """Seconds that the run took before it told its first number and after its last one: loading,
    the reference, keeping the model. None where it went on from a stop, or nothing is known."""
    run = job.run
    times = MetricPoint.objects.filter(run=run).aggregate(first=Min("time"), last=Max("time"))
    if run.started_at is None or run.finished_at is None or times["first"] is None:
        return None
    before = times["first"] - run.started_at.timestamp()
    after = run.finished_at.timestamp() - times["last"]
    return before + after if before >= 0 and after >= 0 else None


def _measured(job: TrainingJob, name: str) -> float | None:
    """The median of what it told at each step, so that neither a pause nor a slow start counts."""
    points = MetricPoint.objects.filter(run=job.run, name=name, value__gt=0)
    told = points.order_by("step").values_list("value", flat=True)[:500]
    values = [value for value in told if value is not None]
    return median(values) if len(values) > 2 else None
