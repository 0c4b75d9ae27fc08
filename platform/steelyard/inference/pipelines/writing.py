"""A pipeline that writes as any other model does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from steelyard.inference.loading import Media, check_blind
from steelyard.inference.pipelines.calling import Pipeline, check_members
from steelyard.inference.pipelines.config import read_config


class PipelineWriter:
    """Several prompts go through the layers together."""

    batch_size = 8

    def __init__(self, spec: Mapping[str, Any], stop: Callable[[], bool] | None = None) -> None:
        self.spec = spec
        check_members(spec["members"], read_config(spec["layers"]))
        self.pipeline = Pipeline(spec, stop=stop)
        self.records: list[dict[str, Any]] = []
        """Of the prompts of the last :meth:`write`: who said what."""

    def write(
        self,
        prompts: Sequence[Sequence[Mapping[str, Any]]],
        *,
        sampling: Mapping[str, Any],
        seeds: Sequence[int],
        media: Media = (),
    ) -> list[str]:
        check_blind(self.spec, media)
        made = self.pipeline.run(prompts, seeds, sampling)
        self.records = [one.as_dict() for one in made]
        return [one.text for one in made]

    def close(self) -> None:
        self.pipeline.close()


def check_pipeline(spec: Mapping[str, Any], media: Media) -> None:
    """
    Raises:
        UserError: a member is not there or cannot be loaded, or there is something to look at.
    """
    check_blind(spec, media)
    check_members(spec["members"], read_config(spec["layers"]))
