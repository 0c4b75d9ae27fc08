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
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from steelyard.inference.text import context_length
from steelyard.lib.engine import Stop
from steelyard.lib.errors import UserError
from steelyard.lib.rundir import RunDir
from training.engine import adapter, optim
from training.engine.bases import Base, check_family, open_base
from training.engine.checkpoints import keep_model, resume, save_checkpoint, trainable
from training.engine.config import TextRecipe, config_of_run
from training.engine.data import Dataset, describe, encode_records, passes, read_records
from training.engine.distributed import (
    AgreedStop,
    clip_gradients,
    gather,
    joined,
    per_pass,
    shard,
    share,
    sum_gradients,
    world,
)
from training.engine.dropout import Draws, by_row
from training.engine.forward import Scored, compile_layers, one_by_one, score, why_not_packed
from training.engine.loop import (
    LOOK_BACK,
    check_diverged,
    check_finite,
    choose_machine,
    rows_of_step,
    steps_in,
    worse_than_before,
)
from training.engine.objectives import OBJECTIVES, Objective, Seen
from training.engine.reference import Cache, Values, key_of, reference_values
from training.engine.samples import sampler

FALL = 0.1
"""How much log-probability a token of the chosen answers may lose, in nats, before it is told."""
KEPT = {"last", "first", "losses", "shifts", "told"}
"""What of a :class:`Work` a checkpoint keeps beside the weights."""


@dataclass
class Work:
    """What the steps share."""

    rundir: RunDir
    stop: Stop | AgreedStop
    config: TextRecipe
    objective: Objective
    model: PreTrainedModel
    dataset: Dataset
    has_ties: bool
    reference: Values
    dtype: torch.dtype
    prefix: bool
    draws: Draws
    parameters: dict[str, nn.Parameter]
    optimizer: torch.optim.Optimizer
    total: int
    """Steps of the whole run."""
    sample: Callable[[int], None] = lambda step: None
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

    def record(self, step: int, values: dict[str, float], **pace: float) -> None:
        """
        Args:
            pace: what depends on the machine's mood and belongs to no result.
        """
        self.rundir.metric(step, **values, **pace)
        self.last |= values
        self.first = {**values, **self.first}
        if "loss" in values:
            self.losses = [*self.losses, values["loss"]][-LOOK_BACK:]
        if "shift_chosen" in values:
            self.shifts = [*self.shifts, values["shift_chosen"]][-LOOK_BACK:]

    def save(self, step: int) -> None:
        save_checkpoint(
            self.rundir,
            step=step,
            parameters=self.parameters,
            optimizer=self.optimizer,
            state={name: getattr(self, name) for name in KEPT},
        )

    def passes(self, numbers: Sequence[int]) -> list[list[int]]:
        return passes_of(self.config, self.dataset, numbers, self.halved)


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
            _train(rundir, stop if here.size == 1 else AgreedStop(lambda: bool(stop)), config)
    except torch.OutOfMemoryError as error:
        raise UserError(
            "The GPU's memory is too small for this run. Lower batch_size and raise accumulation "
            "by the same factor (the steps stay the same), lower max_length, switch "
            "gradient_checkpointing on, or let halve_on_oom find the size that fits.",
            code="out_of_memory",
            field="batch_size",
        ) from error


def _train(rundir: RunDir, stop: Stop | AgreedStop, config: TextRecipe) -> None:
    spec = rundir.spec()
    base, objective = spec["base"], OBJECTIVES[spec["recipe"]]
    device, dtype = choose_machine(config)
    check_family(base)
    rundir.progress(0, 0, "steps", "Loading the model")
    records = read_records(rundir, spec["dataset"], modality="text", media=True)
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
        config=config,
    )
    for line in describe(dataset, words.tokenizer, longest):
        rundir.event(line)
    # what is trained is float32: with an adapter the weights below it may be coarser
    model = words.load(dtype if config.trained == "lora" else torch.float32, device)
    adapter.check(model, config)
    total = config.max_steps or steps_in(config.epochs, dataset.trained, _per_step(config))
    prefix = _prepare_passes(rundir, config, model, dataset, dtype)
    reference: Values | None = [tuple(None for _ in e.names) for e in dataset.examples]
    if objective.referenced:
        folder = Path(spec["cache"]) if "cache" in spec else rundir.path / "cache"
        reference = reference_values(
            rundir,
            dataset.examples,
            objective.referenced,
            torch.no_grad()(lambda rows: score(model, rows, dtype=dtype, prefix=prefix)),
            cache=Cache(folder, key_of(model, dtype, prefix)),
            passes=passes_of(config, dataset, range(len(dataset.examples))),
            stop=stop,
            steps=total,
        )
    if reference is None:
        return
    model = adapter.prepare(model, config)
    if config.shard:
        shard(model)
    parameters = trainable(model)
    work = Work(
        rundir=rundir,
        stop=stop,
        config=config,
        objective=objective,
        model=model,
        dataset=dataset,
        has_ties=dataset.has_ties,
        reference=reference,
        dtype=dtype,
        prefix=prefix,
        draws=by_row(model),
        parameters=parameters,
        optimizer=optim.build(parameters.values(), config, total),
        total=total,
    )
    if world().leads and not config.shard:
        work.sample = sampler(rundir, config, model, words.tokenizer, records, total)
    start, state = resume(rundir, parameters=parameters, optimizer=work.optimizer)
    for name in KEPT & state.keys():
        setattr(work, name, state[name])
    _tell_plan(work, start, device)
    if _steps(work, start) and _test(work, total):
        _finish(work, words)


