"""Diffusion-DPO: an image or video model learns from pairs of which one side was preferred.

    python -m training.engine RUN_DIR      with "recipe": "diffusion_dpo" in its run.json

The recipe, from top to bottom: rows that say something; prompts and media encoded once, encoders
let go; the denoiser with what is to be trained of it, and a reference that costs as little as it
can; steps; tests; the result kept. Stopped or killed anywhere, the same command goes on to the same
weights. Losses are in diffusion_losses.py, what the families differ in is in families/.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from math import ceil
from typing import Any

import torch
from torch import Tensor

from steelyard.lib.engine import Stop
from steelyard.lib.errors import UserError
from steelyard.lib.rundir import RunDir
from steelyard.lib.said import Said, together
from training.engine import optim
from training.engine.checkpoints import keep_model
from training.engine.config import DiffusionDPOConfig, config_of_run
from training.engine.diffusion_data import TEST_DRAWS, Chances, Draw, MediaPair, read_pairs
from training.engine.diffusion_keep import save_model
from training.engine.diffusion_model import DiffusionModel, compile_blocks, open_model, pairs_of
from training.engine.diffusion_prepared import Bank, Batch, Prepared
from training.engine.diffusion_samples import sampler
from training.engine.diffusion_work import (
    Pass,
    Told,
    Work,
    drift_of,
    halve_passes,
    look,
    make_pass,
    means_of,
    nothing,
    passes_of,
    rows_without_number,
    table_of,
    tell_rise,
    weights_of,
)
from training.engine.distributed import (
    AgreedStop,
    clip_gradients,
    joined,
    share,
    sum_gradients,
    world,
)
from training.engine.families import open_family
from training.engine.keeping import keep_step
from training.engine.kept import digest_of_model, is_due
from training.engine.loop import (
    check_diverged,
    check_finite,
    choose_machine,
    steps_in_epoch,
    what_is_trained,
    worse_than_before,
)
from training.engine.words import WORDS


def train(rundir: RunDir, stop: Stop) -> None:
    """Do the run, or as much of it as there is time for before ``stop`` turns true.

    Raises:
        UserError: what was asked for cannot be done; nothing has been trained then, but for
            ``nan_loss``, ``diverged``, ``disk_full`` and ``out_of_memory``.
    """
    config = config_of_run(rundir.spec(), rundir.event)
    assert isinstance(config, DiffusionDPOConfig)
    try:
        with joined(config.device):
            _train(rundir, stop, config)
    except torch.OutOfMemoryError as error:
        raise UserError(
            Said(WORDS, "gpu_too_small_for_size"),
            code="out_of_memory",
            field="batch_size",
        ) from error


def _train(rundir: RunDir, stop: Stop, config: DiffusionDPOConfig) -> None:
    spec = rundir.spec()
    base = spec["base"]
    device, dtype = choose_machine(config)
    rundir.progress(0, 0, "steps", Said(WORDS, "loading_model"))
    family = open_family(base, device)
    dataset = read_pairs(rundir, spec, config, family.modality)
    prepared = Prepared.open(rundir, family, dataset, config, stop=stop)
    if prepared is None:
        return
    model, digest = open_model(family, base, config, device=device, dtype=dtype)
    if config.compile:
        _compile(rundir, model)
    work = Work(
        rundir=rundir,
        stop=stop if world().size == 1 else AgreedStop(stop),
        config=config,
        model=model,
        dataset=dataset,
        prepared=prepared,
        chances=Chances(config.seed, config.proportion_empty_prompts, config.random_flip),
        optimizer=optim.build(model.parameters.values(), config, config.max_steps),
        weights=weights_of(config, dataset),
    )
    # before the weights of a checkpoint are laid in: they are no reference
    if not _prepare_references(work, digest, stop):
        return
    if world().leads:
        work.sample = sampler(rundir, config, base, model, prepared)
    start = work.resume()
    _tell_plan(work, start)
    if _steps(work, base, start) and _test(work, config.max_steps):
        _finish(work, base)


def _compile(rundir: RunDir, model: DiffusionModel) -> None:
    reason: str = Said(WORDS, "for_a_gpu")
    if model.device.type == "cuda":
        reason = compile_blocks(model.denoiser)
    if reason:
        rundir.event(Said(WORDS, "no_compile", reason=reason))


def _prepare_references(work: Work, digest: str, stop: Stop) -> bool:
    """The frozen model's errors at all draws that the run prepares; False where it was stopped."""
    config, data = work.config, work.dataset

    def ask(batch: Batch) -> Tensor:
        both = work.model.reference_before(batch, batch.parts)
        return torch.stack(list(pairs_of(both)), dim=1)

    def bank(pairs: list[MediaPair], draw: Callable[[str, int], Draw], count: int) -> Bank | None:
        return work.prepared.reference(
            work.rundir,
            pairs,
            draw,
            range(count),
            ask,
            weights=digest,
            size=config.batch_size,
            device=work.model.device,
            what=work.what,
            stop=stop,
        )

    visits = ceil(config.max_steps / steps_in_epoch(len(data.train), work.per_step))
    if config.reference_draws and config.referenced:
        count = min(config.reference_draws, visits)
        work.bank = bank(data.train, work.prepared_draw, count)
        if work.bank is None:
            return False
        asked, needed = work.bank.computed, count * len(data.train)
        work.rundir.event(Said(WORDS, "draws", needed=needed, asked=asked))
    if data.test and config.referenced:
        work.test_bank = bank(data.test, work.chances.test, TEST_DRAWS)
        if work.test_bank is None:
            return False
    return True


