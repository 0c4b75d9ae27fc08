"""DPO of a causal language model: from frozen preferences to an adapter, or to new weights.

To reproduce a run, copy its folder without ``checkpoints/``, ``model/`` and ``result.json``, and

    python -m training.engine RUN_DIR

``run.json`` holds all that decides it: the base model, the config with its seed, and the dataset's
file. Order of events: check and tokenise the rows, ask the untrained model for its
log-probabilities of all answers (the reference), lay a fresh adapter on it, resume where there is
a checkpoint, then steps of: one forward pass over chosen and rejected answers together, the loss,
backward, clip, AdamW.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from steelyard.inference.text import context_length, load_causal_lm, load_tokenizer
from steelyard.lib.engine import Stop
from steelyard.lib.errors import UserError
from steelyard.lib.rundir import RunDir
from training.engine.adapter import check_targets, learning, prepare
from training.engine.checkpoints import keep_model, resume, save_checkpoint, trainable
from training.engine.config import TextDPOConfig, config_of_run
from training.engine.data import (
    Batch,
    Dataset,
    Pair,
    batches,
    collate,
    describe,
    encode_records,
    read_records,
)
from training.engine.loop import (
    LOOK_BACK,
    check_finite,
    choose_machine,
    clip_gradients,
    learning_rate_at,
    rows_of_step,
    seed_step,
    steps_in,
    worse_than_before,
)
from training.engine.losses import LogProbs, pair_losses, reward_metrics
from training.engine.reference import reference_log_probs


@dataclass
class Work:
    """What the steps share."""

    rundir: RunDir
    stop: Stop
    config: TextDPOConfig
    model: PreTrainedModel
    dataset: Dataset
    reference: Tensor
    """float32, (pairs, 2): chosen and rejected under the untrained model."""
    dtype: torch.dtype
    parameters: dict[str, nn.Parameter]
    optimizer: torch.optim.Optimizer
    total: int
    """Steps of the whole run."""
    last: dict[str, float] = field(default_factory=dict)
    """The newest value of each metric."""
    first: dict[str, float] = field(default_factory=dict)
    """The first value of each metric."""
    losses: list[float] = field(default_factory=list)
    """Of the last LOOK_BACK steps."""

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
            state={"last": self.last, "first": self.first, "losses": self.losses},
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
            "by the same factor (the steps stay the same), lower max_length, or switch "
            "gradient_checkpointing on.",
            code="out_of_memory",
            field="batch_size",
        ) from error


def _train(rundir: RunDir, stop: Stop) -> None:
    spec = rundir.spec()
    config, base = config_of_run(spec, rundir.event), spec["base"]
    assert isinstance(config, TextDPOConfig)
    device, dtype = choose_machine(config)
    if base["family"] != "causal_lm":
        raise UserError(
            f"The dpo recipe trains language models of family causal_lm; {base['name']} is of "
            f"family {base['family']}. Choose another base model or recipe.",
            code="wrong_family",
            field="base",
        )
    rundir.progress(0, 0, "steps", "Loading the model")
    records = read_records(rundir, spec["dataset"], modality="text")
    # the tokenizer alone first: whether prompts fit is known without minutes of loading weights
    shape, tokenizer = load_tokenizer(base["source"])
    longest = min(config.max_length, context_length(shape) or config.max_length)
    dataset = encode_records(
        records, tokenizer, max_length=longest, drop_too_long=config.drop_too_long
    )
    for line in describe(dataset, tokenizer, longest):
        rundir.event(line)
    model, _ = load_causal_lm(
        base["source"],
        adapters=base["adapters"],
        # what is trained is float32: with an adapter the weights below it may be coarser
        dtype=dtype if config.lora_rank else torch.float32,
        device=device,
    )
    if config.lora_rank:
        check_targets(model, config.lora_targets)
    per_step = config.batch_size * config.accumulation
    total = config.max_steps or steps_in(config.epochs, dataset.trained, per_step)
    reference = reference_log_probs(
        rundir,
        dataset.pairs,
        torch.no_grad()(lambda pairs: summed_log_probs(model, collate(pairs), dtype)),
        batch_size=config.batch_size,
        stop=stop,
        label=f"{dtype} {device.type}",
        steps=total,
    )
    if reference is None:
        return
    model = prepare(model, config)
    parameters = trainable(model)
    work = Work(
        rundir=rundir,
        stop=stop,
        config=config,
        model=model,
        dataset=dataset,
        reference=reference,
        dtype=dtype,
        parameters=parameters,
        optimizer=torch.optim.AdamW(
            parameters.values(), lr=config.learning_rate, weight_decay=config.weight_decay
        ),
        total=total,
    )
    start, state = resume(rundir, parameters=parameters, optimizer=work.optimizer)
    work.last, work.first = state.get("last", {}), state.get("first", {})
    work.losses = state.get("losses", [])
    _tell_plan(work, start, device)
    if _steps(work, start) and _test(work, total):
        _finish(work, tokenizer)


def summed_log_probs(
    model: PreTrainedModel, batch: Batch, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """log p of chosen and rejected answers, each summed over the answer's tokens.

    Chosen and rejected go through the model together. Only the hidden states that predict an
    answer's token reach the output head: no logits are made for prompts and padding.

    Returns:
        Two float32 tensors of shape (pairs,), on the model's device.
    """
    device = model.device
    ids, answer = batch.ids.to(device), batch.answer.to(device)
    # the state at a position predicts the next token
    predicts = answer.roll(-1, dims=1)

    def keep_answers(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (inputs[0][predicts][None], *inputs[1:])

    head = model.get_output_embeddings()
    # before the head and not in its place, for models that scale or cap logits after it
    hook = head.register_forward_pre_hook(keep_answers)
    try:
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            logits = model(input_ids=ids, use_cache=False).logits[0]
    finally:
        hook.remove()
    scores = torch.zeros(answer.shape, device=device)
    scores[answer] = -cross_entropy(logits.float(), ids[answer], reduction="none")
    chosen, rejected = scores.sum(1).chunk(2)
    return chosen, rejected


def _score(work: Work, rows: Sequence[int], trained: bool = True) -> tuple[LogProbs, Tensor]:
    """Log-probabilities of rows under model and reference, and which of them are ties."""
    pairs: list[Pair] = [work.dataset.pairs[row] for row in rows]
    one, other = work.reference[list(rows)].to(work.model.device).unbind(1)
    tie = torch.tensor([pair.tie for pair in pairs], device=one.device)
    if not trained:
        # the untrained model is the reference: exactly even, without the noise of padding
        return LogProbs(one, other, one, other), tie
    chosen, rejected = summed_log_probs(work.model, collate(pairs), work.dtype)
    return LogProbs(chosen, rejected, one, other), tie


def _losses(work: Work, lp: LogProbs, tie: Tensor, rows: Sequence[int]) -> Tensor:
    weights = [work.dataset.pairs[row].weight for row in rows]
    each = pair_losses(lp, tie, work.config, has_ties=work.dataset.has_ties)
    return each * torch.tensor(weights, device=each.device)


def _steps(work: Work, start: int) -> bool:
    """Train from step ``start`` on; False where it was stopped."""
    config = work.config
    for step in range(start, work.total):
        if _due(step, config.eval_every) and not _test(work, step):
            work.save(step)
            return False
        values = _step(work, step)
        if values is None:
            work.save(step)
            return False
        work.record(step + 1, values)
        work.rundir.progress(step + 1, work.total, "steps", f"Loss {values['loss']:.4f}")
        if (step + 1) % config.checkpoint_every == 0 or step + 1 == work.total:
            work.save(step + 1)
    return True


def _due(step: int, every: int) -> bool:
    return step == 0 or (every > 0 and step % every == 0)


def _step(work: Work, step: int) -> dict[str, float] | None:
    """One optimiser step, number ``step`` from 0; its metrics, or None where it was stopped."""
    config = work.config
    per_step = config.batch_size * config.accumulation
    rows = rows_of_step(step, rows=work.dataset.trained, per_step=per_step, seed=config.seed)
    rate = learning_rate_at(step, work.total, config)
    work.optimizer.param_groups[0]["lr"] = rate
    work.optimizer.zero_grad()
    seen: list[LogProbs] = []
    ties: list[Tensor] = []
    loss = 0.0
    with learning(work.model):
        for place, some in enumerate(batches(rows, work.dataset.pairs, config.batch_size)):
            if work.stop:
                return None
            seed_step(config.seed, step, place)
            lp, tie = _score(work, some)
            # a mean over the whole step, however it is cut into passes
            part = _losses(work, lp, tie, some).sum() / len(rows)
            part.backward()
            loss += float(part.detach())
            seen.append(LogProbs(*(value.detach() for value in lp)))
            ties.append(tie)
    length = clip_gradients(list(work.parameters.values()), config.max_grad_norm)
    check_finite(step + 1, config, loss=loss, gradient=length)
    work.optimizer.step()
    together = LogProbs(*(torch.cat(values) for values in zip(*seen, strict=True)))
    return {
        "loss": loss,
        **reward_metrics(together, torch.cat(ties), beta=config.beta),
        "learning_rate": rate,
        "grad_norm": length,
    }


@torch.no_grad()
def _test(work: Work, step: int) -> bool:
    """Measure the test rows after ``step`` steps; False where it was stopped."""
    rows = work.dataset.test
    if not rows:
        return True
    seen, ties, loss = [], [], 0.0
    for some in batches(rows, work.dataset.pairs, work.config.batch_size):
        if work.stop:
            return False
        lp, tie = _score(work, some, trained=step > 0)
        loss += float(_losses(work, lp, tie, some).sum()) / len(rows)
        seen.append(lp)
        ties.append(tie)
    check_finite(step, work.config, test_loss=loss)
    together = LogProbs(*(torch.cat(values) for values in zip(*seen, strict=True)))
    values = reward_metrics(together, torch.cat(ties), beta=work.config.beta)
    kept = {f"test_{n}": values[n] for n in ("reward_accuracy", "reward_margin") if n in values}
    work.record(step, {"test_loss": loss, **kept})
    return True


def _tell_plan(work: Work, start: int, device: torch.device) -> None:
    config, rundir = work.config, work.rundir
    trained = sum(parameter.numel() for parameter in work.parameters.values())
    every = sum(parameter.numel() for parameter in work.model.parameters())
    threads = f" ({torch.get_num_threads()} threads)" if device.type == "cpu" else ""
    rundir.event(
        f"{trained:,} of {every:,} parameters are trained, "
        + (f"in an adapter of rank {config.lora_rank}" if config.lora_rank else "all weights")
        + f"; {device.type}{threads}, {str(work.dtype).removeprefix('torch.')}."
    )
    if work.dataset.has_ties and config.loss_type == "sigmoid" and config.ties != "half":
        rundir.event(
            f"The data hold ties, so the loss is that of {config.ties} with {config.tie_share:g} "
            "of equals tied; before training it is above the 0.693 of a loss without ties."
        )
    if config.lora_rank == 0 and config.learning_rate > 2e-5:
        rundir.event(
            f"learning_rate {config.learning_rate:g} is high for training all weights; 5e-7 to "
            "5e-6 is usual.",
            "warning",
        )
    if start:
        rundir.event(f"Going on from the checkpoint after step {start} of {work.total}.")
    else:
        rundir.event(f"{work.total} steps of {config.batch_size * config.accumulation} pairs.")


def _finish(work: Work, tokenizer: PreTrainedTokenizerBase) -> None:
    """Keep the model, then say so: result.json is the last thing written."""
    config, model = work.config, work.model

    def write(folder: Path) -> None:
        options: dict[str, Any] = {"save_embedding_layers": False} if config.lora_rank else {}
        model.save_pretrained(folder, **options)
        if not config.lora_rank:
            tokenizer.save_pretrained(folder)

    digest = keep_model(work.rundir, write)
    work.rundir.event(f"The model is kept; its weights have the SHA-256 {digest}.")
    trained = sum(parameter.numel() for parameter in work.parameters.values())
    warning = worse_than_before(work.first, work.last, work.losses, config)
    if warning:
        work.rundir.event(warning, "warning")
    work.rundir.finish(
        status="succeeded",
        form="adapter" if config.lora_rank else "full",
        digest=digest,
        metrics=work.last,
        counts={**work.dataset.counts, "steps": work.total, "trained_parameters": trained},
        **({"warning": warning} if warning else {}),
    )
