"""How probable answers are to a model, token by token: the one forward pass under every objective.

A row is a context and its answers. Where the model allows, they go through it as one packed
sequence, prompt ‖ answer 1 ‖ answer 2 …, in which no answer sees another and each counts its
positions on from the prompt: the prompt is read once. Elsewhere each answer gets a row of its own.
Only the hidden states that predict an answer's token reach the output head.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from steelyard.lib.said import Said
from training.engine.words import WORDS

HEAD_LIMIT = 2**26
"""Logits that may be in memory at once; more are made in parts, each a second time for its
gradients."""
_BLOCK = 2**22
"""Logits that are exponentiated at once."""
_NOBODY = 2**30
"""The number that padding has in place of an answer's."""
CLOSE = {torch.float32: 2e-3, torch.bfloat16: 0.1}
"""By how much, in nats a token, packed rows may differ from rows of their own."""


@dataclass(frozen=True)
class Row:
    """A context and continuations of it that do not see each other, in token ids."""

    prompt: list[int]
    """At least one token: the first token of an answer is predicted at the last of these."""
    answers: tuple[list[int], ...]
    images: tuple[str, ...] = ()
    """SHA-256 of the pictures in the prompt, in order."""

    @property
    def packed(self) -> int:
        """Tokens of the row with its prompt read once."""
        return len(self.prompt) + sum(map(len, self.answers))

    @property
    def longest(self) -> int:
        """Tokens of prompt and longest answer."""
        return len(self.prompt) + max(map(len, self.answers))


class Scored(NamedTuple):
    """Log-probabilities of the answers of some rows, in the order of rows and answers."""

    values: Tensor
    """float32, (tokens,): log p of every answer token given all before it, in nats."""
    lengths: Tensor
    """int64, (sequences,), on the device of the values: tokens of each answer."""

    def sums(self) -> Tensor:
        """log p of each answer, float64, (sequences,): of a thousand nats float32 would keep four
        decimals, and a loss is made of differences between such sums."""
        values = self.values.double()
        return torch.segment_reduce(values, "sum", lengths=self.lengths, unsafe=True)

    def means(self) -> Tensor:
        """log p of each answer per token, float64, (sequences,)."""
        return self.sums() / self.lengths


def score(
    model: PreTrainedModel, rows: Sequence[Row], *, dtype: torch.dtype, prefix: bool
) -> Scored:
    """The log-probabilities of all answers of the rows, in one pass through the model.

    Args:
        dtype: of the arithmetic; float32 is the model's own.
        prefix: read each prompt once for all of its answers; only for models of which
            :func:`why_not_packed` has nothing to say.
    """
    if not prefix:
        rows = one_by_one(rows)
    packed = _pack(rows, model.device)
    inputs: dict[str, Any] = {"input_ids": packed.ids, "use_cache": False}
    if any(len(row.answers) > 1 for row in rows):
        inputs |= {"position_ids": packed.positions, "attention_mask": _mask(model, packed.owner)}
    # a vision-language model has one, which shows it the pictures of the rows (vision.Sight)
    if sight := getattr(model, "sight", None):
        inputs |= sight.inputs(model, rows, packed.ids, packed.positions)
    with torch.autocast(model.device.type, dtype, enabled=dtype != torch.float32):
        values = _answer_log_probs(model, inputs, packed)
    return Scored(values, packed.lengths)


class _Packed(NamedTuple):
    """Rows side by side, padded on the right."""

    ids: Tensor
    """int64, (rows, longest)."""
    positions: Tensor
    """int64, (rows, longest): how many tokens of its own sequence stand before each."""
    owner: Tensor
    """int64, (rows, longest): 0 for a prompt, then the answer's number; _NOBODY for padding."""
    sources: Tensor
    """int64, (tokens,): where in the flattened rows each answer token is predicted."""
    targets: Tensor
    """int64, (tokens,): the answer tokens."""
    lengths: Tensor
    """int64, (sequences,)."""


def _pack(rows: Sequence[Row], device: torch.device) -> _Packed:
    longest = max(row.packed for row in rows)
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    positions, owner = torch.zeros_like(ids), torch.full_like(ids, _NOBODY)
    sources: list[int] = []
    targets: list[int] = []
    for number, row in enumerate(rows):
        first, end = number * longest, len(row.prompt)
        ids[number, :end] = torch.tensor(row.prompt)
        positions[number, :end] = torch.arange(end)
        owner[number, :end] = 0
        for place, answer in enumerate(row.answers, start=1):
            start, end = end, end + len(answer)
            ids[number, start:end] = torch.tensor(answer)
            positions[number, start:end] = torch.arange(len(answer)) + len(row.prompt)
            owner[number, start:end] = place
            # the last token of the prompt predicts the first one of every answer
            sources.append(first + len(row.prompt) - 1)
            sources.extend(range(first + start, first + end - 1))
            targets.extend(answer)
    lengths = [len(answer) for row in rows for answer in row.answers]
    parts = (ids, positions, owner, *map(torch.tensor, (sources, targets, lengths)))
    return _Packed(*(part.to(device) for part in parts))