def _steps(work: Work, base: dict[str, Any], start: int) -> bool:
    """Train from step ``start`` on; False where it was stopped."""
    config = work.config
    for step in range(start, config.max_steps):
        _sample(work, step)
        due = step == 0 or (config.eval_every > 0 and step % config.eval_every == 0)
        began = time.monotonic()
        values = _step(work, step) if not due or _test(work, step) else None
        if values is None:
            work.save(step)
            return False
        pairs = len(work.rows_of(step))
        work.record(step + 1, values, pairs_per_second=pairs / (time.monotonic() - began))
        check_diverged(step + 1, work.first["loss"], work.losses, config)
        tell_rise(work)
        work.rundir.progress(
            step + 1, config.max_steps, "steps", Said(WORDS, "loss", loss=f"{values['loss']:.4f}")
        )
        if (step + 1) % config.checkpoint_every == 0 or step + 1 == config.max_steps:
            work.save(step + 1)
        _keep(work, base, step + 1)
    _sample(work, config.max_steps)
    return True


def _sample(work: Work, step: int) -> None:
    optim.training_mode(work.optimizer, False)
    work.sample(step)


def _keep(work: Work, base: dict[str, Any], step: int) -> None:
    """Write the model as it is after ``step`` steps, where that is due."""
    config, is_adapter = work.config, work.config.train == "lora"
    if not is_due(config, step, config.max_steps, adapter=is_adapter) or not world().leads:
        return
    optim.training_mode(work.optimizer, False)
    keep_step(
        work.rundir,
        config,
        step,
        lambda folder: save_model(work.model, base, folder),
        adapter=is_adapter,
    )
    if config.channels_last:
        # weights were laid out to be saved
        work.model.denoiser.to(memory_format=torch.channels_last)


def _step(work: Work, step: int) -> dict[str, float] | None:
    """One optimiser step, number ``step`` from 0; its metrics, or None where it was stopped."""
    config = work.config
    rate = optim.rate_at(step, config.max_steps, config)
    optim.set_rate(work.optimizer, rate)
    optim.training_mode(work.optimizer, True)
    while True:
        try:
            told = _gradients(work, step)
            break
        except torch.OutOfMemoryError:
            if not halve_passes(work):
                raise
    if told is None:
        return None
    parameters = list(work.parameters.values())
    sum_gradients(parameters)
    length = clip_gradients(parameters, config.max_grad_norm or float("inf"))
    table = table_of(told)
    values = means_of(table)
    check_finite(
        step + 1,
        config,
        rows_without_number(table, work.dataset.train),
        loss=values["loss"],
        gradient=length,
    )
    beta = work.beta
    work.optimizer.step()
    work.model.follow(config.ema_decay)
    work.follow_rise(table)
    moved = {"beta": beta} if config.auto_beta else {}
    return {**values, **moved, "learning_rate": rate, "grad_norm": length}


