"""What the steps of a run on pictures or clips share, one pass through the model, and what is told
of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor, nn

from steelyard.lib.engine import Stop
from steelyard.lib.errors import UserError
from steelyard.lib.rundir import RunDir
from steelyard.lib.said import Said
from training.engine.config import DiffusionDPOConfig
from training.engine.diffusion_data import Chances, Draw, MediaDataset, MediaPair
from training.engine.diffusion_losses import (
    PairErrors,
    beta_for,
    dense_dpo,
    kto_drift,
    pair_losses,
    rewards,
    slope_at_start,
)
from training.engine.diffusion_losses_terms import held_back, rank_weights, safe_share
from training.engine.diffusion_model import DiffusionModel, Output, pairs_of
from training.engine.diffusion_parts import What, what_of
from training.engine.diffusion_prepared import Bank, Batch, Prepared
from training.engine.distributed import AgreedStop, gather, per_pass, share, world
from training.engine.loop import LOOK_BACK, rows_of_step, steps_in_epoch
from training.engine.remembering import Remembering
from training.engine.words import WORDS

BETA_MEMORY = 0.99
"""How much of the mean rise that beta follows is kept at each step."""
BETA_PER_ELEMENT = (1e-3, 10.0)
"""Within what auto_beta stays."""
LEVELS = 4
"""Into so many ranges of noise what is told is parted."""
OFTEN = 18
"""In so many of the last LOOK_BACK steps the chosen error lies above the reference's by chance
hardly ever: in one of 5000 such stretches."""


@dataclass
class Work(Remembering):
    """What the steps share; only weights, optimiser and ``KEPT`` change."""

    KEPT = frozenset({"last", "first", "losses", "rises", "typical_rise", "told"})
    WATCHED: ClassVar[dict[str, str]] = {"loss": "losses", "rise_chosen": "rises"}

    rundir: RunDir
    stop: Stop | AgreedStop
    config: DiffusionDPOConfig
    model: DiffusionModel
    dataset: MediaDataset
    prepared: Prepared
    chances: Chances
    optimizer: torch.optim.Optimizer
    weights: dict[str, float]
    """What each pair counts, by its key."""
    bank: Bank | None = None
    """The frozen model's errors on the pairs to train on at all prepared draws."""
    test_bank: Bank | None = None
    sample: Callable[[int], None] = lambda step: None
    halved: int = 0
    """How often passes were cut in two for lack of memory."""
    last: dict[str, float] = field(default_factory=dict)
    """The newest value of each metric."""
    first: dict[str, float] = field(default_factory=dict)
    """The first value of each metric."""
    losses: list[float] = field(default_factory=list)
    """Of the last LOOK_BACK steps."""
    rises: list[float] = field(default_factory=list)
    """Of the chosen error over the reference's, in as many steps."""
    typical_rise: list[float] = field(default_factory=list)
    """For auto_beta: a fading sum of what steps' rises were like, and of its weights."""
    told: bool = False
    """Whether it was said that the chosen error rises."""

    @property
    def per_step(self) -> int:
        """Pairs in one optimiser step."""
        return self.config.batch_size * self.config.accumulation

    @cached_property
    def elements(self) -> int:
        """Of a clean sample, of the shape that most pairs have."""
        return self.prepared.elements

    @property
    def parameters(self) -> dict[str, nn.Parameter]:
        return self.model.parameters

    @property
    def kept(self) -> dict[str, nn.Parameter]:
        return {
            **self.parameters,
            **{f"mean of {name}": mean for name, mean in self.model.mean.items()},
        }

    @property
    def beta(self) -> float:
        """What the next step counts with: the config's, or what auto_beta has found."""
        config, found = self.config, self.typical_rise
        if not config.auto_beta or not found:
            return config.beta
        low, high = (bound * self.elements for bound in BETA_PER_ELEMENT)
        return min(max(beta_for(config.auto_beta, found[0] / found[1]), low), high)

    @property
    def what(self) -> What:
        """What errors are averaged over."""
        return what_of(self.config)

    def rows_of(self, step: int) -> list[int]:
        """Which pairs to train on a step takes."""
        rows, seed = len(self.dataset.train), self.config.seed
        return rows_of_step(step, rows=rows, per_step=self.per_step, seed=seed)

    def visit_of(self, step: int) -> int:
        """How often all pairs have been gone through before a step; among prepared draws."""
        visit = step // steps_in_epoch(len(self.dataset.train), self.per_step)
        return visit % self.config.reference_draws if self.config.reference_draws else visit

    def prepared_draw(self, key: str, number: int) -> Draw:
        """The chances of a pair at its prepared draw ``number``; its noise levels lie apart from
        each other, however many there are."""
        return self.chances.prepared(key, number, spread=self.config.stratified)

    def draws_of(self, step: int, rows: Sequence[int]) -> list[Draw]:
        """The chances of a step's pairs, whichever passes and processes they go to."""
        keys, visit = [self.dataset.train[row].key for row in rows], self.visit_of(step)
        if self.config.reference_draws:
            return [self.prepared_draw(key, visit) for key in keys]
        draws = [self.chances.draw(key, visit) for key in keys]
        if not self.config.stratified:
            return draws
        # their order is new in every epoch, so that each pair gets to see all levels
        count = len(draws)
        return [d._replace(uniform=(place + d.uniform) / count) for place, d in enumerate(draws)]

    def follow_rise(self, table: dict[str, Tensor]) -> None:
        """Let auto_beta learn of a step; the table is the same in all processes."""
        if self.config.auto_beta:
            rise = float((table["rise_chosen"] - table["rise_rejected"]).abs().nanmean())
            if rise != rise:
                return  # no pair of the step has a winner
            total, weight = self.typical_rise or (0.0, 0.0)
            keep = BETA_MEMORY
            self.typical_rise = [keep * total + (1 - keep) * rise, keep * weight + 1 - keep]


