"""Which GPUs of this server a run gets: an advisory lease, kept in its row.

A run whose kind asks for GPUs (``gpus(run)`` of its runner) waits until as many are free, and its
process sees those alone (``CUDA_VISIBLE_DEVICES``). They are free again when the run is no longer
at work. On a server without GPUs nothing is asked and nothing waits.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from django.conf import settings

from steelyard.lib.errors import UserError
from steelyard.lib.said import Said
from steelyard.runs.models import Run
from steelyard.runs.said import OF_RUNS


def all_devices() -> list[int]:
    """Numbers of the GPUs that runs may use: the setting, or else those that are there."""
    if settings.GPUS is not None:
        return list(settings.GPUS)
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [int(number) for number in visible.split(",") if number.strip().isdigit()]
    found = (re.fullmatch(r"nvidia(\d+)", path.name) for path in Path("/dev").glob("nvidia*"))
    return sorted(int(match[1]) for match in found if match)


_ELSEWHERE = {"endpoint", "imported"}
"""Families of models that are not loaded here."""


def gpus_for(families: Iterable[str]) -> int:
    """How many GPUs a run asks for that loads models of these families one after another."""
    return int(any(family not in _ELSEWHERE for family in families))


def free_devices() -> list[int]:
    """Those that no run at work was given."""
    taken = {
        number
        for devices in Run.objects.started().values_list("devices", flat=True)
        for number in devices
    }
    return [number for number in all_devices() if number not in taken]


class Pool:
    """The free GPUs during one pass over the queue."""

    def __init__(self) -> None:
        self.free = free_devices()

    def take(self, wanted: int) -> list[int] | None:
        """So many GPUs, or None where the run has to wait for them.

        Once a run waits, later ones that ask for GPUs wait as well: many small runs would
        otherwise keep a large one waiting for ever.

        Raises:
            UserError: this server has fewer in all.
        """
        there = len(all_devices())
        if not wanted or not there:
            return []
        if wanted > there:
            raise UserError(
                Said(OF_RUNS, "too_few_gpus", wanted=wanted, there=there),
                code="too_few_gpus",
                field="processes",
            )
        if wanted > len(self.free):
            self.free = []
            return None
        taken, self.free = self.free[:wanted], self.free[wanted:]
        return taken