def _gradients(work: Work, step: int) -> list[Told] | None:
    """Lay the gradients of a step into the parameters; what was told, None where stopped."""
    rows = work.rows_of(step)
    pairs, draws = [work.dataset.train[row] for row in rows], work.draws_of(step, rows)
    visit = work.visit_of(step)
    work.optimizer.zero_grad()

    def make(places: list[int]) -> Pass:
        some = [pairs[place] for place in places]
        bank = work.bank.of(some, visit) if work.bank else None
        return make_pass(work, [rows[p] for p in places], some, [draws[p] for p in places], bank)

    passes = passes_of(work, pairs)
    drift = drift_of(work, passes, make)
    told: list[Told] = []
    for place, places in share(passes, even=True):
        if work.stop:
            return None
        one = make(places)
        losses, each = look(work, one, drift)
        # a mean over the whole step, however it is cut into passes
        (losses.sum() / len(rows) * (place >= 0)).backward()
        told.append((one.rows, each) if place >= 0 else nothing(each))
    return told


@torch.no_grad()
def _test(work: Work, step: int) -> bool:
    """Measure the test pairs after ``step`` steps; False where it was stopped."""
    pairs, told = work.dataset.test, []
    if not pairs:
        return True
    optim.training_mode(work.optimizer, False)
    for number in range(TEST_DRAWS):

        def make(places: list[int], number: int = number) -> Pass:
            some = [pairs[place] for place in places]
            draws = [work.chances.test(pair.key, number) for pair in some]
            bank = work.test_bank.of(some, number) if work.test_bank else None
            return make_pass(work, places, some, draws, bank)

        passes = passes_of(work, pairs)
        drift = drift_of(work, passes, make)
        for place, places in share(passes, even=True):
            if work.stop:
                return False
            one = make(places)
            _, each = look(work, one, drift, untrained=step == 0)
            told.append((one.rows, each) if place >= 0 else nothing(each))
    table = table_of(told)
    values = means_of(table)
    check_finite(step, work.config, rows_without_number(table, pairs), test_loss=values["loss"])
    names = ("loss", "reward_accuracy", "reward_margin", "rise_chosen", "rise_rejected")
    work.record(step, {f"test_{name}": values[name] for name in names if name in values})
    return True


def _tell_plan(work: Work, start: int) -> None:
    config, counts, model = work.config, work.dataset.counts, work.model
    trained = sum(parameter.numel() for parameter in work.parameters.values())
    left = together(
        Said(WORDS, f"media_{name}", count=count)
        for name, count in counts.items()
        if name.startswith("dropped_")
    )
    lines = [
        Said(WORDS, "media_pairs", train=counts["train"], test=counts["test"], left=left),
        *work.dataset.notes,
        *work.prepared.notes,
        Said(
            WORDS,
            "training_media",
            trained=f"{trained:,}",
            what=what_is_trained("lora" if config.train == "lora" else "all", config.lora_rank),
            device=model.device.type,
            dtype=str(model.dtype).removeprefix("torch."),
            predicts=model.family.schedule.prediction,
            unit=model.unit,
        ),
    ]
    if config.referenced:
        lines.append(
            Said(
                WORDS,
                "beta_in_units",
                beta=f"{config.beta:g}",
                elements=f"{work.elements:,}",
                sum=f"{config.beta / work.elements:.3g}",
            )
        )
    lines.append(
        Said(WORDS, "goes_on", step=start, of=config.max_steps)
        if start
        else Said(WORDS, "plan", steps=config.max_steps, pairs=work.per_step)
    )
    for line in lines:
        work.rundir.event(line)
    if warning := optim.advice(config):
        work.rundir.event(warning, "warning")


def _finish(work: Work, base: dict[str, Any]) -> None:
    """Keep the result, then say so: result.json is the last thing written."""
    config = work.config
    optim.training_mode(work.optimizer, False)
    if not world().leads:
        return
    warning = worse_than_before(work.first, work.last, work.losses, config)
    if not warning and sum(work.rises) > 0:
        warning = Said(WORDS, "fits_less_at_end")
    if warning:
        work.rundir.event(warning, "warning")
    keep_model(work.rundir, lambda folder: save_model(work.model, base, folder))
    digest = digest_of_model(work.rundir.model)
    work.rundir.event(Said(WORDS, "kept", digest=digest))
    trained = sum(parameter.numel() for parameter in work.parameters.values())
    beta = work.beta
    work.rundir.finish(
        status="succeeded",
        form="adapter" if config.train == "lora" else "full",
        digest=digest,
        metrics=work.last,
        counts={**work.dataset.counts, "steps": config.max_steps, "trained_parameters": trained},
        **({"beta": {"mean": beta, "sum": beta / work.elements}} if config.referenced else {}),
        **({"warning": warning} if warning else {}),
    )
