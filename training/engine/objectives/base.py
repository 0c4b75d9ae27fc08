"""What an objective is, and what its loss is given to see."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from steelyard.lib.records import PreferenceRecord
from steelyard.lib.rundir import RunDir
from training.engine.data import Dataset, Encoder, Example
from training.engine.forward import Scored


class Seen:
    """Examples of one pass with the log-probabilities of their sequences, asked for by name.

    Every tensor has a row an example, in their order, and is on the model's device; sums and means
    are float64. What comes from the reference carries no gradient.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        scored: Scored,
        reference: Sequence[Sequence[Tensor | None]],
        *,
        has_ties: bool,
        drift: Tensor | None = None,
    ) -> None:
        """
        Args:
            scored: of all rows of the examples, in order.
            reference: for each example one (tokens,) tensor a sequence, in the order of its names;
                None where the reference was not asked.
            has_ties: whether the dataset holds ties at all, here or elsewhere.
            drift: of the whole step, where the objective asks for it (:attr:`Objective.drift`).
        """
        self.examples = examples
        self.has_ties, self.drift = has_ties, drift
        self._scored, self._reference = scored, reference
        self._sums = scored.sums()
        self._starts = scored.lengths.cumsum(0) - scored.lengths
        device = scored.values.device
        self.tie = torch.tensor([e.tie for e in examples], device=device)
        """bool: which examples have no winner."""
        self.both_bad = torch.tensor([e.both_bad for e in examples], device=device)
        """bool: of which examples neither answer is any good."""
        self.weight = torch.tensor([e.weight for e in examples], device=device)
        """How much each counts, from 0 up; the loop multiplies every loss by it."""
        self.p = torch.tensor([e.p for e in examples], device=device)
        """How probable it is that chosen is the better answer, by the votes, 0 to 1."""
        self.agreement = torch.tensor([e.agreement for e in examples], device=device)
        """Share of the votes for the outcome, 0 to 1."""
        self.margin = torch.tensor([e.margin for e in examples], device=device)
        """Mean strength of the votes toward chosen, 0 to 3."""

    def __len__(self) -> int:
        return len(self.examples)

    def has(self, name: str) -> Tensor:
        """Which examples have a sequence of this name, bool, (n,)."""
        return self._places(name) >= 0

    def sum(self, name: str) -> Tensor:
        """log p of the sequence of this name, (n,), in nats; 0 where an example has none."""
        return torch.where(self.has(name), self._sums[self._places(name)], 0.0)

    def mean(self, name: str) -> Tensor:
        """The same per token, (n,)."""
        return self.sum(name) / self.length(name)

    def length(self, name: str) -> Tensor:
        """Tokens of the sequence of this name, (n,), int64; 1 where an example has none."""
        return torch.where(self.has(name), self._scored.lengths[self._places(name)], 1)

    def tokens(self, name: str) -> Tensor:
        """log p of each token, (n, longest), 0 beyond the end of a sequence."""
        lengths, starts = self.length(name), self._starts[self._places(name)]
        place = torch.arange(int(lengths.max()), device=lengths.device)[None]
        there = place < lengths[:, None]
        return torch.where(there, self._scored.values[(starts[:, None] + place) * there], 0.0)

    def reference_sum(self, name: str) -> Tensor:
        """log p of the sequence under the untrained model, (n,)."""
        parts = self._of_reference(name)
        lengths = torch.tensor([len(part) for part in parts])
        # summed as the model's own are, so that equal tokens have equal sums
        sums = Scored(torch.cat(parts).float(), lengths).sums()
        return sums.to(self._scored.values.device)

    def reference_mean(self, name: str) -> Tensor:
        """The same per token, (n,)."""
        return self.reference_sum(name) / self.length(name)

    def reference_tokens(self, name: str) -> Tensor:
        """As :meth:`tokens`, under the untrained model."""
        parts = self._of_reference(name)
        padded = torch.nn.utils.rnn.pad_sequence(parts, batch_first=True)
        return padded.float().to(self._scored.values.device)

    def _places(self, name: str) -> Tensor:
        places, first = [], 0
        for example in self.examples:
            there = name in example.names
            places.append(first + example.names.index(name) if there else -1)
            first += len(example.names)
        return torch.tensor(places, device=self._scored.values.device)

    def _of_reference(self, name: str) -> list[Tensor]:
        found = []
        for example, values in zip(self.examples, self._reference, strict=True):
            value = values[example.names.index(name)]
            assert value is not None, f"the reference was not asked for {name}"
            found.append(value)
        return found


class RowsOf(Protocol):
    """How a record becomes sequences; None leaves it out, counted by the encoder."""

    def __call__(
        self, record: PreferenceRecord, encoder: Encoder, config: Any, /
    ) -> Example | None: ...


class Arrange(Protocol):
    """Examples in, examples out, in their order; ``counts`` are the dataset's, to add to."""

    def __call__(
        self, examples: list[Example], config: Any, counts: Counter[str], /, *, test: bool
    ) -> list[Example]: ...


class After(Protocol):
    """Gets the run's folder, the model as it was trained and the dataset's records; False where it
    was stopped, to be done again by the next start."""

    def __call__(
        self,
        rundir: RunDir,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        records: Sequence[PreferenceRecord],
        config: Any,
        stop: Callable[[], bool],
        /,
    ) -> bool: ...


@dataclass(frozen=True)
class Objective:
    """What a recipe for language models learns from, and at what price."""

    rows: RowsOf
    referenced: frozenset[str]
    """Names of the sequences that the reference must score; empty: there is no reference."""
    loss: Callable[[Seen, Any], tuple[Tensor, dict[str, Tensor]]]
    """Losses of the examples, (n,), before their weights; and more to log, (n,) each, where an
    example that has no such number has NaN."""
    notes: Callable[[Any, bool], list[str]] = lambda config, has_ties: []
    """What to say of the settings before training, told whether the dataset holds ties."""
    arrange: Arrange | None = None
    """What needs the other examples too, such as answers to other prompts: called once with all
    examples to train on and once with those to test with."""
    drift: str = ""
    """Name of a sequence that is scored before a step without a gradient, over all its examples:
    the mean of log p - log p_ref is :attr:`Seen.drift` in each of the step's passes, which leave
    that sequence out. It stands last, in a row to itself, and is scored by the reference too."""
    measured: tuple[str, ...] = ()
    """Names of what the loss logs that the test rows are measured by besides loss and reward."""
    orders: Callable[[Dataset, Any], list[dict[str, Any]]] | None = None
    """In which order answers stand where a prompt shows both, a line a pair: kept with the run,
    since chance decided it."""
    after: After | None = None
    """What is done with the trained model before the run ends."""
