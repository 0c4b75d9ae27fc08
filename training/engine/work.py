"""What the steps of a run share, one pass through the model, and what is told of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from steelyard.lib.engine import Stop
from steelyard.lib.rundir import RunDir
from steelyard.lib.said import Said
from training.engine.adapter import Saved
from training.engine.config import TextRecipe
from training.engine.data import Dataset, passes
from training.engine.distributed import AgreedStop, gather, per_pass
from training.engine.drift import Apart, mean_drift
from training.engine.dropout import Draws
from training.engine.forward import Scored, compile_layers, one_by_one, score, why_not_packed
from training.engine.objectives import Objective, Seen
from training.engine.reference import Values
from training.engine.remembering import Remembering
from training.engine.words import WORDS

FALL = 0.1
"""How much log-probability a token of the chosen answers may lose, in nats, before it is told."""
Told = tuple[Sequence[int], dict[str, Tensor]]
"""Numbers of the examples of a pass, and what is told of them, (n,) each, by name."""


@dataclass
class Work(Remembering):
    """What the steps share."""

    KEPT = frozenset({"last", "first", "losses", "shifts", "told"})
    WATCHED: ClassVar[dict[str, str]] = {"loss": "losses", "shift_chosen": "shifts"}

    rundir: RunDir
    stop: Stop | AgreedStop
    config: TextRecipe
    objective: Objective
    model: PreTrainedModel
    words: Saved
    """Tokenizer or processor: what is kept beside all weights."""
    dataset: Dataset
    has_ties: bool
    reference: Values
    apart: Apart
    dtype: torch.dtype
    prefix: bool
    draws: Draws
    parameters: dict[str, nn.Parameter]
    optimizer: torch.optim.Optimizer
    total: int
    """Steps of the whole run."""
    sample: Callable[[int], None] = lambda step: None
    drift: Tensor | None = None
    """Of the step at hand, where the objective asks for it."""
    halved: int = 0
    """How often passes were cut in two for lack of memory."""
    last: dict[str, float] = field(default_factory=dict)
    """The newest value of each metric."""
    first: dict[str, float] = field(default_factory=dict)
    """The first value of each metric."""
    losses: list[float] = field(default_factory=list)
    """Of the last LOOK_BACK steps."""
    shifts: list[float] = field(default_factory=list)
    """By how much chosen answers gained since the start, nats a token, in as many steps."""
    told: bool = False
    """Whether it was said that they lose."""

    @property
    def kept(self) -> dict[str, nn.Parameter]:
        return self.parameters

    def passes(self, numbers: Sequence[int]) -> list[list[int]]:
        return passes_of(self.config, self.dataset, numbers, self.halved)

    def measure_drift(self, numbers: Sequence[int]) -> None:
        """Before the passes of a step with these examples."""
        self.drift = mean_drift(
            self.apart,
            self.passes(numbers),
            lambda rows: score(self.model, rows, dtype=self.dtype, prefix=self.prefix),
        )

    @cached_property
    def names(self) -> list[str]:
        """Of all sequences that some example has."""
        return sorted({name for example in self.dataset.examples for name in example.names})


def per_step(config: TextRecipe) -> int:
    """Pairs in one optimiser step."""
    return config.batch_size * config.accumulation


def passes_of(
    config: TextRecipe, dataset: Dataset, numbers: Sequence[int], halved: int = 0
) -> list[list[int]]:
    """Numbers of examples as they go through the model together."""
    size = per_pass(len(numbers), max(1, config.batch_size >> halved))
    tokens = config.tokens_per_pass >> halved
    return passes(numbers, dataset.examples, size=size, tokens=tokens)


def prepare_passes(
    rundir: RunDir, config: TextRecipe, model: PreTrainedModel, dataset: Dataset, dtype: torch.dtype
) -> bool:
    """Settle how the model is read; whether prompts are shared by their answers."""
    on_gpu = model.device.type == "cuda"
    if on_gpu and config.attention == "flex":
        model.set_attn_implementation("flex_attention")
    if on_gpu and config.compile:
        compile_layers(model)
    if not on_gpu and (config.compile or config.attention == "flex"):
        rundir.event(Said(WORDS, "no_flex"))
    if not config.share_prompt:
        return False
    rows = [row for example in dataset.examples for row in example.rows]
    reason = why_not_packed(model, rows, dtype=dtype)
    if reason and on_gpu and config.attention == "flex":
        rundir.event(Said(WORDS, "flex_unread", reason=reason))
        model.set_attn_implementation("sdpa")
        reason = why_not_packed(model, rows, dtype=dtype)
    if reason:
        rundir.event(Said(WORDS, "not_packed", reason=reason))
    return not reason


def look(
    work: Work, numbers: Sequence[int], trained: bool = True
) -> tuple[Tensor, dict[str, Tensor]]:
    """The losses of examples, (n,), and all that is told of them, each (n,)."""
    examples = [work.dataset.examples[number] for number in numbers]
    reference = [work.reference[number] for number in numbers]
    flat = [value for values in reference for value in values]
    if not trained and all(value is not None for value in flat):
        # the untrained model is the reference: exactly even, without the noise of padding
        lengths = torch.tensor([len(value) for value in flat])  # type: ignore[arg-type]
        parts = torch.cat(flat), lengths  # type: ignore[arg-type]
        scored = Scored(*(part.to(work.model.device) for part in parts))
    else:
        rows = [row for example in examples for row in example.rows]
        scored = score(work.model, rows, dtype=work.dtype, prefix=work.prefix)
    seen = Seen(examples, scored, reference, has_ties=work.has_ties, drift=work.drift)
    each, more = work.objective.loss(seen, work.config)
    losses = each * seen.weight
    told = {"loss": losses.detach(), **more}
    for name in work.names:
        told[f"length_{name}"] = torch.where(seen.has(name), seen.length(name), torch.nan)
    for name in sorted(work.objective.referenced & {"chosen", "rejected"}):
        told[f"shift_{name}"] = (seen.mean(name) - seen.reference_mean(name)).detach()
    return losses, told


def nothing(each: dict[str, Tensor]) -> Told:
    """The same columns without a row, for a pass that does not count."""
    return [], {name: column[:0] for name, column in each.items()}


def table_of(told: list[Told]) -> dict[str, Tensor]:
    """What was told in all passes of all processes, a float64 column a name, on the CPU."""
    names = list(told[0][1])
    parts = [
        torch.stack([torch.tensor(numbers), *(v.cpu() for v in each.values())]).double()
        for numbers, each in told
    ]
    columns = gather(torch.cat(parts, dim=1).T)
    return dict(zip(["example", *names], columns.T, strict=True))


def means_of(table: dict[str, Tensor]) -> dict[str, float]:
    """Of each column over the examples that have such a number; no column where none has."""
    means = {name: float(column.nanmean()) for name, column in table.items() if name != "example"}
    return {name: mean for name, mean in means.items() if name == "loss" or mean == mean}


def rows_without_number(work: Work, table: dict[str, Tensor]) -> list[str]:
    """The rows whose loss is no number, or none that a gradient could be of, in words."""
    bad = table["example"][~table["loss"].float().isfinite()].int().tolist()
    found = [work.dataset.examples[number] for number in sorted(bad)]
    return [
        Said(WORDS, "row_pair", number=example.number, pair=example.key[:12]) for example in found
    ]


def draw_dropout(work: Work, step: int, numbers: Sequence[int]) -> None:
    """Set the seeds of the adapter's dropout for the rows of a pass."""
    found = []
    for number in numbers:
        example = work.dataset.examples[number]
        rows = example.rows if work.prefix else one_by_one(example.rows)
        found += [(f"{number} {place}", row.packed) for place, row in enumerate(rows)]
    work.draws.next(work.config.seed, step, found)


def tokens_of(work: Work, number: int) -> int:
    """How many tokens of an example go through the model."""
    rows = work.dataset.examples[number].rows
    return sum(row.packed for row in (rows if work.prefix else one_by_one(rows)))


def halve_passes(work: Work, rows: int) -> bool:
    """Make passes half as large; False where they are as small as can be, or it is not wanted."""
    largest = max(map(len, work.passes(range(rows))))
    if not work.config.halve_on_oom or largest == 1:
        return False
    work.halved += 1
    torch.cuda.empty_cache()
    work.rundir.event(
        Said(WORDS, "halved"),
        "warning",
    )
    return True


def tell_fall(work: Work) -> None:
    """Say once where chosen answers lose probability although the margin grows."""
    shift = sum(work.shifts) / len(work.shifts)
    if work.told or shift > -FALL or work.last.get("reward_margin", 0) <= 0:
        return
    work.told = True
    work.rundir.event(
        Said(WORDS, "chosen_fall", nats=f"{-shift:.2f}"),
        "warning",
    )
