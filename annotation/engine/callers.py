"""Who asks a judge's endpoint in an engine: at its pace, within its caps, from the ledger first."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from steelyard.inference.judging.calls import Caller
from steelyard.inference.judging.ledger import Ledger
from steelyard.inference.loading import open_endpoint
from steelyard.inference.pipelines.calling import Pipeline, PipelineCaller, Shared
from steelyard.lib.engine import Stop

ASKED = ("endpoint", "pipeline")
"""Families of models whose answers are read, not measured: many at a time, with caps."""


def ledger_of(spec: Mapping[str, Any], judge: str, run: str) -> Ledger:
    """What is known from before; of this process alone where the run names no place for it."""
    return Ledger(Path(spec["calls"]) if spec.get("calls") else None, judge, run)


def caller_of(spec: Mapping[str, Any], ledger: Ledger, stop: Stop) -> Caller | PipelineCaller:
    """For the judge of a run.

    Args:
        spec: what ``run.json`` says: ``judge``, and where they are known ``pace`` and ``spent``.
    """
    judge = spec["judge"]
    if judge["model"]["family"] == "pipeline":
        shared = Shared(
            calls=Path(spec["calls"]) if spec.get("calls") else None,
            pace=Path(spec["pace"]) if spec.get("pace") else None,
            owner=ledger.judge,
            run=ledger.run,
            limits=judge.get("limits", {}),
            spent=spec.get("spent", ()),
        )
        return PipelineCaller(Pipeline(judge["model"], shared, lambda: bool(stop)))
    return Caller(
        open_endpoint(judge["model"]),
        limits=judge.get("limits", {}),
        ledger=ledger,
        pace=Path(spec["pace"]) if spec.get("pace") else None,
        plain=judge["template_version"] == 1 and not judge.get("template"),
        revision=judge["model"].get("revision", ""),
        spent=spec.get("spent", ()),
        stop=lambda: bool(stop),
    )
