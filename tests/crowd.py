"""Many annotators on a real web server: material by the hundred thousand, the server's processes,
and clients that label by the API with tokens, as benchmarks and the test of kills need them."""

from __future__ import annotations

import http.client
import json
import os
import random
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psutil
from django.db import connection

from steelyard.accounts.services import create_token
from steelyard.projects.models import Project
from steelyard.servers.address import Address
from steelyard.servers.children import Child
from steelyard.servers.paths import ROOT
from steelyard.servers.up import web_command
from tests import factories

PROMPT = "What a question this is, asked in some words more. " * 4
ANSWER = "An answer of some forty words, of which a sentence has eleven. " * 13
RATIONALE = "The first is right in all it says and the second is not, which decides. " * 2

_PROMPTS = """
insert into annotation_prompt
    (project_id, messages, media, category, reference_answer, held_out, key, created_at)
select %(project)s, jsonb_build_array(jsonb_build_object('role', 'user', 'content',
       %(text)s || n)), '[]', '', '', false, md5('p' || n), now()
from generate_series(1, %(prompts)s) n
"""
_OUTPUTS = """
insert into annotation_output (project_id, prompt_id, model_id, text, parameters, key, created_at)
select project_id, id, %(model)s, %(text)s || n, '{}', md5(id || '-' || n), now()
from annotation_prompt, generate_series(1, 5) n where project_id = %(project)s order by id
"""
_PAIRS = """
insert into annotation_pair
    (project_id, prompt_id, output_a_id, output_b_id, key, origin, priority, wanted, judged,
     closed, is_training, known_outcome, known_reason, created_at)
select %(project)s, a.prompt_id, a.id, b.id, md5(a.id || '-' || b.id), 'import', 0, %(wanted)s, 0,
       false, false, '', '', now()
from annotation_output a join annotation_output b on a.prompt_id = b.prompt_id and a.id < b.id
where a.project_id = %(project)s order by a.prompt_id, a.id limit %(pairs)s
"""


