"""Run a command with a PostgreSQL and a broker of its own, fresh and fast, gone when it ends::

    python -m steelyard.servers.test_env python -m pytest

DATABASE_URL and CELERY_BROKER_URL that are already set win. The servers' data lie in ``var/test``,
or in the folder that STEELYARD_TEST_DATA names; a second call over the same folder waits for the
first.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from steelyard.servers.paths import ROOT, broker_url, database_url
from steelyard.servers.postgres import Postgres
from steelyard.servers.process import ServerError, locked
from steelyard.servers.valkey import Valkey

# Nothing here needs to survive a power cut.
FAST = (("fsync", "off"), ("synchronous_commit", "off"), ("full_page_writes", "off"))


def run(command: list[str], data: Path) -> int:
    """The command's exit code; the servers it needs are started before and stopped after it."""
    env = {**os.environ, "STEELYARD_DATA": str(data), "OMP_NUM_THREADS": "1"}
    postgres, valkey = Postgres(data, FAST), Valkey(data)
    for left in (postgres, valkey):
        left.stop()
    shutil.rmtree(data, ignore_errors=True)
    try:
        if not env.get("DATABASE_URL"):
            postgres.start()
            env["DATABASE_URL"] = database_url(data)
        if not env.get("CELERY_BROKER_URL"):
            valkey.start()
            env["CELERY_BROKER_URL"] = broker_url(data)
        return _wait(subprocess.Popen(command, env=env))
    finally:
        valkey.stop()
        postgres.stop()


def _wait(child: subprocess.Popen[bytes]) -> int:
    """Its exit code; the terminal's Ctrl-C reaches it too, and it decides when it is done."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: child.terminate())
    return child.wait()


def main() -> int:
    command = sys.argv[2:] if sys.argv[1:2] == ["--"] else sys.argv[1:]
    if not command:
        sys.stderr.write("usage: python -m steelyard.servers.test_env COMMAND…\n")
        return 2
    try:
        data = (ROOT / (os.environ.get("STEELYARD_TEST_DATA") or "var/test")).resolve()
        with locked(data.with_name(f"{data.name}.lock")):
            return run(command, data)
    except ServerError as error:
        sys.stderr.write(f"steelyard: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
