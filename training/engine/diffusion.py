"""Diffusion-DPO: an image model learns from pairs of pictures which of two people preferred.

    python -m training.engine RUN_DIR      with "recipe": "diffusion_dpo" in its run.json

The recipe, from top to bottom: rows with a winner; prompts and pictures encoded once, encoders let
go; an adapter on the frozen denoiser, whose "off" is the reference; steps; tests; the adapter kept.
Stopped or killed anywhere, the same command goes on to the same weights. Loss after Wallace et al.
2023 (arXiv 2311.12908); what the families differ in is in families/.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import ceil

import torch
from torch import Tensor, nn

from steelyard.inference.image_adapters import save_adapter
from steelyard.lib.engine import Stop
from steelyard.lib.errors import UserError
from steelyard.lib.rundir import RunDir
from training.engine.checkpoints import keep_model, resume, save_checkpoint, trainable
from training.engine.config import DiffusionDPOConfig, config_of_run
from training.engine.data import read_records
from training.engine.diffusion_data import (
    TEST_DRAWS,
    Chances,
    Draw,
    Encoded,
    PictureDataset,
    PicturePair,
    choose_pairs,
    keep,
    read,
)
from training.engine.diffusion_losses import PairErrors, diffusion_dpo, means, measures
from training.engine.diffusion_model import DiffusionModel, open_model
from training.engine.families import Family, check_size, open_family
from training.engine.loop import (
    LOOK_BACK,
    check_finite,
    choose_machine,
    clip_gradients,
    learning_rate_at,
    rows_of_step,
    steps_in_epoch,
    worse_than_before,
)

KEPT = {"last", "first", "losses", "recent"}
"""What of a :class:`Work` a checkpoint keeps beside the weights."""


@dataclass
class Work:
    """What the parts of a run share; only the adapter, the optimiser and ``state`` change."""

    rundir: RunDir
    stop: Stop
    config: DiffusionDPOConfig
    model: DiffusionModel
    dataset: PictureDataset
    encoded: Encoded
    chances: Chances
    parameters: dict[str, nn.Parameter]
    optimizer: torch.optim.Optimizer
    last: dict[str, float] = field(default_factory=dict)
    """The newest value of each metric."""
    first: dict[str, float] = field(default_factory=dict)
    """The first value of each metric."""
    losses: list[float] = field(default_factory=list)
    """Of the last LOOK_BACK steps."""
    recent: list[float] = field(default_factory=list)
    """The chosen pictures' reward in the last LOOK_BACK steps."""
    bank: list[Tensor] = field(default_factory=list)
    """Reference errors of the rows to train on, (rows, 2), one tensor a prepared draw."""
    test_bank: list[Tensor] = field(default_factory=list)

    @property
    def per_step(self) -> int:
        """Pairs in one optimiser step."""
        return self.config.batch_size * self.config.accumulation

    def record(self, step: int, values: dict[str, float]) -> None:
        self.rundir.metric(step, **values)
        self.last |= values
        self.first = {**values, **self.first}
        if "loss" in values:
            self.losses = [*self.losses, values["loss"]][-LOOK_BACK:]

    def save(self, step: int) -> None:
        save_checkpoint(
            self.rundir,
            step=step,
            parameters=self.parameters,
            optimizer=self.optimizer,
            state={name: getattr(self, name) for name in KEPT},
        )


def train(rundir: RunDir, stop: Stop) -> None:
    """Do the run, or as much of it as there is time for before ``stop`` turns true.

    Raises:
        UserError: what was asked for cannot be done; nothing has been trained then, but for
            ``nan_loss`` and ``out_of_memory``.
    """
    try:
        _train(rundir, stop)
    except torch.OutOfMemoryError as error:
        raise UserError(
            "The GPU's memory is too small for this run. Lower batch_size and raise accumulation "
            "by the same factor (the steps stay the same), lower resolution, or switch "
            "gradient_checkpointing on.",
            code="out_of_memory",
            field="batch_size",
        ) from error