def weights_of(config: DiffusionDPOConfig, dataset: MediaDataset) -> dict[str, float]:
    """What each pair counts, by its key: 1 on average over those to train on."""

    def own(pair: MediaPair) -> float:
        if config.weight_by == "none":
            return pair.weight
        if config.weight_by == "agreement":
            return pair.weight * pair.agreement
        # of two bad ones nobody says how much better one is: a plain verdict
        return pair.weight * (1.0 if pair.both else pair.strength)

    found = {pair.key: own(pair) for pair in dataset.pairs}
    for part in (dataset.train, dataset.test) if config.loss_type == "rank" else ():
        ranks = rank_weights([(pair.group, pair.chosen, pair.rejected) for pair in part])
        for pair, weight in zip(part, ranks, strict=True):
            found[pair.key] *= weight
    total = sum(found[pair.key] for pair in dataset.train)
    if not total:
        raise UserError(
            Said(WORDS, "no_weights", weight_by=config.weight_by),
            code="no_train_rows",
            field="weight_by",
        )
    scale = len(dataset.train) / total
    return {key: weight * scale for key, weight in found.items()}


def passes_of(work: Work, pairs: Sequence[MediaPair]) -> list[list[int]]:
    """Places in ``pairs`` as they go through the model together: of one shape, in order."""
    size = per_pass(len(pairs), max(1, work.config.batch_size >> work.halved))
    return work.prepared.passes(pairs, size)


@dataclass
class Pass:
    """Pairs that go through the model together, with what is known of them before."""

    rows: list[int]
    """Which they are among all to train on, or to test with."""
    batch: Batch
    weights: Tensor
    """What each counts, (pairs,)."""
    good: PairErrors
    """For kto: 1 for a side that is liked and -1 for one that is not, (pairs,) each."""
    reference: Tensor | None
    """Errors of the frozen model's own output where they were prepared, (pairs, 2[, parts])."""


