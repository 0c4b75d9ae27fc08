"""One run in several processes: who does which part, and how the parts become one result.

``torchrun`` (or Ray) starts the same engine several times and says by environment variables who is
who. Every process goes through the same steps; of each step it takes the passes that are its own by
their number, with the seeds that they would have in one process, so the numbers are those of one
process up to the order in which sums are taken. Between backward and step the gradients are added
up. Only the first process, which *leads*, writes to the run directory.

Two layouts: a copy of the weights in each process, whose gradients are summed here; or, with
``shard``, weights, gradients and optimiser state spread over all of them by FSDP2.

A process that is alone takes no part in any of this: every function is then the identity.
"""

from __future__ import annotations

import atexit
import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from steelyard.lib.engine import Stop
from steelyard.lib.errors import UserError
from steelyard.lib.said import Said
from training.engine.words import WORDS

T = TypeVar("T")
_PATIENCE = timedelta(minutes=60)
"""How long a process waits for the others, who may be saving a large model."""
_BUCKET = 32 * 2**20
"""Bytes of gradients that go over the wire together."""


@dataclass(frozen=True)
class World:
    rank: int = 0
    size: int = 1
    local_rank: int = 0
    """The number among the processes of this machine, and of its GPU."""

    @property
    def leads(self) -> bool:
        return self.rank == 0


def world() -> World:
    """Who this process is."""
    if os.environ.get("WORLD_SIZE", "1") == "1":
        return World()
    return World(
        int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), int(os.environ["LOCAL_RANK"])
    )


@contextlib.contextmanager
def joined(device: str) -> Iterator[World]:
    """Be one of several processes for a while; alone it is nothing.

    Args:
        device: as a config names it: auto, cpu or cuda.
    """
    here = world()
    if here.size == 1:
        yield here
        return
    # Ray has made the group and chosen the GPU already
    mine = not dist.is_initialized()
    if mine:
        on_gpu = device != "cpu" and torch.cuda.is_available()
        if on_gpu:
            _check_gpus(here)
            torch.cuda.set_device(here.local_rank)
        # flags and metrics go by the CPU, so that no GPU has to be waited for
        dist.init_process_group("cpu:gloo,cuda:nccl" if on_gpu else "gloo", timeout=_PATIENCE)
    yield here
    if mine:
        # at the end of the process, which may join again for another round, and not after an
        # error: it would wait for processes that are gone
        atexit.register(dist.destroy_process_group)


def _check_gpus(here: World) -> None:
    there = torch.cuda.device_count()
    if here.local_rank >= there:
        raise UserError(
            Said(WORDS, "too_many_processes", there=there),
            code="too_few_gpus",
            field="processes",
        )


class AgreedStop:
    """A stop that all processes see at the same look, so that they end after the same step.

    Every process must look equally often.
    """

    def __init__(self, stop: Stop) -> None:
        self._stop = stop

    @property
    def own(self) -> Stop:
        """What this process was told by itself, for work that it does alone."""
        return self._stop

    def __bool__(self) -> bool:
        told = agreed(bool(self._stop))
        if told and not self._stop:
            # another process was told, as one on another host: this one ends as it does
            self._stop.terminate()
        return told


def agreed(flag: bool) -> bool:
    """Whether any process says so."""
    if world().size == 1:
        return flag
    told = torch.tensor(int(flag))
    dist.all_reduce(told, dist.ReduceOp.MAX)
    return bool(told)


