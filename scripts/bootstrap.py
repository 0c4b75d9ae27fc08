"""Makes ``.venv`` from the lock file. Run by the system's Python: standard library only.

    python3 scripts/bootstrap.py          what the product needs
    python3 scripts/bootstrap.py --dev    and what tests and checks need

An install that is whole carries a stamp, written last: the hash of all that it depends on. While
pip works there is a mark instead, so an install that was cut short is known and made again.
"""

# ruff: noqa: E402  (the imports after the version check need a newer Python)
import os
import shutil
import subprocess
import sys


def hand_over() -> None:
    """Go on with a newer Python where the machine has one beside this. The code up to here must
    be readable to old ones."""
    for minor in range(14, 10, -1):
        other = shutil.which("python3.%d" % minor)  # noqa: UP031
        if other and subprocess.call([other, "-c", ""], stderr=subprocess.DEVNULL) == 0:
            os.execv(other, [other] + sys.argv)  # noqa: RUF005
    sys.exit(
        "steelyard: Python 3.11 or newer is needed, and %s is %s. Name a newer one: "  # noqa: UP031
        "make up PYTHON=python3.12" % (sys.executable, sys.version.split()[0])
    )


if sys.version_info < (3, 11):  # noqa: UP036
    hand_over()

import errno
import fcntl
import hashlib
import json
import queue
import re
import tempfile
import threading
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
MARK = VENV / ".installing"
LOCK, DEV_LOCK = ROOT / "requirements.lock", ROOT / "requirements-dev.lock"
GIGABYTE = 1024**3
NEEDED = 4 * GIGABYTE
AGAIN = "Then run the same command again; what was downloaded is kept."


class Problem(Exception):
    """The message says what is wrong and what to do."""


def say(text: str) -> None:
    print(f"  install   {text}", flush=True)  # noqa: T201


def stamp_of(lock: Path) -> Path:
    return VENV / f".installed-{lock.stem}"


def digest(lock: Path) -> str:
    """What an install depends on: locks, the project's own metadata, this Python, this place."""
    files = [LOCK, *([DEV_LOCK] if lock == DEV_LOCK else [])]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    ours = [project["build-system"], project["project"], project["tool"]["hatch"]]
    files.append(ROOT / "client" / "pyproject.toml")
    parts = [file.read_bytes() for file in files] + [json.dumps(ours, sort_keys=True).encode()]
    parts += [f"{sys.version_info.major}.{sys.version_info.minor}".encode(), str(ROOT).encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def is_installed(lock: Path) -> bool:
    stamp = stamp_of(lock)
    return PYTHON.exists() and stamp.exists() and stamp.read_text() == digest(lock)


def pins(lock: Path) -> list[str]:
    """Names in a lock and the locks that it includes."""
    found = []
    for line in lock.read_text().splitlines():
        if line.startswith("-r "):
            found += pins(lock.with_name(line[3:].strip()))
        elif "==" in line:
            found.append(line.split("==")[0].strip())
    return found


def check_disk() -> None:
    """The environment takes 2.4 GB, and pip unpacks beside it."""
    for folder, needed in ((ROOT, NEEDED), (Path(tempfile.gettempdir()), GIGABYTE)):
        free = shutil.disk_usage(folder).free
        if free < needed:
            raise Problem(
                f"{folder} has {free / GIGABYTE:.1f} GB free, and the install needs "
                f"{needed / GIGABYTE:.0f}. Free some{'' if folder == ROOT else ', or set TMPDIR'}."
            )


def make_venv() -> None:
    """An environment that starts; one that an install was cut short in is made anew."""
    if MARK.exists() or (VENV.exists() and not PYTHON.exists()):
        say("an earlier install did not finish; making it anew")
        shutil.rmtree(VENV)
    elif VENV.exists() and version_of(PYTHON) != sys.version_info[:2]:
        say("the environment is another Python's; making it anew")
        shutil.rmtree(VENV)
    if VENV.exists():
        return
    say(f"making .venv with Python {sys.version.split()[0]}")
    VENV.mkdir()
    MARK.touch()
    done = run([sys.executable, "-m", "venv", str(VENV)])
    if done.returncode:
        shutil.rmtree(VENV, ignore_errors=True)
        if "ensurepip" in done.stdout:
            raise Problem(
                f"{sys.executable} cannot make environments: its venv module comes apart from it. "
                "On Debian and Ubuntu: apt install python3-venv. Or name another Python: "
                "make up PYTHON=…"
            )
        raise failure("making the environment", done.stdout)


def version_of(python: Path) -> "tuple[int, ...]":
    done = run([str(python), "-c", "import sys; print(*sys.version_info[:2])"])
    return tuple(int(part) for part in done.stdout.split()) if done.returncode == 0 else ()


def run(command: "list[str]") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
    )