def _per_step(config: TextRecipe) -> int:
    """Pairs in one optimiser step."""
    return config.batch_size * config.accumulation


def passes_of(
    config: TextRecipe, dataset: Dataset, numbers: Sequence[int], halved: int = 0
) -> list[list[int]]:
    """Numbers of examples as they go through the model together."""
    size = per_pass(len(numbers), max(1, config.batch_size >> halved))
    tokens = config.tokens_per_pass >> halved
    return passes(numbers, dataset.examples, size=size, tokens=tokens)


def _prepare_passes(
    rundir: RunDir, config: TextRecipe, model: PreTrainedModel, dataset: Dataset, dtype: torch.dtype
) -> bool:
    """Settle how the model is read; whether prompts are shared by their answers."""
    on_gpu = model.device.type == "cuda"
    if on_gpu and config.attention == "flex":
        model.set_attn_implementation("flex_attention")
    if on_gpu and config.compile:
        compile_layers(model)
    if not on_gpu and (config.compile or config.attention == "flex"):
        rundir.event("compile and flex attention are for a GPU; this run goes on without.")
    if not config.share_prompt:
        return False
    rows = [row for example in dataset.examples for row in example.rows]
    if reason := why_not_packed(model, rows, dtype=dtype):
        rundir.event(
            f"This model cannot read several answers in a row with their prompt: {reason}. Each "
            "answer gets a row of its own, which gives the same result and takes longer."
        )
    return not reason