def share(passes: Sequence[T], *, even: bool = False) -> list[tuple[int, T]]:
    """This process's part of a step's passes, each with its place among all of them.

    Args:
        even: give every process as many, where need be by taking a pass a second time with the
            place -1, whose result must not count: sharded weights are gathered by all together.
    """
    here = world()
    mine = [(place, passes[place]) for place in range(here.rank, len(passes), here.size)]
    if even and len(mine) < -(-len(passes) // here.size):
        mine.append((-1, passes[0]))
    return mine


def per_pass(rows: int, size: int) -> int:
    """How many rows a pass may hold, at most ``size``, so that no process is without any."""
    return max(1, min(size, -(-rows // world().size)))


def gather(values: Tensor) -> Tensor:
    """The rows of all processes, (rows of all, ...), those of the first one first; on the CPU where
    there are several.

    Args:
        values: (own rows, ...), own rows from 0 up.
    """
    size = world().size
    if size == 1:
        return values
    own = values.detach().cpu().contiguous()
    counts = [torch.zeros(1, dtype=torch.int64) for _ in range(size)]
    dist.all_gather(counts, torch.tensor([len(own)]))
    most = max(int(count) for count in counts)
    padded = own.new_zeros((most, *own.shape[1:]))
    padded[: len(own)] = own
    found = [torch.zeros_like(padded) for _ in range(size)]
    dist.all_gather(found, padded)
    return torch.cat([each[: int(n)] for each, n in zip(found, counts, strict=True)])


def total(value: float) -> float:
    """The sum over all processes."""
    if world().size == 1:
        return value
    told = torch.tensor(value, dtype=torch.float64)
    dist.all_reduce(told)
    return float(told)


def sum_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """Add up the gradients of all processes, after their last backward pass.

    Sharded weights are summed by FSDP2 itself and left alone.
    """
    if world().size == 1:
        return
    bucket: list[Tensor] = []
    held = 0
    for parameter in parameters:
        if hasattr(parameter, "full_tensor"):
            continue
        if parameter.grad is None:
            # a process without a pass in this step
            parameter.grad = torch.zeros_like(parameter)
        bucket.append(parameter.grad)
        held += parameter.grad.nbytes
        if held > _BUCKET:
            _sum(bucket)
            bucket, held = [], 0
    if bucket:
        _sum(bucket)


def _sum(gradients: list[Tensor]) -> None:
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    dist.all_reduce(flat)
    for gradient, piece in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(piece.view_as(gradient))


def barrier() -> None:
    if world().size > 1:
        agreed(False)


def shard(model: nn.Module) -> None:
    """Spread a model's weights over all processes: each layer is gathered while it is at work.

    Gradients come out as sums over the processes. Alone nothing is done.
    """
    size = world().size
    if size == 1:
        return
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import FSDPModule, fully_shard

    on_gpu = "nccl" in dist.get_backend_config(dist.group.WORLD).lower()
    mesh = init_device_mesh("cuda" if on_gpu else "cpu", (size,))
    layers = set(getattr(model, "_no_split_modules", None) or ())
    for module in model.modules():
        if type(module).__name__ in layers:
            fully_shard(module, mesh=mesh)
    fully_shard(model, mesh=mesh)
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)


def spread_again(model: nn.Module) -> None:
    """After a pass without gradients: what it gathered and FSDP2 keeps for a backward pass is let
    go, so that the model's parameters are the sharded ones again."""
    if world().size == 1:
        return
    from torch.distributed.fsdp import FSDPModule

    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def full(tensor: Tensor) -> Tensor:
    """A tensor in one piece; of a sharded one only the process that leads gets it, on the CPU.

    Every process has to call this for the same tensors in the same order.
    """
    if not hasattr(tensor, "full_tensor"):
        return tensor
    whole: Tensor = tensor.full_tensor()
    return whole.cpu() if world().leads else whole.new_empty(0, device="cpu")


def laid_out(tensor: Tensor, *, like: Tensor) -> Tensor:
    """A whole tensor, which every process has, where and how ``like`` lies."""
    moved = tensor.to(like.device)
    if not hasattr(like, "full_tensor") or tensor.shape != like.shape:
        return moved
    from torch.distributed.tensor import distribute_tensor

    held: Any = like
    return distribute_tensor(moved, held.device_mesh, held.placements, src_data_rank=None)


def clip_gradients(parameters: Sequence[nn.Parameter], limit: float) -> float:
    """Shorten the whole gradient to ``limit`` and return its length before."""
    length = torch.nn.utils.clip_grad_norm_(parameters, limit)
    return float(length.full_tensor() if hasattr(length, "full_tensor") else length)
