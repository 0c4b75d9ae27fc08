"""Pipelines: models made of models, and the search for good ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from steelyard_client.runs import Run, RunVerbs

Layers = Sequence[Sequence[dict[str, Any]]]


class PipelineVerbs(RunVerbs):
    def pipelines(self) -> list[dict[str, Any]]:
        """The project's pipelines with their ``layers`` and ``calls``, the newest first."""
        found: list[dict[str, Any]] = self._connection.get(f"{self._path}/pipelines")
        return found

    def add_pipeline(self, name: str, layers: Layers) -> dict[str, Any]:
        """Add a pipeline; ``layers`` are lists of components with ``type`` and ``model``."""
        body = {"name": name, "layers": layers}
        made: dict[str, Any] = self._connection.post(f"{self._path}/pipelines", body)
        return made

    def check_pipeline(self, layers: Layers) -> dict[str, Any]:
        """Whether layers may become a pipeline, and its ``calls``; nothing is kept."""
        body = {"layers": layers}
        found: dict[str, Any] = self._connection.post(f"{self._path}/pipelines/check", body)
        return found

    def output_record(self, output: int) -> dict[str, Any]:
        """Who said what before an output of a pipeline was there, by its number."""
        found: dict[str, Any] = self._connection.get(f"{self._path}/outputs/{output}/record")
        return found

    def search_pipelines(
        self, generators: Sequence[str], baseline: str, judge: str, **options: Any
    ) -> Run:
        """Look for pipelines that a judge prefers to a baseline (``helpers``, ``prompt_set``,
        ``prompts``, ``trials``, ``max_calls``, ``budget``, ``seed``)."""
        body = {"generators": list(generators), "baseline": baseline, "judge": judge, **options}
        return self._run(self._connection.post(f"{self._path}/pipeline-searches", body))

    def pipeline_search(self, run: int) -> dict[str, Any]:
        """What a search has tried in ``trials``, with ``fresh`` of those scored again."""
        found: dict[str, Any] = self._connection.get(f"{self._path}/pipeline-searches/{run}")
        return found

    def keep_pipeline(self, run: int, trial: int, name: str) -> dict[str, Any]:
        """Make a pipeline that a search has tried a model."""
        path = f"{self._path}/pipeline-searches/{run}/pipelines"
        made: dict[str, Any] = self._connection.post(path, {"trial": trial, "name": name})
        return made
