"""Makes ``.venv`` from the lock file. Run by the system's Python: standard library only.

    python3 scripts/bootstrap.py          what the product needs
    python3 scripts/bootstrap.py --dev    and what tests and checks need
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import subprocess
import sys
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
NEEDED_BYTES = 4 * 1024**3


def say(text: str) -> None:
    print(f"steelyard: {text}", flush=True)  # noqa: T201


def fail(text: str) -> None:
    sys.exit(f"steelyard: {text}")


def stamp(lock: Path) -> Path:
    return VENV / f".installed-{lock.stem}"


def digest(lock: Path) -> str:
    """What an install depends on: the lock, the project's own metadata and this Python."""
    parts = [lock.read_bytes(), (ROOT / "pyproject.toml").read_bytes(), sys.version.encode()]
    return hashlib.sha256(b"\0".join([*parts, str(ROOT).encode()])).hexdigest()


def is_installed(lock: Path) -> bool:
    return stamp(lock).exists() and stamp(lock).read_text() == digest(lock)


def pip(*args: str) -> None:
    command = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", *args]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT
    )
    started, lines = time.monotonic(), []
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line)
        word = line.split()
        if word and word[0] in {"Collecting", "Installing", "Building"}:
            took = time.monotonic() - started
            say(f"{took:5.0f} s  {' '.join(word[:2])[:70]}")
    if process.wait():
        text = "".join(lines[-15:])
        if "No space left" in text or "Errno 28" in text:
            fail("the disk is full; free about 4 GB and run the same command again.")
        fail(f"pip failed; nothing is half-kept, run the same command again.\n{text}")


def make_venv() -> None:
    free = shutil.disk_usage(ROOT).free
    if free < NEEDED_BYTES:
        fail(f"{free / 1e9:.1f} GB are free beside {ROOT.name}; the install needs about 4.")
    if VENV.exists() and not PYTHON.exists():
        say("an earlier install did not finish; starting it again")
        shutil.rmtree(VENV)
    if not VENV.exists():
        say("making .venv")
        venv.create(VENV, with_pip=True)


def install(lock: Path) -> None:
    say(f"installing {lock.name} (the first time takes minutes)")
    stamp(lock).unlink(missing_ok=True)
    pip("install", "--no-deps", "-r", str(lock))
    pip("install", "--no-deps", "--no-build-isolation", "-e", ".")
    stamp(lock).write_text(digest(lock))


def main() -> None:
    if sys.version_info < (3, 11):
        fail(f"Python 3.11 or newer is needed; this is {sys.version.split()[0]}. Set PYTHON=…")
    lock = ROOT / ("requirements-dev.lock" if "--dev" in sys.argv else "requirements.lock")
    if is_installed(lock):
        return
    try:
        make_venv()
        install(lock)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            fail("the disk is full; free about 4 GB and run the same command again.")
        raise
    except KeyboardInterrupt:
        fail("stopped; run the same command again to go on.")
    say("installed")


if __name__ == "__main__":
    os.chdir(ROOT)
    main()
