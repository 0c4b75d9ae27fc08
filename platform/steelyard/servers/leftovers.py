"""What may outlive ``make up``: children of a start that was killed, and running engines.

Engines are sessions of their own so that a killed worker does not take a training run with it. On
an orderly stop they are asked to write a checkpoint and end; the next start goes on from there.
"""

from __future__ import annotations

import contextlib
import json
import signal
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path

from steelyard.servers.process import Process, end, wait_until

CHECKPOINT_SECONDS = 60.0


def write_children(path: Path, children: Iterable[Process]) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps([asdict(child) for child in children]))
    partial.replace(path)


def read_children(path: Path) -> list[Process]:
    """Those of an earlier start that still run."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        found = [Process(**child) for child in json.loads(path.read_text())]
        return [child for child in found if child.is_alive()]
    return []


def end_children(path: Path, say: Callable[[str], None]) -> None:
    """End the web server and the worker of a start that was killed: they hold port and queue."""
    for child in read_children(path):
        say(f"an earlier start left the process {child.pid} behind; stopping it")
        end(child, signal.SIGTERM, 15)
        child.signal_group(signal.SIGKILL)
    path.unlink(missing_ok=True)


def engines(data: Path) -> list[Process]:
    """The engines at work in the run folders of this installation."""
    found = []
    for file in (data / "runs").glob("*/pid"):
        with contextlib.suppress(OSError):
            process = Process.read(file.read_text())
            if process is not None and process.is_alive():
                found.append(process)
    return found


def end_engines(running: list[Process], hurry: Callable[[], bool]) -> int:
    """Ask each for a checkpoint; kill those that have none within a minute, or on ``hurry``.

    A killed engine resumes from its last whole checkpoint, so nothing but minutes is lost.

    Returns:
        how many had to be killed.
    """
    for process in running:
        process.signal(signal.SIGTERM)

    def over() -> bool:
        return hurry() or not any(process.is_alive() for process in running)

    wait_until(over, CHECKPOINT_SECONDS)
    late = [process for process in running if process.is_alive()]
    for process in late:
        process.signal_group(signal.SIGKILL)
    return len(late)