def make_pass(
    work: Work,
    rows: list[int],
    pairs: Sequence[MediaPair],
    draws: Sequence[Draw],
    bank: Tensor | None,
) -> Pass:
    device = work.model.device
    liked = [(pair.both or 1, pair.both or -1) for pair in pairs]
    return Pass(
        rows,
        work.prepared.batch(pairs, draws, device, work.what),
        torch.tensor([work.weights[pair.key] for pair in pairs], device=device),
        PairErrors(*torch.tensor(liked, device=device, dtype=torch.float32).T),
        None if bank is None else bank.to(device),
    )


def _as_asked(work: Work, errors: Tensor, times: Tensor) -> PairErrors:
    """Errors of the model's own output, (2 x pairs[, parts]), as the losses take them."""
    errors = work.model.in_unit(errors, times)
    if work.what == "regions":
        share = work.config.region_weight
        errors = (1 - share) * errors[:, 0] + share * errors[:, 1]
    elif errors.ndim == 1 and work.what == "segments":
        errors = errors[:, None]
    return pairs_of(errors)


def reference_of(work: Work, one: Pass) -> PairErrors:
    """The reference's errors as the losses take them; zero where the loss asks for none."""
    times = one.batch.times
    if one.reference is not None:
        both = torch.cat([one.reference[:, 0], one.reference[:, 1]])
    elif work.config.referenced:
        both = work.model.reference(one.batch, one.batch.parts)
    else:
        return PairErrors(*torch.zeros(2, one.batch.pairs, device=times.device))
    return _as_asked(work, both, times)


def look(
    work: Work, one: Pass, drift: Tensor | float = 0.0, untrained: bool = False
) -> tuple[Tensor, dict[str, Tensor]]:
    """The losses of a pass's pairs, (pairs,), and all that is told of them, each (pairs,).

    Args:
        untrained: the trained model is the reference still, so where that is known it is not asked.
    """
    config, beta, times = work.config, work.beta, one.batch.times
    reference = reference_of(work, one)
    if untrained and one.reference is not None:
        errors = counted = reference
    else:
        seen = work.model.look(one.batch, one.batch.parts)
        errors = counted = _as_asked(work, seen.errors, times)
        if config.safeguard:
            counted = held_back(errors, _share(seen, config.safeguard_slack))
    better = one.batch.better
    if better is not None:
        losses = dense_dpo(counted, reference, better, beta)
        # over all that was judged, for people to read
        says = better.abs() / better.abs().sum(1, keepdim=True).clamp(min=1e-9)
        errors = PairErrors(*((side * says).sum(1) for side in errors))
        reference = PairErrors(*((side * says).sum(1) for side in reference))
    else:
        losses = pair_losses(counted, reference, config, beta, good=one.good, drift=drift)
    if config.sft_weight:
        held = errors.chosen - reference.chosen
        losses = losses + config.sft_weight * slope_at_start(config, beta) * held
    losses = losses * one.weights
    told = told_of(work, losses, errors, reference, times[: one.batch.pairs])
    won = one.good.chosen != one.good.rejected
    of_pairs = {name for name in told if name.startswith(("reward_", "rise_"))}
    return losses, {
        name: value.where(won, torch.nan) if name in of_pairs else value
        for name, value in told.items()
    }


def _share(seen: Output, slack: float) -> Tensor:
    chosen, rejected = seen.off.chunk(2)
    return safe_share(chosen, rejected, slack)