def _train(rundir: RunDir, stop: Stop) -> None:
    spec = rundir.spec()
    config, base = config_of_run(spec, rundir.event), spec["base"]
    assert isinstance(config, DiffusionDPOConfig)
    device, dtype = choose_machine(config)
    dataset = choose_pairs(read_records(rundir, spec["dataset"], modality="image"))
    family, encoded = open_family(base, device), Encoded(rundir)
    if not _encode(rundir, stop, config, dataset, family, encoded):
        return
    model = open_model(family, base, config, device=device, dtype=dtype)
    parameters = trainable(model.unet)
    work = Work(
        rundir=rundir,
        stop=stop,
        config=config,
        model=model,
        dataset=dataset,
        encoded=encoded,
        chances=Chances(
            seed=config.seed,
            times=model.steps,
            shape=encoded.picture(dataset.train[0].chosen).shape,
            empty=config.proportion_empty_prompts,
            flip=config.random_flip,
        ),
        parameters=parameters,
        optimizer=torch.optim.AdamW(
            parameters.values(), lr=config.learning_rate, weight_decay=config.weight_decay
        ),
    )
    start, state = resume(rundir, parameters=parameters, optimizer=work.optimizer)
    for name in KEPT & state.keys():
        setattr(work, name, state[name])
    _tell_plan(work, start)
    if _prepare_references(work) and _steps(work, start) and _test(work, config.max_steps):
        _finish(work)


def _encode(
    rundir: RunDir,
    stop: Stop,
    config: DiffusionDPOConfig,
    dataset: PictureDataset,
    family: Family,
    encoded: Encoded,
) -> bool:
    """Bring all prompts and pictures into the cache; False where it was stopped.

    All prompts come first: one that the model has no meaning for is refused in seconds.
    """
    pairs = [*dataset.train, *dataset.test]
    for prompt in sorted({"", *(pair.prompt for pair in pairs)}):
        if stop:
            return False
        encoded.add_prompt(family, prompt)
    names = sorted({name for pair in pairs for name in (pair.chosen, pair.rejected)})
    size = config.resolution or family.size
    check_size(family, size, size)
    for number, name in enumerate(names, 1):
        if stop:
            return False
        encoded.add_picture(family, name, size=size, flipped=config.random_flip)
        if number % 20 == 0 or number == len(names):
            rundir.progress(number, len(names), "pictures", "Preparing pictures")
    return True


def _prepare_references(work: Work) -> bool:
    """Reference errors for all draws that the run prepares; False where it was stopped."""
    config, data, chances = work.config, work.dataset, work.chances
    visits = ceil(config.max_steps / steps_in_epoch(len(data.train), work.per_step))
    for number in range(min(config.reference_draws, visits)):
        found = _reference(work, f"reference-{number}", data.train, chances.draw, number)
        if found is None:
            return False
        work.bank.append(found)
    for number in range(TEST_DRAWS if data.test else 0):
        found = _reference(work, f"reference-test-{number}", data.test, chances.test, number)
        if found is None:
            return False
        work.test_bank.append(found)
    return True


def _reference(
    work: Work,
    name: str,
    pairs: Sequence[PicturePair],
    draw: Callable[[str, int], Draw],
    number: int,
) -> Tensor | None:
    """The frozen model's errors on all pairs at one draw, (pairs, 2), computed once and kept."""
    path = work.encoded.folder / name
    if path.exists():
        return read(path)
    parts, size = [], work.config.batch_size
    for place in range(0, len(pairs), size):
        if work.stop:
            return None
        some = pairs[place : place + size]
        batch = work.encoded.batch(some, [draw(p.key, number) for p in some], work.model.device)
        parts.append(torch.stack(work.model.reference_errors(batch), dim=1).cpu())
        work.rundir.progress(place + len(some), len(pairs), "pairs", "Asking the frozen model")
    keep(path, x=torch.cat(parts))
    return read(path)


def _steps(work: Work, start: int) -> bool:
    """Train from step ``start`` on; False where it was stopped."""
    config = work.config
    for step in range(start, config.max_steps):
        due = step == 0 or (config.eval_every > 0 and step % config.eval_every == 0)
        values = _step(work, step) if not due or _test(work, step) else None
        if values is None:
            work.save(step)
            return False
        work.record(step + 1, values)
        work.recent = [*work.recent, values["reward_chosen"]][-LOOK_BACK:]
        work.rundir.progress(step + 1, config.max_steps, "steps", f"Loss {values['loss']:.4f}")
        if (step + 1) % config.checkpoint_every == 0 or step + 1 == config.max_steps:
            work.save(step + 1)
    return True


