"""What people said of parts of pictures and clips, as weights over latent samples.

Verdicts on segments of a clip become one weight a latent frame; boxes and times that reasons point
at become masks. Seconds count from the clip's start, boxes are shares of the upright picture, and
what cropping took away is left out of both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from steelyard.lib.records import PreferenceRecord
from training.engine.diffusion_media import Facts, Place, seen

ABOUT = 0.5
"""Seconds before and after the moment that a box in a clip was drawn at."""
Segment = tuple[float, float, int]
What = Literal["whole", "segments", "regions"]
"""What errors are averaged over: a sample; each segment of a clip that people judged by itself; a
sample, and what people marked of it."""
_BETTER = {"chosen": 1, "rejected": -1}


class Region(NamedTuple):
    """A box, for a while where it is a clip's."""

    side: str
    """chosen or rejected."""
    left: float
    top: float
    right: float
    bottom: float
    """Shares of the picture, as the others."""
    start: float = 0.0
    end: float = float("inf")
    """Seconds."""


def segments_of(record: PreferenceRecord) -> tuple[Segment, ...]:
    return tuple(
        (float(item["start"]), float(item["end"]), _BETTER.get(item.get("better", ""), 0))
        for item in record.segments
    )


def regions_of(record: PreferenceRecord) -> tuple[Region, ...]:
    """Of all reasons, in their order, each once."""
    found = [
        _region(item)
        for rationale in record.rationales
        for item in rationale.get("evidence") or ()
        if item.get("kind") in ("box", "time") and item.get("answer") in _BETTER
    ]
    return tuple(dict.fromkeys(found))


def _region(item: dict[str, float | str]) -> Region:
    side = str(item["answer"])
    if item["kind"] == "time":
        return Region(side, 0.0, 0.0, 1.0, 1.0, float(item["start"]), float(item["end"]))
    left, top = float(item["x"]), float(item["y"])
    box = (left, top, left + float(item["width"]), top + float(item["height"]))
    if item.get("at") is None:
        return Region(side, *box)
    at = float(item["at"])
    return Region(side, *box, max(0.0, at - ABOUT), at + ABOUT)


def frame_times(place: Place, latents: int, rule: tuple[int, int]) -> list[tuple[float, float]]:
    """From when to when each latent frame stands for the clip, in seconds.

    A video encoder takes the first frame alone and then ``rule[0]`` frames at a time.
    """
    every = rule[0]
    if every and (latents - 1) * every + 1 == place.frames:
        bounds = [0, *(1 + every * number for number in range(latents))]
    else:
        bounds = [round(place.frames * number / latents) for number in range(latents + 1)]
    return [(bounds[n] / place.rate, bounds[n + 1] / place.rate) for n in range(latents)]


def segments_on(
    segments: Sequence[Sequence[Segment]],
    places: Sequence[Place],
    shape: torch.Size,
    rule: tuple[int, int],
) -> tuple[Tensor, Tensor]:
    """Weights (2 x pairs, most segments, 1, frames, 1, 1), the same for both sides, and what is
    better in each (pairs, most segments).

    A pair without verdicts on segments has one, all of it, in which chosen is better. A segment
    beyond what is trained of the clip has no weight and says nothing.

    Args:
        segments, places: one a pair.
        shape: of a latent sample; a picture has no frames, and one of its own for this.
    """
    latents = shape[1] if len(shape) == 4 else 1
    most = max(1, max(map(len, segments), default=0))
    weights = torch.zeros(len(segments), most, latents)
    better = torch.zeros(len(segments), most)
    for row, (own, place) in enumerate(zip(segments, places, strict=True)):
        if not own or len(shape) != 4:
            weights[row, 0], better[row, 0] = 1.0, 1.0
            continue
        times = frame_times(place, latents, rule)
        for column, (start, end, verdict) in enumerate(own):
            weights[row, column] = torch.tensor([_covered(start, end, *time) for time in times])
            better[row, column] = verdict if weights[row, column].any() else 0
    wide = weights.view(len(segments), most, 1, *((latents, 1, 1) if len(shape) == 4 else (1, 1)))
    return torch.cat([wide, wide]), better


def regions_on(
    regions: Sequence[Region],
    facts: tuple[Facts, Facts],
    place: Place,
    shape: torch.Size,
    rule: tuple[int, int],
    *,
    flip: bool,
) -> tuple[Tensor, Tensor]:
    """Weights of the chosen and of the rejected sample, each (2, 1, [frames,] height, width): all
    of it, then what was marked.

    Where only one side has marks the other takes them too; where neither has, all of it counts.

    Args:
        facts: of the chosen and of the rejected file.
    """
    masks = [
        _mask([r for r in regions if r.side == side], own, place, shape, rule, flip)
        for side, own in zip(_BETTER, facts, strict=True)
    ]
    there = [mask for mask in masks if mask.any()]
    whole = torch.ones(1, *shape[1:])
    chosen, rejected = (mask if mask.any() else there[0] if there else whole for mask in masks)
    return torch.stack([whole, chosen]), torch.stack([whole, rejected])


def _mask(
    regions: Sequence[Region],
    facts: Facts,
    place: Place,
    shape: torch.Size,
    rule: tuple[int, int],
    flip: bool,
) -> Tensor:
    """How much of each latent cell is marked, (1, [frames,] height, width)."""
    mask = torch.zeros(1, *shape[1:])
    left, top, right, bottom = seen(facts, place)
    for region in regions:
        across = _cells(region.left, region.right, left, right, shape[-1])
        down = _cells(region.top, region.bottom, top, bottom, shape[-2])
        cells = torch.outer(down, across.flip(0) if flip else across)
        if len(shape) == 4:
            times = frame_times(place, shape[1], rule)
            spans = [_covered(region.start, region.end, *time) for time in times]
            cells = torch.tensor(spans).view(-1, 1, 1) * cells
        mask = torch.maximum(mask, cells[None])
    return mask


def _cells(start: float, end: float, low: float, high: float, count: int) -> Tensor:
    """How much of each of ``count`` cells between low and high lies between start and end."""
    size = (high - low) / count
    bounds = [(low + size * n, low + size * (n + 1)) for n in range(count)]
    return torch.tensor([_covered(start, end, *bound) for bound in bounds])


def _covered(start: float, end: float, low: float, high: float) -> float:
    return max(0.0, min(end, high) - max(start, low)) / (high - low)