def _look(
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
    seen = Seen(examples, scored, reference, has_ties=work.has_ties)
    each, more = work.objective.loss(seen, work.config)
    losses = each * seen.weight
    told = {"loss": losses.detach(), **more}
    for name in examples[0].names:
        told[f"length_{name}"] = seen.length(name)
    for name in sorted(work.objective.referenced & {"chosen", "rejected"}):
        told[f"shift_{name}"] = (seen.mean(name) - seen.reference_mean(name)).detach()
    return losses, told


def _table(told: list[tuple[Sequence[int], dict[str, Tensor]]]) -> dict[str, Tensor]:
    """What was told in all passes of all processes, a float64 column a name, on the CPU."""
    names = list(told[0][1])
    parts = [
        torch.stack([torch.tensor(numbers), *(v.cpu() for v in each.values())]).double()
        for numbers, each in told
    ]
    columns = gather(torch.cat(parts, dim=1).T)
    return dict(zip(["example", *names], columns.T, strict=True))


def _means(table: dict[str, Tensor]) -> dict[str, float]:
    """Of each column over the examples that have such a number; no column where none has."""
    means = {name: float(column.nanmean()) for name, column in table.items() if name != "example"}
    return {name: mean for name, mean in means.items() if name == "loss" or mean == mean}


def _where(work: Work, table: dict[str, Tensor]) -> list[str]:
    """The rows whose loss is no number, in words."""
    bad = table["example"][~table["loss"].isfinite()].int().tolist()
    found = [work.dataset.examples[number] for number in sorted(bad)]
    return [f"row {example.number} (pair {example.key[:12]})" for example in found]


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
            _tell_fall(work)
        work.rundir.progress(step + 1, work.total, "steps", f"Loss {values['loss']:.4f}")
        if (step + 1) % config.checkpoint_every == 0 or step + 1 == work.total:
            work.save(step + 1)
    _sample(work, work.total)
    return True


def _sample(work: Work, step: int) -> None:
    optim.training_mode(work.optimizer, False)
    work.sample(step)


def _step(work: Work, step: int) -> dict[str, float] | None:
    """One optimiser step, number ``step`` from 0; its metrics, or None where it was stopped."""
    config = work.config
    rows = rows_of_step(
        step, rows=work.dataset.trained, per_step=_per_step(config), seed=config.seed
    )
    rate = optim.rate_at(step, work.total, config)
    optim.set_rate(work.optimizer, rate)
    optim.training_mode(work.optimizer, True)
    while True:
        try:
            told = _gradients(work, step, rows)
            break
        except torch.OutOfMemoryError:
            if not _halve(work, len(rows)):
                raise
    if told is None:
        return None
    parameters = list(work.parameters.values())
    sum_gradients(parameters)
    length = clip_gradients(parameters, config.max_grad_norm or float("inf"))
    table = _table(told)
    values = _means(table)
    check_finite(
        step + 1, config, _where(work, table), loss=float(table["loss"].mean()), gradient=length
    )
    work.optimizer.step()
    tokens = sum(_tokens(work, number) for number in rows)
    return {**values, "learning_rate": rate, "grad_norm": length, "tokens": tokens}


def _gradients(
    work: Work, step: int, rows: Sequence[int]
) -> list[tuple[Sequence[int], dict[str, Tensor]]] | None:
    """Lay the gradients of a step into the parameters; what was told, None where stopped."""
    work.optimizer.zero_grad()
    told = []
    with adapter.learning(work.model):
        for place, numbers in share(work.passes(rows), even=True):
            if work.stop:
                return None
            _draw(work, step, numbers)
            losses, each = _look(work, numbers)
            # a mean over the whole step, however it is cut into passes
            (losses.sum() / len(rows) * (place >= 0)).backward()
            if place >= 0:
                told.append((numbers, each))
    return told


def _draw(work: Work, step: int, numbers: Sequence[int]) -> None:
    """Set the seeds of the adapter's dropout for the rows of a pass."""
    found = []
    for number in numbers:
        example = work.dataset.examples[number]
        rows = example.rows if work.prefix else one_by_one(example.rows)
        found += [(f"{number} {place}", row.packed) for place, row in enumerate(rows)]
    work.draws.next(work.config.seed, step, found)


def _tokens(work: Work, number: int) -> int:
    """How many tokens of an example go through the model."""
    rows = work.dataset.examples[number].rows
    return sum(row.packed for row in (rows if work.prefix else one_by_one(rows)))


def _halve(work: Work, rows: int) -> bool:
    """Make passes half as large; False where they are as small as can be, or it is not wanted."""
    largest = max(map(len, work.passes(range(rows))))
    if not work.config.halve_on_oom or largest == 1 or world().size > 1:
        return False
    work.halved += 1
    torch.cuda.empty_cache()
    work.rundir.event(
        "The GPU's memory was too small for a pass: passes are half as large from here on. The "
        "steps stay the same.",
        "warning",
    )
    return True


@torch.no_grad()
def _test(work: Work, step: int) -> bool:
    """Measure the test rows after ``step`` steps; False where it was stopped."""
    rows = work.dataset.test
    if not rows:
        return True
    optim.training_mode(work.optimizer, False)
    told = []
    for place, numbers in share(work.passes(rows), even=True):
        if work.stop:
            return False
        _, each = _look(work, numbers, trained=step > 0)
        if place >= 0:
            told.append((numbers, each))
    table = _table(told)
    values = _means(table)
    check_finite(step, work.config, _where(work, table), test_loss=float(table["loss"].mean()))
    names = ("loss", "reward_accuracy", "reward_margin")
    work.record(step, {f"test_{name}": values[name] for name in names if name in values})
    return True


def _tell_fall(work: Work) -> None:
    """Say once where chosen answers lose probability although the margin grows."""
    shift = sum(work.shifts) / len(work.shifts)
    if work.told or shift > -FALL or work.last.get("reward_margin", 0) <= 0:
        return
    work.told = True
    work.rundir.event(
        f"The chosen answers have lost {-shift:.2f} nats a token since the start while the margin "
        "grew: the model makes both answers less likely, the rejected ones more so, and may write "
        "something else altogether. Lower learning_rate or raise beta, or let the chosen answers "
        "count by themselves: sft_weight 0.1 to 1 in the dpo recipe.",
        "warning",
    )


def _tell_plan(work: Work, start: int, device: torch.device) -> None:
    config, rundir = work.config, work.rundir
    trained = sum(parameter.numel() for parameter in work.parameters.values())
    every = sum(parameter.numel() for parameter in work.model.parameters())
    threads = f" ({torch.get_num_threads()} threads)" if device.type == "cpu" else ""
    what = {"lora": f"in an adapter of rank {config.lora_rank}", "all": "all weights"}
    rundir.event(
        f"{trained:,} of {every:,} parameters are trained, "
        f"{what.get(config.trained, f'{config.trained} weights alone')}; {device.type}{threads}, "
        f"{str(work.dtype).removeprefix('torch.')}, "
        f"{'prompts shared by their answers' if work.prefix else 'a row for each answer'}."
    )
    for line in work.objective.notes(config, work.has_ties):
        rundir.event(line)
    if warning := optim.advice(config):
        rundir.event(warning, "warning")
    if config.trained == "all" and config.learning_rate > 2e-5:
        rundir.event(
            f"learning_rate {config.learning_rate:g} is high for training all weights; 5e-7 to "
            "5e-6 is usual.",
            "warning",
        )
    if start:
        rundir.event(f"Going on from the checkpoint after step {start} of {work.total}.")
    else:
        rundir.event(f"{work.total} steps of {_per_step(config)} pairs.")


def _finish(work: Work, words: Base) -> None:
    """Keep the model, then say so: result.json is the last thing written."""
    config, model = work.config, work.model
    if work.shifts:
        _tell_fall(work)
    optim.training_mode(work.optimizer, False)
    weights = adapter.weights_of(model, config)
    if not world().leads:
        return
    digest = keep_model(
        work.rundir, lambda folder: adapter.save(model, config, words, folder, weights)
    )
    work.rundir.event(f"The model is kept; its weights have the SHA-256 {digest}.")
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
