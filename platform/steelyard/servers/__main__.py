"""The database by hand::

    python -m steelyard.servers status
    python -m steelyard.servers start | stop      the embedded servers, without the site
    python -m steelyard.servers backup FILE
    python -m steelyard.servers restore FILE

DATABASE_URL, where set, is the database that is saved and restored.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from dotenv import load_dotenv

from steelyard.servers.paths import ROOT, broker_url, data_dir, database_url
from steelyard.servers.postgres import Postgres, dump, restore
from steelyard.servers.process import ServerError
from steelyard.servers.valkey import Valkey


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m steelyard.servers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb in ("status", "start", "stop"):
        verbs.add_parser(verb)
    for verb in ("backup", "restore"):
        verbs.add_parser(verb).add_argument("file", type=Path)
    return parser


def obey(verb: str, file: Path | None) -> list[str]:
    """Do it; the lines to print.

    Raises:
        ServerError: it could not be done.
    """
    data = data_dir()
    postgres, valkey = Postgres(data), Valkey(data)
    if file is not None:
        return [_save_or_restore(verb, file.expanduser().resolve(), postgres)]
    servers: list[tuple[Postgres | Valkey, str]] = [
        (postgres, database_url(data)),
        (valkey, broker_url(data)),
    ]
    for server, _ in servers:
        if verb == "start":
            server.start()
        elif verb == "stop":
            server.stop()
    return [
        f"{address}  {'answers' if server.is_ready() else 'is stopped'}"
        for server, address in servers
    ]


def _save_or_restore(verb: str, file: Path, embedded: Postgres) -> str:
    url = os.environ.get("DATABASE_URL")
    was_running = bool(url) or embedded.is_ready()
    if not was_running:
        embedded.start()
    try:
        if verb == "backup":
            dump(url or database_url(embedded.data), file)
            return f"{file}  {file.stat().st_size:,} bytes"
        restore(url or database_url(embedded.data), file)
        return f"restored from {file}"
    finally:
        if not was_running:
            embedded.stop()


def main() -> int:
    load_dotenv(ROOT / ".env")
    words = parser().parse_args()
    try:
        sys.stdout.writelines(
            f"{line}\n" for line in obey(words.verb, getattr(words, "file", None))
        )
    except (ServerError, OSError) as error:
        sys.stderr.write(f"steelyard: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
