"""Run a command with a PostgreSQL and a broker of its own: ``python -m steelyard.servers.test_env CMD``.

The servers' data lie in ``var/test`` and stay between calls, so that a second call takes no time;
DATABASE_URL and CELERY_BROKER_URL that are already set win.
"""

from __future__ import annotations

import os
import subprocess
import sys

from steelyard.servers.paths import ROOT, broker_url, database_url
from steelyard.servers.postgres import Postgres
from steelyard.servers.valkey import Valkey


def main() -> int:
    data = ROOT / "var" / "test"
    data.mkdir(parents=True, exist_ok=True)
    env = {**os.environ, "STEELYARD_DATA": str(data), "OMP_NUM_THREADS": "1"}
    started: list[Postgres | Valkey] = []
    if "DATABASE_URL" not in env:
        postgres = Postgres(data)
        postgres.start()
        started.append(postgres)
        env["DATABASE_URL"] = database_url(data)
    if "CELERY_BROKER_URL" not in env:
        valkey = Valkey(data)
        valkey.start()
        started.append(valkey)
        env["CELERY_BROKER_URL"] = broker_url(data)
    try:
        return subprocess.run(sys.argv[1:], check=False, env=env).returncode
    finally:
        for server in started:
            server.stop()


if __name__ == "__main__":
    sys.exit(main())
