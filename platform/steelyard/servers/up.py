"""``make up``: everything in one terminal, until Ctrl-C.

Settings come from the environment and ``.env``; their table stands in
``platform/docs/operations.md``. PostgreSQL and Valkey are sessions of their own: if this process is
killed they stay, and the next start finds them.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import IO

from dotenv import load_dotenv

from steelyard.servers.address import EVERYWHERE, Address
from steelyard.servers.children import Child, describe, trim
from steelyard.servers.leftovers import end_children, end_engines, engines, write_children
from steelyard.servers.paths import ROOT, data_dir
from steelyard.servers.postgres import Postgres
from steelyard.servers.process import ServerError, make_data_dir, owner, tail
from steelyard.servers.valkey import Valkey

NEEDED_BYTES = 500 * 1024**2
FIRST_ANSWER_SECONDS = 120
LOOK_EVERY = 5.0


class Stopped(Exception):
    """Somebody asked us to stop while we were starting."""


def say(what: str, text: str = "") -> None:
    with contextlib.suppress(OSError):  # the terminal may be gone; the servers are not
        print(f"  {what:<10}{text}".rstrip(), flush=True)  # noqa: T201


def given(name: str) -> bool:
    return bool(os.environ.get(name) or os.environ.get(f"{name}_FILE"))


@contextmanager
def only_one(data: Path, address: Address) -> Iterator[None]:
    """Hold this data folder. The file tells a second start who has it.

    Raises:
        ServerError: another start has it.
    """
    path = data / "up.lock"
    with path.open("a+") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ServerError(_who_has(path)) from None
        _write(stream, {"pid": os.getpid(), "url": address.url})
        try:
            yield
        finally:
            _write(stream, {})


def _write(stream: IO[str], body: dict[str, object]) -> None:
    stream.truncate(0)
    stream.write(json.dumps(body))
    stream.flush()


def _who_has(path: Path) -> str:
    with contextlib.suppress(OSError, ValueError, KeyError):
        other = json.loads(path.read_text())
        return (
            f"Steelyard is already running over {path.parent}: pid {other['pid']}, at "
            f"{other['url']}. Stop it with Ctrl-C there, or start another over a folder of its "
            f"own with STEELYARD_DATA and PORT."
        )
    return f"Steelyard is already starting or stopping over {path.parent}; try again in a moment."


class Up:
    """The order of things: servers, tables, demo, web and worker; backwards on the way out."""

    def __init__(self, data: Path, address: Address) -> None:
        self.data = data
        self.address = address
        self.env = {**os.environ, "STEELYARD_DATA": str(data), "PYTHONUNBUFFERED": "1"}
        self.stop = threading.Event()
        self.hurry = threading.Event()
        self.servers: list[Postgres | Valkey] = []
        self.web = self._child("web", web_command(address), "web.log")
        self.worker = self._child("worker", _celery(data), "worker.log")
        self._looked = time.monotonic()

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """The first asks for an orderly stop, the second for a quick one."""
        (self.hurry if self.stop.is_set() else self.stop).set()

    def run(self) -> None:
        try:
            self.start()
            while not self.stop.wait(0.5):
                self.watch()
        except Stopped:
            pass
        finally:
            self.end()

    def start(self) -> None:
        end_children(self._children_file, lambda text: say("note", text))
        self.address.check_free()
        self._start_server("DATABASE_URL", "database", Postgres(self.data))
        self._start_server("CELERY_BROKER_URL", "broker", Valkey(self.data))
        self._migrate()
        # Both take seconds to import everything, and the demo's people only need the tables.
        for child in (self.web, self.worker):
            child.start()
        self._remember()
        sign_in = self._setup_demo()
        self._wait_for_web()
        self._announce(sign_in)

    def watch(self) -> None:
        """Start again what ended."""
        for child in (self.web, self.worker):
            before = child.process
            if news := child.tend():
                say("note", news)
            if child.process is not before:
                self._remember()
        if time.monotonic() - self._looked < LOOK_EVERY:
            return
        self._looked = time.monotonic()
        for server in self.servers:
            if not server.is_ready():
                say("note", f"{_name(server)} does not answer; starting it again")
                self._revive(server)
        for log in (self.data / "logs").glob("*.log"):
            trim(log)

    def end(self) -> None:
        """Web, worker, engines, then what they stood on."""
        self.stop.set()
        say("")
        with contextlib.suppress(ServerError):
            self._end_child(self.web, 10)
            # The worker goes before the engines, or it would start them again.
            self._end_child(self.worker, 20)
            self._end_engines()
        self._children_file.unlink(missing_ok=True)
        for server in reversed(self.servers):
            server.stop()
            say("stopped", _name(server))

    def _child(self, name: str, command: list[str], log: str) -> Child:
        return Child(name, command, ROOT, self.env, self.data / "logs" / log)

    @property
    def _children_file(self) -> Path:
        return self.data / "up.children"

    def _remember(self) -> None:
        found = [child.identity for child in (self.web, self.worker) if child.is_running()]
        write_children(self._children_file, [one for one in found if one is not None])

    def _start_server(self, setting: str, what: str, server: Postgres | Valkey) -> None:
        if self.stop.is_set():
            raise Stopped
        if given(setting):
            say(what, f"the one that {setting} names")
            return
        started = time.monotonic()
        self.servers.append(server)
        server.start()
        say(what, f"{_name(server)} on a private socket{_took(started)}")

    def _revive(self, server: Postgres | Valkey) -> None:
        try:
            server.start()
        except (ServerError, OSError) as error:
            say("note", str(error))

    def _migrate(self) -> None:
        started = time.monotonic()
        output = self._manage("migrate", "--no-input")
        applied = output.count("... OK")
        done = f"{applied} migrations applied" if applied else "up to date"
        say("tables", f"{done}{_took(started)}")

    def _setup_demo(self) -> str:
        if os.environ.get("STEELYARD_DEMO", "1").lower() in {"0", "false", "no"}:
            return "  no demo (STEELYARD_DEMO=0): .venv/bin/python manage.py createsuperuser"
        started = time.monotonic()
        output = self._manage("setup_demo")
        say("demo", f"people and projects are there{_took(started)}")
        return output.rstrip()

    def _manage(self, *words: str) -> str:
        """Run a management command to its end; its output.

        Raises:
            ServerError: it failed; the message ends with its output.
            Stopped: somebody asked us to stop meanwhile.
        """
        command = [sys.executable, str(ROOT / "manage.py"), *words]
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=self.env,
            start_new_session=True,
        )
        while True:
            try:
                output, errors = process.communicate(timeout=0.2)
                break
            except subprocess.TimeoutExpired:
                if self.stop.is_set():
                    process.terminate()
                    process.communicate()
                    raise Stopped from None
        if process.returncode:
            lines = "\n".join(f"  {line}" for line in (output + errors).splitlines()[-15:])
            how = describe(process.returncode)
            raise ServerError(f"manage.py {' '.join(words)} {how}:\n{lines}")
        return output

    def _wait_for_web(self) -> None:
        started = time.monotonic()
        while (status := self._status()) is None:
            for child in (self.web, self.worker):
                if not child.is_running():
                    if child is self.web and self.address.status() is not None:
                        raise ServerError(self.address.taken())
                    how = describe(child.process.returncode if child.process else None)
                    raise ServerError(
                        f"The {child.name} {how}. {child.log} ends:\n{tail(child.log)}"
                    )
            if time.monotonic() - started > FIRST_ANSWER_SECONDS:
                raise ServerError(
                    f"The web server did not answer within {FIRST_ANSWER_SECONDS} s. "
                    f"{self.web.log} ends:\n{tail(self.web.log)}"
                )
            if self.stop.wait(0.1):
                raise Stopped
        say("web", f"answers{_took(started)}")
        if status >= 500:
            say("note", f"its first page says error {status}; see {self.web.log}")

    def _status(self) -> int | None:
        """Of our own first page; None while nobody answers.

        Raises:
            ServerError: another program answers there, which took the port while we were starting.
        """
        status = self.address.status()
        process = self.web.process
        if status is None or process is None or self.address.is_held_by(process.pid):
            return status
        raise ServerError(self.address.taken())

    def _announce(self, sign_in: str) -> None:
        say("logs", str(self.data / "logs"))
        say("")
        say("open", self.address.url)
        say("API", f"{self.address.url}api/v1/schema/")
        with contextlib.suppress(OSError):
            print(f"\n{sign_in}\n", flush=True)  # noqa: T201
        if self.address.host in EVERYWHERE:
            say("note", "HOST lets every machine of the network in; put TLS in front of it")
        say("Ctrl-C", "stops everything")

    def _end_child(self, child: Child, seconds: float) -> None:
        if child.process is None:
            return
        child.ask_to_stop()
        end = time.monotonic() + seconds
        while child.is_running() and time.monotonic() < end and not self.hurry.is_set():
            time.sleep(0.05)
        child.stop(0)
        say("stopped", child.name)

    def _end_engines(self) -> None:
        running = engines(self.data)
        if not running:
            return
        runs = "1 run" if len(running) == 1 else f"{len(running)} runs"
        say("stopping", f"{runs}, after a checkpoint (Ctrl-C again: without)")
        killed = end_engines(running, self.hurry.is_set)
        say("stopped", f"{runs}; the next start goes on from the last checkpoint")
        if killed:
            say("note", f"{killed} of them had to be killed")


def web_command(address: Address) -> list[str]:
    """The web server, with as many processes as WEB_WORKERS says."""
    workers = os.environ.get("WEB_WORKERS") or "2"
    if not workers.isdigit() or int(workers) < 1:
        raise ServerError(f"WEB_WORKERS is {workers!r}; it must be a whole number from 1 on.")
    return [
        *(sys.executable, "-m", "gunicorn", "steelyard.wsgi:application"),
        *("--bind", address.bind, "--worker-class", "gthread"),
        *("--workers", workers, "--threads", "4"),
        *("--timeout", "60", "--graceful-timeout", "8", "--no-control-socket"),
        *("--log-level", "warning"),
    ]


def _celery(data: Path) -> list[str]:
    # Celery warns that root runs it; in a container that is how it is.
    quiet = "ignore:You're running the worker with superuser privileges"
    return [
        *(sys.executable, "-W", quiet, "-m", "celery", "-A", "steelyard", "worker"),
        *("--beat", "--schedule", str(data / "celerybeat-schedule")),
        *("--concurrency", "2", "--without-gossip", "--without-mingle"),
        *("--loglevel", "WARNING"),
    ]


def _name(server: Postgres | Valkey) -> str:
    return "PostgreSQL" if isinstance(server, Postgres) else "Valkey"


def _took(started: float) -> str:
    return f" ({time.monotonic() - started:.1f} s)"


def check_disk(data: Path) -> None:
    free = shutil.disk_usage(data).free
    if free < NEEDED_BYTES:
        raise ServerError(
            f"The disk of {data} is full: {free / 1e6:.0f} MB are free, and a start needs "
            f"{NEEDED_BYTES / 1e6:.0f}. Free some, or name another folder with STEELYARD_DATA."
        )


def start() -> None:
    load_dotenv(ROOT / ".env")
    data, address = data_dir(), Address.from_environment()
    make_data_dir(data)
    check_disk(data)
    say("Steelyard", f"over {data}")
    with only_one(data, address):
        up = Up(data, address)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, up.on_signal)
        up.run()


def main() -> int:
    argparse.ArgumentParser(
        prog="python -m steelyard.servers.up",
        description="Start Steelyard: servers, web, worker and the demo; Ctrl-C stops all. "
        "Settings come from the environment and .env.",
    ).parse_args()
    try:
        start()
    except ServerError as error:
        sys.stderr.write(f"steelyard: {error}\n")
        return 1
    except PermissionError as error:
        path = Path(error.filename or data_dir())
        whose = f"; it belongs to user {owner(path)}" if path.exists() else ""
        sys.stderr.write(
            f"steelyard: {path} may not be written{whose}. Start as that user, or name another "
            f"folder with STEELYARD_DATA.\n"
        )
        return 1
    except OSError as error:
        sys.stderr.write(f"steelyard: {error.strerror}: {error.filename or data_dir()}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
