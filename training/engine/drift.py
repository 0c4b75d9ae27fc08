"""How far a model has moved on sequences that it does not learn from: a number for a whole step.

It must not hang on how a step is cut into passes or shared by processes, so it is measured before
the step's own passes, over all its examples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from training.engine.data import Dataset
from training.engine.distributed import agreed, gather, share
from training.engine.forward import Row, Scored
from training.engine.reference import Values

Apart = list[tuple[Row, Tensor]]
"""For each example the row that drift is measured on, and what the reference gives for its tokens;
empty where an objective asks for none."""


def set_apart(name: str, dataset: Dataset, reference: Values) -> Apart:
    """Take the sequence of this name, the last one in a row to itself, out of all examples and of
    what the reference said; nothing where ``name`` is empty."""
    found: Apart = []
    for place, example in enumerate(dataset.examples if name else []):
        value = reference[place][-1]
        assert example.names[-1] == name
        assert value is not None
        found.append((example.rows[-1], value))
        left = replace(example, rows=example.rows[:-1], names=example.names[:-1])
        dataset.examples[place], reference[place] = left, reference[place][:-1]
    return found


@torch.no_grad()
def mean_drift(
    apart: Apart, passes: Sequence[list[int]], score: Callable[[Sequence[Row]], Scored]
) -> Tensor | None:
    """The mean of log p - log p_ref over the examples of these passes, in all processes; a float32
    number on the model's device, None where nothing was set apart."""
    if not apart:
        return None
    found, device = [torch.zeros(0)], torch.device("cpu")
    short = False
    for place, numbers in share(passes, even=True):
        try:
            scored = score([apart[number][0] for number in numbers])
        except torch.OutOfMemoryError:
            # the other processes hear of it before they wait for what this one has not
            short = True
            break
        device = scored.values.device
        then = torch.cat([apart[number][1] for number in numbers]).to(device)
        if place >= 0:
            found.append((scored.sums() - Scored(then, scored.lengths).sums()).cpu())
    if agreed(short):
        raise torch.OutOfMemoryError
    return gather(torch.cat(found)[:, None].double()).mean().float().to(device)