def _step(work: Work, step: int) -> dict[str, float] | None:
    """One optimiser step, number ``step`` from 0; its metrics, or None where it was stopped."""
    config, pairs = work.config, work.dataset.train
    rows = rows_of_step(step, rows=len(pairs), per_step=work.per_step, seed=config.seed)
    visit = step // steps_in_epoch(len(pairs), work.per_step)
    if config.reference_draws:
        visit %= config.reference_draws
    rate = learning_rate_at(step, config.max_steps, config)
    work.optimizer.param_groups[0]["lr"] = rate
    work.optimizer.zero_grad()
    measured: list[dict[str, Tensor]] = []
    for place in range(0, len(rows), config.batch_size):
        if work.stop:
            return None
        some = rows[place : place + config.batch_size]
        chosen = [pairs[row] for row in some]
        draws = [work.chances.draw(pair.key, visit) for pair in chosen]
        batch = work.encoded.batch(chosen, draws, work.model.device)
        if work.bank:
            reference = PairErrors(*work.bank[visit][some].to(work.model.device).unbind(1))
        else:
            reference = work.model.reference_errors(batch)
        errors = work.model.errors(batch)
        weights = torch.tensor([pair.weight for pair in chosen], device=work.model.device)
        losses = weights * diffusion_dpo(errors, reference, config.beta)
        # A mean over the whole step, however it is cut into passes.
        (losses.sum() / len(rows)).backward()
        measured.append(measures(losses, errors, reference, config.beta))
    length = clip_gradients(list(work.parameters.values()), config.max_grad_norm)
    values = means(measured)
    check_finite(step + 1, config, loss=values["loss"], gradient=length)
    work.optimizer.step()
    return {**values, "learning_rate": rate, "grad_norm": length}


@torch.no_grad()
def _test(work: Work, step: int) -> bool:
    """Measure the test rows after ``step`` steps; False where it was stopped."""
    pairs, size, measured = work.dataset.test, work.config.batch_size, []
    for number, reference in enumerate(work.test_bank):
        for place in range(0, len(pairs), size):
            if work.stop:
                return False
            some = pairs[place : place + size]
            draws = [work.chances.test(pair.key, number) for pair in some]
            batch = work.encoded.batch(some, draws, work.model.device)
            errors = work.model.errors(batch)
            before = PairErrors(*reference[place : place + size].to(work.model.device).unbind(1))
            losses = diffusion_dpo(errors, before, work.config.beta)
            measured.append(measures(losses, errors, before, work.config.beta))
    if measured:
        values = means(measured)
        names = ("loss", "reward_accuracy", "reward_margin")
        work.record(step, {f"test_{name}": values[name] for name in names})
    return True


def _tell_plan(work: Work, start: int) -> None:
    config, counts = work.config, work.dataset.counts
    trained = sum(parameter.numel() for parameter in work.parameters.values())
    elements = work.chances.shape.numel()
    lines = [
        f"{counts['train']} pairs to train on, {counts['test']} to test with. Left out: "
        f"{counts['dropped_ties']} ties, {counts['dropped_identical']} of one picture twice.",
        f"{trained:,} parameters are trained, in an adapter of rank {config.lora_rank}; "
        f"{work.model.device.type}; the model predicts {work.model.family.schedule.prediction}.",
        f"beta {config.beta:g} on errors averaged over {elements:,} elements is "
        f"{config.beta / elements:.3g} on their sum.",
        f"Going on from the checkpoint after step {start} of {config.max_steps}."
        if start
        else f"{config.max_steps} steps of {work.per_step} pairs.",
    ]
    for line in lines:
        work.rundir.event(line)


def _finish(work: Work) -> None:
    """Keep the adapter, then say so: result.json is the last thing written."""
    warning = worse_than_before(work.first, work.last, work.losses, work.config)
    if not warning and sum(work.recent) < 0:
        warning = (
            "At the end the model fits the chosen pictures less well than before training, only "
            "the rejected ones lost more. Its pictures may have become worse: look at them, and "
            "raise beta or lower learning_rate or max_steps if so."
        )
    if warning:
        work.rundir.event(warning, "warning")
    digest = keep_model(work.rundir, lambda folder: save_adapter(work.model.unet, folder))
    work.rundir.event(f"The adapter is kept; its weights have the SHA-256 {digest}.")
    trained = sum(parameter.numel() for parameter in work.parameters.values())
    work.rundir.finish(
        status="succeeded",
        form="adapter",
        digest=digest,
        metrics=work.last,
        counts={
            **work.dataset.counts,
            "steps": work.config.max_steps,
            "trained_parameters": trained,
        },
        **({"warning": warning} if warning else {}),
    )