@torch.no_grad()
def told_of(
    work: Work, losses: Tensor, errors: PairErrors, reference: PairErrors, times: Tensor
) -> dict[str, Tensor]:
    """One value a pair; equal rewards count as one half of an agreement, and what belongs to
    another range of noise is no number."""
    gained = rewards(errors, reference, work.beta)
    margin = gained.margin
    values = {
        "loss": losses,
        "reward_margin": margin,
        "reward_accuracy": ((margin > 0).float() + (margin >= 0).float()) / 2,
        "reward_chosen": gained.chosen,
        "reward_rejected": gained.rejected,
        "error_chosen": errors.chosen,
        "error_rejected": errors.rejected,
    }
    if work.config.referenced:
        values["rise_chosen"] = errors.chosen - reference.chosen
        values["rise_rejected"] = errors.rejected - reference.rejected
    level = (work.model.level(times) * LEVELS).floor().clamp(0, LEVELS - 1)
    for number in range(LEVELS):
        here = level == number
        values[f"loss_noise_{number + 1}"] = torch.where(here, losses, torch.nan)
        values[f"reward_margin_noise_{number + 1}"] = torch.where(here, margin, torch.nan)
    return {name: value.detach() for name, value in values.items()}


@torch.no_grad()
def drift_of(
    work: Work, passes: Sequence[list[int]], make: Callable[[list[int]], Pass]
) -> Tensor | float:
    """KTO's drift over all pairs of a step, however they are parted into passes and processes."""
    if work.config.loss_type != "kto":
        return 0.0
    found = [torch.zeros(0, 2)]
    for _, places in share(passes):
        one = make(places)
        errors = _as_asked(work, work.model.look(one.batch).errors, one.batch.times)
        reference = reference_of(work, one)
        found.append(torch.stack([torch.cat(list(errors)), torch.cat(list(reference))], 1).cpu())
    both = gather(torch.cat(found)).to(work.model.device)
    return kto_drift(both[:, 0], both[:, 1], work.beta)


Told = tuple[Sequence[int], dict[str, Tensor]]
"""Row numbers of the pairs of a pass, and what is told of them, (pairs,) each, by name."""


def nothing(each: dict[str, Tensor]) -> Told:
    """The same columns without a row, for a pass that does not count."""
    return [], {name: column[:0] for name, column in each.items()}


def table_of(told: list[Told]) -> dict[str, Tensor]:
    """What was told in all passes of all processes, a float64 column a name, on the CPU."""
    names = list(told[0][1])
    parts = [
        torch.stack(
            [torch.tensor(rows, dtype=torch.float64), *(v.cpu().double() for v in each.values())]
        )
        for rows, each in told
    ]
    columns = gather(torch.cat(parts, dim=1).T)
    return dict(zip(["row", *names], columns.T, strict=True))


def means_of(table: dict[str, Tensor]) -> dict[str, float]:
    """Of each column over the pairs that have such a number; no column where none has."""
    means = {name: float(column.nanmean()) for name, column in table.items() if name != "row"}
    return {name: mean for name, mean in means.items() if name == "loss" or mean == mean}


def rows_without_number(table: dict[str, Tensor], pairs: Sequence[MediaPair]) -> list[str]:
    """The pairs whose loss is no number, in words."""
    bad = table["row"][~table["loss"].float().isfinite()].int().tolist()
    return [Said(WORDS, "pair_named", pair=pairs[row].key[:12]) for row in sorted(bad)]


def halve_passes(work: Work) -> bool:
    """Make passes half as large; False where they are as small as can be, or it is not wanted."""
    smallest = work.config.batch_size >> work.halved <= 1
    if not work.config.halve_on_oom or smallest or world().size > 1:
        return False
    work.halved += 1
    torch.cuda.empty_cache()
    work.rundir.event(
        Said(WORDS, "halved"),
        "warning",
    )
    return True


def tell_rise(work: Work) -> None:
    """Say once where the chosen errors rise for long."""
    above = sum(rise > 0 for rise in work.rises)
    if work.told or len(work.rises) < LOOK_BACK or above < OFTEN:
        return
    work.told = True
    work.rundir.event(
        Said(WORDS, "fits_less", above=above, steps=LOOK_BACK),
        "warning",
    )
