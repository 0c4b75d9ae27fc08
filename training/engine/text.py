"""Language models learn from preferences: from frozen rows to an adapter, or to new weights.

To reproduce a run, copy its folder without ``checkpoints/``, ``model/`` and ``result.json``, and

    python -m training.engine RUN_DIR

``run.json`` holds all that decides it: the base model, the recipe and its config with the seed, and
the dataset's file. The recipe names an objective: what it reads of a record and what that costs;
the rest is the same for all. Order of events: check and tokenise the rows, ask the untrained model
for its log-probabilities (the reference, where the objective has one), lay a fresh adapter on it,
resume where there is a checkpoint, then steps of: forward passes over the rows of a step, the loss,
backward, clip, optimiser.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerBase

from steelyard.inference.text import context_length
from steelyard.lib.engine import Stop
from steelyard.lib.errors import UserError
from steelyard.lib.hashing import canonical_json
from steelyard.lib.records import PreferenceRecord
from steelyard.lib.rundir import RunDir, write_atomically
from steelyard.lib.said import Said
from training.engine import adapter, optim
from training.engine.bases import check_family, open_base
from training.engine.checkpoints import keep_model, trainable
from training.engine.config import TextRecipe, config_of_run
from training.engine.config.text import is_high
from training.engine.data import describe, encode_records, read_records
from training.engine.distributed import (
    AgreedStop,
    agreed,
    clip_gradients,
    joined,
    shard,
    share,
    spread_again,
    sum_gradients,
    world,
)
from training.engine.drift import set_apart
from training.engine.dropout import by_row
from training.engine.forward import score
from training.engine.keeping import keep_step
from training.engine.kept import is_due
from training.engine.loop import (
    LOOK_BACK,
    check_diverged,
    check_finite,
    choose_machine,
    rows_of_step,
    steps_in,
    what_is_trained,
    worse_than_before,
)
from training.engine.objectives import OBJECTIVES
from training.engine.objectives.imitation import check_writer
from training.engine.reference import Cache, Values, key_of, reference_values, weights_digest
from training.engine.samples import sampler
from training.engine.words import WORDS
from training.engine.work import (
    Told,
    Work,
    draw_dropout,
    halve_passes,
    look,
    means_of,
    nothing,
    passes_of,
    per_step,
    prepare_passes,
    rows_without_number,
    table_of,
    tell_fall,
    tokens_of,
)

ORDERS = "orders.jsonl"
"""A line a pair, where a prompt shows both answers in an order that was drawn."""


def train(rundir: RunDir, stop: Stop) -> None:
    """Do the run, or as much of it as there is time for before ``stop`` turns true.

    Raises:
        UserError: what was asked for cannot be done; nothing has been trained then, but for
            ``nan_loss``, ``diverged``, ``disk_full`` and ``out_of_memory``.
    """
    config = config_of_run(rundir.spec(), rundir.event)
    assert isinstance(config, TextRecipe)
    try:
        with joined(config.device) as here:
            _train(rundir, stop if here.size == 1 else AgreedStop(stop), config)
    except torch.OutOfMemoryError as error:
        raise UserError(
            Said(WORDS, "gpu_too_small_for_length"),
            code="out_of_memory",
            field="batch_size",
        ) from error


def _train(rundir: RunDir, stop: Stop | AgreedStop, config: TextRecipe) -> None:
    spec = rundir.spec()
    base, objective = spec["base"], OBJECTIVES[spec["recipe"]]
    device, dtype = choose_machine(config)
    check_family(base)
    rundir.progress(0, 0, "steps", Said(WORDS, "loading_model"))
    records = read_records(rundir, spec["dataset"], modality="text", media=True)
    check_writer(records, config)
    # the tokenizer alone first: whether prompts fit is known without minutes of loading weights
    words = open_base(base, rundir, records, frames=config.frames)
    longest = min(config.max_length, context_length(words.shape) or config.max_length)
    dataset = encode_records(
        records,
        words.tokenizer,
        encoder=words.encoder(longest),
        max_length=longest,
        drop_too_long=config.drop_too_long,
        rows=objective.rows,
        arrange=objective.arrange,
        config=config,
    )
    for line in describe(dataset, words.tokenizer, longest):
        rundir.event(line)
    if objective.orders is not None and world().leads:
        lines = objective.orders(dataset, config)
        write_atomically(rundir.path / ORDERS, b"".join(canonical_json(x) + b"\n" for x in lines))
    # what is trained is float32: with an adapter the weights below it may be coarser
    weights = dtype if config.trained == "lora" else torch.float32
    # what is spread over several GPUs may fit none of them whole
    model = words.load(weights, torch.device("cpu") if config.shard else device)
    adapter.check(model, config)
    digest = weights_digest(model) if objective.referenced else ""
    if config.shard:
        shard(model)
    total = config.max_steps or steps_in(config.epochs, dataset.trained, per_step(config))
    prefix = prepare_passes(rundir, config, model, dataset, dtype)
    reference: Values | None = [tuple(None for _ in e.names) for e in dataset.examples]
    if objective.referenced:
        folder = Path(spec["cache"]) if "cache" in spec else rundir.path / "cache"
        reference = reference_values(
            rundir,
            dataset.examples,
            objective.referenced,
            torch.no_grad()(lambda rows: score(model, rows, dtype=dtype, prefix=prefix)),
            cache=Cache(folder, key_of(model, digest, dtype, prefix)),
            passes=passes_of(config, dataset, range(len(dataset.examples))),
            stop=stop,
            steps=total,
        )
    if reference is None:
        return
    apart = set_apart(objective.drift, dataset, reference)
    spread_again(model)
    model = adapter.prepare(model, config)
    parameters = trainable(model)
    work = Work(
        rundir=rundir,
        stop=stop,
        config=config,
        objective=objective,
        model=model,
        words=words,
        dataset=dataset,
        has_ties=dataset.has_ties,
        reference=reference,
        apart=apart,
        dtype=dtype,
        prefix=prefix,
        draws=by_row(model),
        parameters=parameters,
        optimizer=optim.build(parameters.values(), config, total),
        total=total,
    )
    if world().leads and not config.shard:
        work.sample = sampler(rundir, config, model, words.tokenizer, records, total)
    start = work.resume()
    _tell_plan(work, start, device)
    done = _steps(work, start) and _test(work, total)
    if done and _afterwards(work, records, words.tokenizer, stop):
        _finish(work)


def _afterwards(
    work: Work,
    records: list[PreferenceRecord],
    tokenizer: PreTrainedTokenizerBase,
    stop: Stop | AgreedStop,
) -> bool:
    """What the objective does with the trained model; False where it was stopped. The process that
    leads does it alone, so it needs whole weights and asks nobody whether to stop."""
    after, config = work.objective.after, work.config
    if after is None or not world().leads:
        return True
    if config.shard:
        work.rundir.event(
            Said(WORDS, "not_revised"),
            "warning",
        )
        return True
    told = stop.own if isinstance(stop, AgreedStop) else stop
    return after(work.rundir, work.model, tokenizer, records, config, lambda: bool(told))


def _steps(work: Work, start: int) -> bool:
    """Train from step ``start`` on; False where it was stopped."""
    config = work.config
    for step in range(start, work.total):
        _sample(work, step)
        due = step == 0 or (config.eval_every > 0 and step % config.eval_every == 0)
        began = time.monotonic()
        values = _step(work, step) if not due or _test(work, step) else None
        if values is None:
            work.save(step)
            return False
        tokens = values.pop("tokens")
        work.record(step + 1, values, tokens_per_second=tokens / (time.monotonic() - began))
        check_diverged(step + 1, work.first["loss"], work.losses, config)
        if len(work.shifts) == LOOK_BACK:
            tell_fall(work)
        work.rundir.progress(
            step + 1, work.total, "steps", Said(WORDS, "loss", loss=f"{values['loss']:.4f}")
        )
        if (step + 1) % config.checkpoint_every == 0 or step + 1 == work.total:
            work.save(step + 1)
        _keep(work, step + 1)
    _sample(work, work.total)
    return True


def _sample(work: Work, step: int) -> None:
    optim.training_mode(work.optimizer, False)
    work.sample(step)


def _keep(work: Work, step: int) -> None:
    """Write the model as it is after ``step`` steps, where that is due. Every process calls it."""
    config, model = work.config, work.model
    is_adapter = config.trained == "lora"
    if not is_due(config, step, work.total, adapter=is_adapter):
        return
    optim.training_mode(work.optimizer, False)
    spread_again(model)
    weights = adapter.weights_of(model, config)
    if world().leads:
        keep_step(
            work.rundir,
            config,
            step,
            lambda folder: adapter.save(model, config, work.words, folder, weights),
            adapter=is_adapter,
        )


def _step(work: Work, step: int) -> dict[str, float] | None:
    """One optimiser step, number ``step`` from 0; its metrics, or None where it was stopped."""
    config = work.config
    rows = rows_of_step(
        step, rows=work.dataset.trained, per_step=per_step(config), seed=config.seed
    )
    rate = optim.rate_at(step, work.total, config)
    optim.set_rate(work.optimizer, rate)
    optim.training_mode(work.optimizer, True)
    while True:
        try:
            told = _gradients(work, step, rows)
            break
        except torch.OutOfMemoryError:
            if not halve_passes(work, len(rows)):
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
        rows_without_number(work, table),
        # as the gradient had it: what float32 cannot hold is infinite there
        loss=float(table["loss"].float().mean()),
        gradient=length,
    )
    work.optimizer.step()
    tokens = sum(tokens_of(work, number) for number in rows)
    return {**values, "learning_rate": rate, "grad_norm": length, "tokens": tokens}


def _gradients(work: Work, step: int, rows: Sequence[int]) -> list[Told] | None:
    """Lay the gradients of a step into the parameters; what was told, None where stopped."""
    work.optimizer.zero_grad()
    work.measure_drift(rows)
    told: list[Told] = []
    short = False
    with adapter.learning(work.model):
        for place, numbers in share(work.passes(rows), even=True):
            if work.stop:
                return None
            if short:
                continue
            draw_dropout(work, step, numbers)
            try:
                losses, each = look(work, numbers)
                # a mean over the whole step, however it is cut into passes
                (losses.sum() / len(rows) * (place >= 0)).backward()
            except torch.OutOfMemoryError:
                # the other processes hear of it behind their last pass: all look equally often
                short = True
                continue
            told.append((numbers, each) if place >= 0 else nothing(each))
    if agreed(short):
        raise torch.OutOfMemoryError
    return told


@torch.no_grad()
def _test(work: Work, step: int) -> bool:
    """Measure the test rows after ``step`` steps; False where it was stopped."""
    rows = work.dataset.test
    if not rows:
        return True
    optim.training_mode(work.optimizer, False)
    work.measure_drift(rows)
    told: list[Told] = []
    for place, numbers in share(work.passes(rows), even=True):
        if work.stop:
            return False
        _, each = look(work, numbers, trained=step > 0)
        told.append((numbers, each) if place >= 0 else nothing(each))
    table = table_of(told)
    values = means_of(table)
    check_finite(
        step, work.config, rows_without_number(work, table), test_loss=float(table["loss"].mean())
    )
    names = ("loss", "reward_accuracy", "reward_margin", *work.objective.measured)
    work.record(step, {f"test_{name}": values[name] for name in names if name in values})
    return True


def _tell_plan(work: Work, start: int, device: torch.device) -> None:
    config, rundir = work.config, work.rundir
    trained = sum(parameter.numel() for parameter in work.parameters.values())
    every = sum(parameter.numel() for parameter in work.model.parameters())
    threads = {"device": device.type, "threads": torch.get_num_threads()}
    rundir.event(
        Said(
            WORDS,
            "training",
            trained=f"{trained:,}",
            of=f"{every:,}",
            what=what_is_trained(config.trained, config.lora_rank),
            device=Said(WORDS, "on_cpu", **threads) if device.type == "cpu" else device.type,
            dtype=str(work.dtype).removeprefix("torch."),
            rows=Said(WORDS, "shared_prompts" if work.prefix else "row_each"),
        )
    )
    for line in work.objective.notes(config, work.has_ties):
        rundir.event(line)
    if warning := optim.advice(config):
        rundir.event(warning, "warning")
    if is_high(config.learning_rate, config.trained):
        rate = f"{config.learning_rate:g}"
        rundir.event(Said(WORDS, f"rate_high_{config.trained}", rate=rate), "warning")
    if start:
        rundir.event(Said(WORDS, "goes_on", step=start, of=work.total))
    else:
        rundir.event(Said(WORDS, "plan", steps=work.total, pairs=per_step(config)))


def _finish(work: Work) -> None:
    """Keep the model, then say so: result.json is the last thing written."""
    config, model = work.config, work.model
    if work.shifts:
        tell_fall(work)
    optim.training_mode(work.optimizer, False)
    spread_again(model)
    weights = adapter.weights_of(model, config)
    if not world().leads:
        return
    digest = keep_model(
        work.rundir, lambda folder: adapter.save(model, config, work.words, folder, weights)
    )
    work.rundir.event(Said(WORDS, "kept", digest=digest))
    trained = sum(parameter.numel() for parameter in work.parameters.values())
    warning = worse_than_before(work.first, work.last, work.losses, config)
    if warning:
        work.rundir.event(warning, "warning")
    work.rundir.finish(
        status="succeeded",
        form="adapter" if config.trained == "lora" else "full",
        digest=digest,
        metrics=work.last,
        counts={**work.dataset.counts, "steps": work.total, "trained_parameters": trained},
        **({"warning": warning} if warning else {}),
    )
