"""What a training run does otherwise when it belongs to a sweep. ``training.runner`` asks here."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from steelyard.inference.judging.prompting import TEMPLATE_VERSIONS
from steelyard.lib.hashing import stable_int
from steelyard.lib.rundir import RunDir
from training.sweeps.measures import MEASURES
from training.sweeps.models import Purpose, Sweep, TrialRun

SAMPLES = {"prompts": 32, "max_new_tokens": 128}
"""How many held-out prompts are answered, and how long an answer may be."""

REASON_TOKENS = 128
"""How long a judge's reason may be; what counts is its verdict."""


def prepared(rundir: RunDir, job: Any, spec: dict[str, Any]) -> dict[str, Any]:
    """The run.json of a job; of a trial with its half of the held-out prompts, and with what else
    it has to measure. Again is the same."""
    part = trial_of(job)
    if part is None:
        return spec
    sweep = part.trial.sweep
    if sweep.split_held_out:
        _leave_half(job.version.files, rundir.data, part.purpose)
    if any(MEASURES[name].source == "samples" for name in sweep.measures):
        spec = {**spec, "samples": {**SAMPLES, "seed": part.seed, **_judge_of(sweep)}}
    return spec


def environment(job: Any) -> dict[str, str]:
    """The key of an endpoint that judges, for the run's process alone."""
    part = trial_of(job)
    judge = part.trial.sweep.judge if part else None
    return judge.secrets() if judge else {}


def _judge_of(sweep: Sweep) -> dict[str, Any]:
    if sweep.judge is None:
        return {}
    asked = {
        "model": sweep.judge.as_spec(),
        "criteria": sweep.criteria,
        "template_version": TEMPLATE_VERSIONS[-1],
        "sampling": {"max_new_tokens": REASON_TOKENS},
    }
    return {"judge": asked}


def keeps_model(job: Any) -> bool:
    """Whether a model version is made of the job: of a sweep's runs only what it wants to keep."""
    part = trial_of(job)
    return part is None or part.keeps_model


def held_out_prompts(files: Iterable[Path]) -> list[str]:
    """Keys of the held-out prompts in an order that only they decide."""
    keys: set[str] = set()
    for path in files:
        table = pq.read_table(path, columns=["prompt_key", "split"])
        keys.update(table.filter(pc.equal(table["split"], "test"))["prompt_key"].to_pylist())
    return sorted(keys, key=lambda key: (stable_int("held out", key), key))


def half_of(prompts: list[str], purpose: str) -> list[str]:
    """Every second prompt: the first half is tuned on, the other tests what won."""
    return prompts[0 if purpose == Purpose.TUNING else 1 :: 2]


def _leave_half(files: list[Path], folder: Path, purpose: str) -> None:
    """The version's rows without the held-out prompts of the other half."""
    seen = pa.array(half_of(held_out_prompts(files), purpose), pa.string())
    for path in files:
        table = pq.read_table(path)
        wanted = pc.or_(
            pc.not_equal(table["split"], "test"), pc.is_in(table["prompt_key"], value_set=seen)
        )
        target = folder / path.name
        partial = target.with_name(f".{target.name}.partial")
        # a new file in its place: the old one may be a link to the version's own
        pq.write_table(table.filter(wanted), partial, compression="zstd")
        partial.replace(target)


def trial_of(job: Any) -> TrialRun | None:
    return TrialRun.objects.select_related("trial__sweep").filter(job=job.pk).first()
