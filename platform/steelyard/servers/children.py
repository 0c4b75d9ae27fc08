"""A process that ``make up`` keeps alive, and its log."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from steelyard.servers.process import Process, wait_until

LOG_LIMIT = 20 * 1024 * 1024
HEALTHY_SECONDS = 60
LONGEST_PAUSE = 30.0


@dataclass
class Child:
    """One command, started again when it ends, a little later each time.

    It leads a process group of its own: Ctrl-C in the terminal reaches only us, and what it left
    behind when it died can be cleared before its successor needs the same port.
    """

    name: str
    command: list[str]
    cwd: Path
    env: dict[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    identity: Process | None = None
    started: float = 0.0
    failures: int = 0
    _due: float = field(default=0.0, repr=False)

    def start(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        trim(self.log)
        with self.log.open("ab") as stream:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                cwd=self.cwd,
                env=self.env,
                start_new_session=True,
            )
        self.started = time.monotonic()
        self.identity = Process.of(self.process.pid)

    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def tend(self) -> str | None:
        """Start it again where it ended and its pause is over; returns news to tell, if any."""
        if self.process is None:
            if time.monotonic() >= self._due:
                self.start()
            return None
        if self.is_running():
            return None
        how = describe(self.process.returncode)
        self._sweep()
        healthy = time.monotonic() - self.started > HEALTHY_SECONDS
        self.failures = 1 if healthy else self.failures + 1
        pause = min(2.0 ** (self.failures - 1), LONGEST_PAUSE)
        self.process, self._due = None, time.monotonic() + pause
        return f"{self.name} {how}; starting it again in {pause:.0f} s (see {self.log})"

    def ask_to_stop(self) -> None:
        if self.process is not None and self.is_running():
            self.process.terminate()

    def stop(self, seconds: float) -> None:
        """SIGTERM, then SIGKILL to its whole group; returns when it is gone."""
        if self.process is None:
            return
        self.ask_to_stop()
        wait_until(lambda: not self.is_running(), seconds)
        self._sweep()
        self.process.wait()
        self.process = None

    def _sweep(self) -> None:
        """Kill what is left of its group, which keeps the leader's number while it has members."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)


def describe(code: int | None) -> str:
    if code is not None and code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"


def trim(log: Path) -> None:
    """Keep the log's end and one predecessor. Its writers append, so it may be cut under them."""
    if log.exists() and log.stat().st_size > LOG_LIMIT:
        shutil.copyfile(log, log.with_name(f"{log.name}.1"))
        os.truncate(log, 0)
