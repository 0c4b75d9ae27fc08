"""What a process and its children use of the machine: memory, cores, the GPUs they were given."""

from __future__ import annotations

import os
import shutil
import subprocess
import time

import psutil

_MIB = 1 << 20
_ASK = "--query-gpu=index,utilization.gpu,memory.used,memory.total"
Gpu = tuple[int, float, float, float]
"""Number, utilisation in per cent, MiB used and MiB in all."""


def gpus() -> list[Gpu]:
    """The machine's GPUs as nvidia-smi tells them; none where it is not there or says nothing."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    try:
        told = subprocess.run(
            [program, _ASK, "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        ).stdout
        rows = [[float(cell) for cell in line.split(",")] for line in told.splitlines() if line]
    except (OSError, ValueError, subprocess.SubprocessError):
        return []
    return [(int(row[0]), row[1], row[2], row[3]) for row in rows if len(row) == 4]


class Meter:
    """Reads again and again; load is the mean since the last reading."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._last = (time.monotonic(), self._busy())

    def read(self) -> dict[str, float]:
        """By name, as the curves of a run know them."""
        now, busy = time.monotonic(), self._busy()
        passed = max(1e-3, now - self._last[0])
        values = {
            "resource_rss_mib": self._memory() / _MIB,
            "resource_cpu_percent": max(0.0, 100 * (busy - self._last[1]) / passed),
        }
        self._last = (now, busy)
        if given := _given(gpus()):
            values["resource_gpu_percent"] = sum(gpu[1] for gpu in given) / len(given)
            values["resource_gpu_memory_mib"] = sum(gpu[2] for gpu in given)
        return values

    def _all(self) -> list[psutil.Process]:
        return [self._process, *self._process.children(recursive=True)]

    def _busy(self) -> float:
        """Seconds of CPU so far, of children that have ended as well."""
        total = 0.0
        for process in self._all():
            try:
                times = process.cpu_times()
            except psutil.Error:
                continue
            total += times.user + times.system
        own = self._process.cpu_times()
        return total + own.children_user + own.children_system

    def _memory(self) -> int:
        total = 0
        for process in self._all():
            try:
                total += process.memory_info().rss
            except psutil.Error:
                continue
        return total


def _given(found: list[Gpu]) -> list[Gpu]:
    """Those that this process may use, where it was given some by number."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return found
    numbers = {int(word) for word in named.split(",") if word.strip().isdecimal()}
    return [gpu for gpu in found if gpu[0] in numbers]