def project_of(pairs: int, **fields: Any) -> Project:
    """A project with that many open pairs, ten of each prompt's five answers."""
    project = factories.make_project(**fields)
    values = {
        "project": project.pk,
        "model": factories.make_model(project).pk,
        "prompts": -(-pairs // 10),
        "pairs": pairs,
        "wanted": project.overlap,
    }
    with connection.cursor() as cursor:
        cursor.execute(_PROMPTS, {**values, "text": PROMPT})
        cursor.execute(_OUTPUTS, {**values, "text": ANSWER})
        cursor.execute(_PAIRS, values)
    return project


def settle_tables() -> None:
    """What autovacuum does to a database of some age."""
    with connection.cursor() as cursor:
        cursor.execute("vacuum analyze")
        cursor.execute("checkpoint")


@dataclass
class Received:
    status: int
    body: Any
    seconds: float


@dataclass
class Client:
    """One annotator with a token and a connection that is kept open."""

    project: Project
    key: str
    address: Address
    _connection: http.client.HTTPConnection | None = None

    def ask(self, method: str, what: str, said: dict[str, Any] | None = None) -> Received:
        """One request.

        Raises:
            OSError, http.client.HTTPException: nobody answered; it may have been done or not.
        """
        if self._connection is None:
            self._connection = http.client.HTTPConnection(
                self.address.host, self.address.port, timeout=60
            )
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        path = f"/api/v1/projects/{self.project.slug}/{what}"
        started = time.perf_counter()
        try:
            self._connection.request(method, path, json.dumps(said) if said else None, headers)
            response = self._connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            self._connection = None
            raise
        taken = time.perf_counter() - started
        is_json = "json" in (response.getheader("Content-Type") or "")
        return Received(response.status, json.loads(content) if is_json else content, taken)

    def insist(self, method: str, what: str, said: dict[str, Any] | None = None) -> Received:
        """Ask until somebody answers: what a good client does when the server is killed.

        Raises:
            AssertionError: nobody did for two minutes, or all that came was errors.
        """
        end = time.monotonic() + 120
        last: object = None
        while time.monotonic() < end:
            try:
                last = self.ask(method, what, said)
            except (OSError, http.client.HTTPException) as error:
                last = error
            else:
                if last.status < 500:
                    return last
            time.sleep(random.uniform(0.02, 0.1))
        raise AssertionError(f"{method} {what}: no answer for two minutes, last {last}")

    def one(self, tally: Tally) -> bool:
        """One verdict; False where there was no pair to be had."""
        given = self.insist("GET", "next")
        if given.status == 204:
            return False
        assert given.status == 200, given.body
        outcome, strength = random.choice([("a", -2), ("b", 1), ("tie", 0)])
        said = {
            "uuid": str(uuid4()),
            "pair": given.body["pair"],
            "outcome": outcome,
            "strength": strength,
            "rationale": RATIONALE,
            "duration_ms": 20_000,
        }
        taken = self.insist("POST", "judgments", said)
        tally.next_seconds.append(given.seconds)
        tally.submit_seconds.append(taken.seconds)
        if taken.status in {200, 201}:
            tally.acknowledged[said["uuid"]] = said["pair"]
        else:
            tally.refused.append(taken.body["code"])
        return True


def clients(project: Project, number: int, address: Address) -> list[Client]:
    """That many annotators of the project, each with a token."""
    made = []
    for _ in range(number):
        user = factories.make_user(project=project)
        made.append(Client(project, create_token(user=user, name="crowd")[1], address))
    return made


@dataclass
class Tally:
    """What annotators saw of the server."""

    next_seconds: list[float] = field(default_factory=list)
    submit_seconds: list[float] = field(default_factory=list)
    acknowledged: dict[str, int] = field(default_factory=dict)
    """UUID to pair, of every verdict that was answered with success."""
    refused: list[str] = field(default_factory=list)


class Worker(Protocol):
    """Somebody who labels."""

    def one(self, tally: Tally) -> bool:
        """One verdict; False where there was no pair to be had."""


def label(crowd: Iterable[Worker], verdicts: int, tally: Tally | None = None) -> Tally:
    """All at once hand in ``verdicts`` verdicts together; whoever gets no answer asks again.

    Args:
        tally: what to add to, for somebody who watches meanwhile.
    """
    tally = tally or Tally()
    todo, lock = iter(range(verdicts)), threading.Lock()

    def work(client: Worker) -> None:
        while True:
            with lock:
                if next(todo, None) is None:
                    return
            if not client.one(tally):
                return

    threads = [threading.Thread(target=work, args=[client]) for client in crowd]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return tally


class WebServer:
    """The web server as ``make up`` starts it, over the database of this process."""

    def __init__(self, data: Path, processes: int = 4) -> None:
        os.environ["WEB_WORKERS"] = str(processes)
        self.address = Address("127.0.0.1", _free_port())
        env = {
            **os.environ,
            "DATABASE_URL": _database_url(),
            "STEELYARD_DATA": str(data),
            "STEELYARD_LOG_LEVEL": "ERROR",
        }
        self.child = Child("web", web_command(self.address), ROOT, env, data / "web.log")

    def start(self) -> None:
        self.child.start()
        end = time.monotonic() + 120
        while self.address.status() is None:
            assert time.monotonic() < end, f"no answer; see {self.child.log}"
            time.sleep(0.1)

    def workers(self) -> list[psutil.Process]:
        process = self.child.process
        try:
            return psutil.Process(process.pid).children() if process else []
        except psutil.NoSuchProcess:
            return []

    def cpu_seconds(self) -> float:
        """User and system time of the whole tree, as long as none of it died."""
        assert self.child.process
        tree = [psutil.Process(self.child.process.pid), *self.workers()]
        return sum(sum(process.cpu_times()[:2]) for process in tree)

    def kill_one(self) -> None:
        """``kill -9`` of one process that serves; its master starts another."""
        if workers := self.workers():
            with suppress(psutil.NoSuchProcess):
                random.choice(workers).kill()

    def kill_all(self) -> None:
        """``kill -9`` of master and workers, and a new start."""
        self.child.stop(0)
        self.child.start()

    def stop(self) -> None:
        self.child.stop(5)


@contextmanager
def serving(data: Path, processes: int = 4) -> Iterator[WebServer]:
    server = WebServer(data, processes)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@contextmanager
def killing(
    server: WebServer, tally: Tally, every: tuple[int, int], all_of: float = 0
) -> Iterator[list[str]]:
    """Meanwhile, at random moments, processes of the server are killed.

    Args:
        tally: of those who label. Kills go by verdicts, so that a slow machine gets on too.
        every: fewest and most verdicts between two kills.
        all_of: how likely a kill takes master and workers together.

    Yields:
        a list that grows with the kills, of ``one`` and ``all``.
    """
    kills: list[str] = []
    done = threading.Event()

    def work() -> None:
        due = random.randint(*every)
        while not done.wait(0.02):
            if len(tally.acknowledged) < due:
                continue
            time.sleep(random.uniform(0, 0.05))
            kind = "all" if random.random() < all_of else "one"
            (server.kill_all if kind == "all" else server.kill_one)()
            kills.append(kind)
            due = len(tally.acknowledged) + random.randint(*every)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield kills
    finally:
        done.set()
        thread.join()


@dataclass
class Books:
    """What the database says of a project after all is done."""

    judgments: int
    over_overlap: int
    miscounted: int
    """Pairs whose own count of judgments is not what there are."""
    twice_by_one: int
    lost: int
    """Verdicts answered with success that are not there, or on another pair."""


def books_of(project: Project, acknowledged: dict[str, int]) -> Books:
    with connection.cursor() as cursor:
        cursor.execute(_BOOKS, {"project": project.pk})
        judgments, over, miscounted, twice = cursor.fetchone()
        cursor.execute(
            "select uuid::text, pair_id from annotation_judgment where project_id = %s",
            [project.pk],
        )
        rows = cursor.fetchall()
    stored = dict(rows)
    assert len(stored) == len(rows)
    lost = sum(stored.get(uuid) != pair for uuid, pair in acknowledged.items())
    return Books(judgments, over, miscounted, twice, lost)


_BOOKS = """
select coalesce(sum(n), 0)::bigint, count(*) filter (where n > wanted),
       count(*) filter (where n <> judged), count(*) filter (where people < n)
from (
    select pair.wanted, pair.judged, count(said.id) as n, count(distinct annotator_id) as people
    from annotation_pair pair left join annotation_judgment said
        on said.pair_id = pair.id and said.is_current and said.outcome <> 'skip'
    where pair.project_id = %(project)s group by pair.id
) counted
"""


def _database_url() -> str:
    """``DATABASE_URL`` with the database that this process uses: a test has one of its own."""
    parts = urlsplit(os.environ["DATABASE_URL"])
    return urlunsplit(parts._replace(path=f"/{connection.settings_dict['NAME']}"))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