def pip(*words: str, total: int = 0) -> None:
    """Run pip in the environment and tell how far it is, where there is a total.

    Raises:
        Problem: it failed; the message ends with what it said.
    """
    command = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "--no-input", *words]
    process = subprocess.Popen(
        [*command, "--progress-bar", "off"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        close_fds=False,
    )
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    reader = threading.Thread(target=lambda: [lines.put(line) for line in process.stdout or ()])
    reader.start()
    kept: list[str] = []
    progress = Progress(total)
    try:
        while reader.is_alive() or not lines.empty():
            try:
                line = lines.get(timeout=1)
            except queue.Empty:
                line = ""
            kept = [*kept[-20:], *([line.rstrip()] if line else [])]
            if total:
                progress.tell(line)
        if process.wait():
            raise failure("pip", "\n".join(kept))
    finally:
        process.kill()
        process.wait()


class Progress:
    """A line every few seconds, and one at the start of each big download."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.asked = 0
        self.unpacking = False
        self.started = self.told = time.monotonic()

    def tell(self, line: str) -> None:
        """What pip printed; empty when it printed nothing for a second."""
        self.asked += line.startswith("Collecting ")
        match = re.match(r"\s+Downloading (\S+?)-(\S+?)-\S+ \((\d+)(?:\.\d+)? ([MG]B)", line)
        if line.startswith("Installing collected"):
            self.unpacking = True
            self._say(f"{self.total} packages are here; unpacking them takes a minute or so")
        elif match and (match.group(4) == "GB" or int(match.group(3)) >= 20):
            self._say(
                "{:3d} of {}  downloading {} {}, {} {}".format(
                    self.asked, self.total, *match.groups()
                )
            )
        elif time.monotonic() - self.told > 10:
            # pip itself lies there too, and is none of those asked for
            there = len(list(VENV.glob("lib/*/site-packages/*.dist-info")))
            unpacked = min(there, self.total)
            done = f"unpacked {unpacked}" if self.unpacking else f"found {self.asked}"
            self._say(f"{done} of {self.total}")

    def _say(self, text: str) -> None:
        self.told = time.monotonic()
        say(f"{self.told - self.started:4.0f} s  {text}")


def failure(what: str, output: str) -> Problem:
    """The problem behind what a command printed before it failed."""
    if "No space left" in output or "Errno 28" in output:
        return disk_full()
    indented = "\n".join(f"    {line}" for line in output.strip().splitlines()[-12:])
    if "Temporary failure in name resolution" in output or "Failed to establish" in output:
        return Problem(f"no package index could be reached. {AGAIN}\n{indented}")
    return Problem(f"{what} failed:\n{indented}\n  Mend what it names. {AGAIN}")


def disk_full() -> Problem:
    free = shutil.disk_usage(ROOT).free / GIGABYTE
    return Problem(
        f"the disk is full ({free:.1f} GB free at {ROOT}, and the install needs "
        f"{NEEDED / GIGABYTE:.0f}). Free some. {AGAIN}"
    )


def install(lock: Path) -> None:
    stamps = list(VENV.glob(".installed-*"))
    if stamps and not stamp_of(lock).exists():
        say("adding what tests and checks need")
    elif stamps:
        say(f"{lock.name} or pyproject.toml has changed; bringing the environment up to date")
    else:
        say(f"{len(pins(lock))} packages from {lock.name}; the first time takes minutes")
    MARK.touch()
    for stamp in stamps:
        stamp.unlink()
    # Most modules are never imported; Python compiles those that are when they first are.
    pip("install", "--no-compile", "--no-deps", "-r", str(lock), total=len(pins(lock)))
    # Which libraries torch needs depends on its build: those for CUDA come as packages, and the
    # lock, made for every machine, cannot name them.
    torch = next(line for line in LOCK.read_text().splitlines() if line.startswith("torch=="))
    pip("install", "--no-compile", torch, "--constraint", str(LOCK))
    here = ("--editable", ".", "--editable", "./client")
    pip("install", "--no-deps", "--no-build-isolation", *here)
    for done in {LOCK, lock}:
        stamp_of(done).write_text(digest(done))
    MARK.unlink()


@contextmanager
def alone() -> "Iterator[None]":
    """One install at a time in this checkout; the folder itself is the lock.

    pip inherits it: where only we are killed, the next start waits until pip has ended too.
    """
    handle = os.open(ROOT, os.O_RDONLY)
    os.set_inheritable(handle, True)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another install is at work in this checkout; waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def main(words: "list[str]") -> None:
    lock = DEV_LOCK if "--dev" in words else LOCK
    if is_installed(lock):
        return
    started = time.monotonic()
    with alone():
        if is_installed(lock):
            return
        if not VENV.exists() or MARK.exists():
            check_disk()
        make_venv()
        install(lock)
    say(f"done ({time.monotonic() - started:.0f} s)")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Problem as problem:
        sys.exit(f"steelyard: {problem}")
    except OSError as error:
        if error.errno == errno.ENOSPC:
            sys.exit(f"steelyard: {disk_full()}")
        raise
    except KeyboardInterrupt:
        sys.exit(f"steelyard: stopped. {AGAIN}")
