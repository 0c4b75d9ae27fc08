from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import psycopg
import pytest

from steelyard.servers.paths import database_url, socket_dir
from steelyard.servers.postgres import Postgres, dump, restore
from steelyard.servers.process import ServerError

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root serves as another user")
FAST = (("fsync", "off"),)


@pytest.fixture
def server(data: Path) -> Postgres:
    return Postgres(data, FAST)


def ask(data: Path, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(database_url(data), autocommit=True) as connection:
        cursor = connection.execute(query)  # type: ignore[arg-type]
        return cursor.fetchall() if cursor.description else []


def make_notes(data: Path) -> None:
    ask(data, "create table note (text text)")
    ask(data, "insert into note values ('kept')")


def test_it_works(server: Postgres, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("PGHOST", "nowhere.invalid")
    server.start()
    assert ask(data, "select current_user, current_database()") == [("steelyard", "steelyard")]
    assert ask(data, "show listen_addresses") == [("",)]
    first = server.postmaster()
    server.start()
    assert server.postmaster() == first
    server.stop()
    assert not server.is_ready()
    assert server.postmaster() is None


def test_what_was_committed_survives_a_kill(server: Postgres, data: Path) -> None:
    server.start()
    make_notes(data)
    postmaster = server.postmaster()
    assert postmaster is not None
    os.kill(postmaster.pid, signal.SIGKILL)
    server.start()
    assert ask(data, "select text from note") == [("kept",)]


def test_a_stale_pid_file_neither_stops_a_start_nor_harms_whom_it_names(
    server: Postgres, data: Path, bystander: subprocess.Popen[bytes]
) -> None:
    server.start()
    server.stop()
    stale = server.cluster / "postmaster.pid"
    stale.write_text(f"{bystander.pid}\n{server.cluster}\n{int(time.time())}\n")
    server.stop()
    server.start()
    assert server.is_ready()
    assert bystander.poll() is None


def test_three_that_start_at_once_share_one_server(
    data: Path, race: Callable[[str], list[str]]
) -> None:
    pids = race(
        "from pathlib import Path; from steelyard.servers.postgres import Postgres;"
        f"server = Postgres(Path({str(data)!r})); server.start(); print(server.postmaster().pid)"
    )
    assert len(set(pids)) == 1
    assert ask(data, "select 1") == [(1,)]


def test_a_server_whose_socket_was_swept_away_is_started_again(
    server: Postgres, data: Path
) -> None:
    server.start()
    make_notes(data)
    before = server.postmaster()
    shutil.rmtree(socket_dir(data))
    server.start()
    assert server.postmaster() != before
    assert ask(data, "select text from note") == [("kept",)]


def test_a_cluster_that_was_cut_short_is_made_again(server: Postgres) -> None:
    partial = server.data / "postgres.partial"
    partial.mkdir(parents=True)
    server.data.chmod(0o755)
    (partial / "PG_VERSION").write_text("18\n")
    server.start()
    assert server.is_ready()
    assert not partial.exists()


def test_another_major_version_is_refused_with_advice(server: Postgres) -> None:
    server.start()
    server.stop()
    (server.cluster / "PG_VERSION").write_text("9\n")
    with pytest.raises(ServerError, match=r"made by PostgreSQL 9.*Restore a backup"):
        server.start()


def test_a_backup_brings_back_what_was_there(server: Postgres, data: Path) -> None:
    server.start()
    make_notes(data)
    target = data / "backup"
    dump(database_url(data), target)
    ask(data, "delete from note")
    restore(database_url(data), target)
    assert ask(data, "select text from note") == [("kept",)]
    assert target.stat().st_mode & 0o077 == 0


def test_a_backup_that_is_none_changes_nothing(server: Postgres, data: Path) -> None:
    server.start()
    make_notes(data)
    wrong = data / "wrong"
    wrong.write_text("not a backup")
    with pytest.raises(ServerError, match="not restored"):
        restore(database_url(data), wrong)
    assert ask(data, "select text from note") == [("kept",)]


def test_a_server_that_cannot_start_says_what_its_log_says(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = Postgres(data, (("shared_buffers", "lots"),))
    monkeypatch.setattr("steelyard.servers.postgres.START_SECONDS", 1)
    with pytest.raises(ServerError, match=r"did not start(.|\n)*shared_buffers"):
        broken.start()


@as_root
def test_a_folder_that_the_serving_user_cannot_enter_is_named_and_left_as_it_is(
    server: Postgres,
) -> None:
    home = server.data.parent
    home.chmod(0o700)
    with pytest.raises(ServerError, match=f"cannot enter {home}"):
        server.start()
    assert home.stat().st_mode & 0o777 == 0o700


@as_root
def test_root_serves_as_an_ordinary_user(server: Postgres) -> None:
    server.start()
    postmaster = server.postmaster()
    assert postmaster is not None
    assert psutil.Process(postmaster.pid).uids().effective != 0


@as_root
def test_a_socket_folder_of_another_user_is_not_trusted(server: Postgres) -> None:
    theirs = socket_dir(server.data)
    theirs.mkdir()
    os.chown(theirs, 12345, 12345)
    with pytest.raises(ServerError, match="belongs to user 12345"):
        server.start()
