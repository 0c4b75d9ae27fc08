"""How the next token is chosen: by a hash of seed, prompt and place, whatever the batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import LogitsProcessor, StoppingCriteria

from steelyard.inference.interrupted import Interrupted as Interrupted
from steelyard.lib.hashing import digest_of, stable_uniform


class Draw(LogitsProcessor):
    """Chooses each row's next token and leaves it alone possible.

    Token number n of an item is picked by a number in [0, 1) that is a hash of (seed, prompt, n),
    through the cumulative distribution in the order of the vocabulary: near-equal probabilities
    that change places under rounding do not change the choice, as they would in sorted order.
    """

    def __init__(
        self, items: Sequence[tuple[int, Sequence[int]]], temperature: float, top_p: float
    ) -> None:
        self.keys = [(seed, digest_of(list(ids))) for seed, ids in items]
        self.temperature, self.top_p = temperature, top_p
        self.step = 0

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.Tensor:
        if self.temperature == 0:
            chosen = scores.argmax(-1)
        else:
            places = [stable_uniform(*key, self.step) for key in self.keys]
            chosen = choose(scores, places, temperature=self.temperature, top_p=self.top_p)
        self.step += 1
        only = torch.full_like(scores, -torch.inf)
        return only.scatter_(-1, chosen[:, None], 0.0)


def choose(
    logits: torch.Tensor, places: Sequence[float], *, temperature: float, top_p: float
) -> torch.Tensor:
    """Map numbers in [0, 1) to tokens, [rows], by the cumulative distribution of ``logits``.

    Args:
        logits: [rows, vocabulary].
        places: one a row; evenly spread ones give tokens as often as they are probable.
    """
    probabilities = (logits.double() / temperature).softmax(-1)
    if top_p < 1:
        ordered, ids = probabilities.sort(-1, descending=True)
        outside = ordered.cumsum(-1) - ordered >= top_p
        probabilities = probabilities.masked_fill(outside.gather(-1, ids.argsort(-1)), 0.0)
    sums = probabilities.cumsum(-1)
    wanted = torch.tensor(places, dtype=sums.dtype, device=sums.device)[:, None] * sums[:, -1:]
    # the first token whose sum exceeds the place; the last possible one guards against rounding
    chosen = torch.searchsorted(sums, wanted, right=True)[:, 0]
    last = sums.shape[-1] - 1 - (probabilities > 0).flip(-1).int().argmax(-1)
    return torch.minimum(chosen, last)


class Interruption(StoppingCriteria):
    """Never ends an answer; breaks the batch off when ``stop`` says so."""

    def __init__(self, stop: Callable[[], bool]) -> None:
        self.stop = stop

    def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> torch.Tensor:
        if self.stop():
            raise Interrupted
        return torch.zeros(input_ids.shape[0], dtype=torch.bool, device=input_ids.device)