def _mask(model: PreTrainedModel, owner: Tensor) -> Any:
    """Who sees whom: what stands before it of its prompt and its own answer, (rows, 1, n, n)."""
    size = owner.shape[1]
    if model.config._attn_implementation == "flex_attention":
        from torch.nn.attention.flex_attention import create_block_mask

        def allowed(row: Tensor, head: Tensor, one: Tensor, other: Tensor) -> Tensor:
            theirs = owner[row, other]
            return (one >= other) & ((theirs == 0) | (theirs == owner[row, one]))

        return create_block_mask(allowed, len(owner), None, size, size, device=owner.device)
    ours, theirs = owner[:, :, None], owner[:, None, :]
    before = torch.ones(size, size, dtype=torch.bool, device=owner.device).tril()
    # padding sees itself, so that no row of the mask is empty
    sees = (before & ((theirs == 0) | (theirs == ours)))[:, None]
    if model.config._attn_implementation == "eager":
        # which adds its mask to the scores
        return torch.zeros(sees.shape, dtype=model.dtype, device=owner.device).masked_fill_(
            ~sees, torch.finfo(model.dtype).min
        )
    return sees


def _answer_log_probs(model: PreTrainedModel, inputs: dict[str, Any], packed: _Packed) -> Tensor:
    """log p of the answer tokens, (tokens,), with no logits made for prompts and padding."""
    head = model.get_output_embeddings()
    kept: list[Tensor] = []
    in_parts = len(packed.targets) * head.weight.shape[0] > HEAD_LIMIT and _is_last(
        model, head, packed.ids[:1, :2]
    )

    def keep_answers(module: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        hidden = given[0].flatten(0, 1)[packed.sources]
        kept.append(hidden)
        return ((hidden[:1] if in_parts else hidden)[None], *given[1:])

    # before the head and not in its place, for models that scale or cap logits after it
    hook = head.register_forward_pre_hook(keep_answers)
    try:
        logits = model(**inputs).logits[0]
    finally:
        hook.remove()
    if not in_parts:
        return _TokenLogProbs.apply(logits.float(), packed.targets)

    def part(hidden: Tensor, targets: Tensor) -> Tensor:
        return _TokenLogProbs.apply(head(hidden[None])[0].float(), targets)

    size = max(1, HEAD_LIMIT // head.weight.shape[0])
    parts = zip(kept[0].split(size), packed.targets.split(size), strict=True)
    return torch.cat([checkpoint(part, *each, use_reentrant=False) for each in parts])


_LAST: WeakKeyDictionary[nn.Module, bool] = WeakKeyDictionary()


@torch.no_grad()
def _is_last(model: PreTrainedModel, head: nn.Module, ids: Tensor) -> bool:
    """Whether the head's output is the model's, neither scaled nor capped after it; asked once."""
    if head not in _LAST:
        made: list[Tensor] = []
        hook = head.register_forward_hook(lambda module, given, output: made.append(output))
        try:
            logits = model(input_ids=ids, use_cache=False).logits
        finally:
            hook.remove()
        _LAST[head] = torch.equal(logits, made[0])
    return _LAST[head]


class _TokenLogProbs(torch.autograd.Function):
    """log softmax of logits at one token a row; gradients are written over the logits."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor) -> Tensor:
        """
        Args:
            logits: float32, (tokens, vocabulary); not to be used by anybody else.
            targets: int64, (tokens,).
        """
        rows = max(1, _BLOCK // logits.shape[1])
        total = torch.cat([block.logsumexp(1) for block in logits.split(rows)])
        ctx.save_for_backward(logits, targets, total)
        return logits.gather(1, targets[:, None])[:, 0] - total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        logits, targets, total = ctx.saved_tensors
        (gradient,) = gradients
        rows = max(1, _BLOCK // logits.shape[1])
        parts = (each.split(rows) for each in (logits, total, gradient))
        for block, sums, factors in zip(*parts, strict=True):
            block.sub_(sums[:, None]).exp_().mul_(-factors[:, None])
        logits.scatter_add_(1, targets[:, None], gradient[:, None])
        return logits, None


@torch.no_grad()
def why_not_packed(model: PreTrainedModel, rows: Sequence[Row], *, dtype: torch.dtype) -> str:
    """What keeps a model from reading packed rows right; empty where nothing does.

    It is measured and not told by the model's name: some of the rows, the longest among them, are
    read both ways. That finds models that take no such mask or positions, windows that rows are
    longer than, states that run on from one answer into the next.
    """
    several = sorted((row for row in rows if len(row.answers) > 1), key=lambda row: row.packed)
    for row in several[:1] + several[-1:]:
        try:
            packed = score(model, [row], dtype=dtype, prefix=True).values
        except (TypeError, ValueError, RuntimeError, IndexError) as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            return Said(WORDS, "no_mask", error=type(error).__name__)
        apart = score(model, [row], dtype=dtype, prefix=False).values
        far = (packed - apart).abs()
        worst = float(far.max() if dtype == torch.float32 else far.mean())
        # a model that gives no numbers gives none either way
        if worst > CLOSE[dtype]:
            return Said(WORDS, "other_numbers", nats=f"{worst:.2g}")
    return ""


def compile_layers(model: PreTrainedModel) -> None:
    """Let torch.compile make kernels for each layer, whatever the lengths of the rows."""
    for module in model.modules():
        if type(module).__name__ in (model._no_split_modules or ()):
            module.compile(dynamic=True)


def one_by_one(rows: Sequence[Row]) -> list[Row]:
    """The same sequences with a row each."""
    return [Row(row.prompt, (answer,), row.images) for row in rows for answer in row.answers]
