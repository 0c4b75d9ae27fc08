"""Label Studio from a virtual environment of its own, on this process's PostgreSQL server, with the
same tasks and annotators that do the same work: for benchmarks that compare.

It is served as its own ``deploy/uwsgi.ini`` does: a master and four processes of one thread. The
environment needs ``pip install label-studio "psycopg[binary]" pyuwsgi``.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from django.db import connection

from steelyard.servers.address import Address
from tests import crowd

CONFIG = """<View>
  <Text name="prompt" value="$prompt"/>
  <Pairwise name="better" toName="a,b"/>
  <Text name="a" value="$a"/><Text name="b" value="$b"/>
  <Choices name="strength" toName="prompt"><Choice value="1"/><Choice value="2"/></Choices>
  <TextArea name="rationale" toName="prompt"/>
</View>"""

_PEOPLE = """
import json, sys
from rest_framework.authtoken.models import Token
from organizations.models import Organization
from users.models import User
made, organization = [], None
for number in range(PEOPLE):
    user = User.objects.create_user(email=f"rater-{number}@example.org", password="a long password")
    if organization is None:
        organization = Organization.create_organization(created_by=user, title="Benchmark")
        organization.jwt.legacy_api_tokens_enabled = True
        organization.jwt.save()
    else:
        organization.add_user(user)
    user.active_organization = organization
    user.save()
    made.append(Token.objects.get_or_create(user=user)[0].key)
print("TOKENS " + json.dumps(made))
"""


@dataclass
class Annotator:
    """One person with a token. Its web server keeps no connection open."""

    address: Address
    key: str
    project: int = 0

    def ask(self, method: str, path: str, said: Any = None) -> crowd.Received:
        link = http.client.HTTPConnection(self.address.host, self.address.port, timeout=300)
        headers = {"Authorization": f"Token {self.key}", "Content-Type": "application/json"}
        started = time.perf_counter()
        try:
            link.request(method, f"/api/{path}", json.dumps(said) if said else None, headers)
            answer = link.getresponse()
            body = json.loads(answer.read() or "null")
        finally:
            link.close()
        return crowd.Received(answer.status, body, time.perf_counter() - started)

    def one(self, tally: crowd.Tally) -> bool:
        """One annotation: the next task, and what is said of it."""
        given = self.ask("GET", f"projects/{self.project}/next")
        if given.status == 404:
            return False
        assert given.status == 200, given.body
        task = given.body["id"]
        taken = self.ask("POST", f"tasks/{task}/annotations/", {"result": _RESULT})
        tally.next_seconds.append(given.seconds)
        tally.submit_seconds.append(taken.seconds)
        if taken.status == 201:
            tally.acknowledged[str(taken.body["id"])] = task
        else:
            tally.refused.append(str(taken.status))
        return True


_RESULT = [
    {"type": "pairwise", "from_name": "better", "to_name": "a,b", "value": {"selected": "left"}},
    {
        "type": "choices",
        "from_name": "strength",
        "to_name": "prompt",
        "value": {"choices": ["2"]},
    },
    {
        "type": "textarea",
        "from_name": "rationale",
        "to_name": "prompt",
        "value": {"text": [crowd.RATIONALE]},
    },
]


@dataclass
class Studio:
    process: subprocess.Popen[bytes]
    people: list[Annotator]

    def cpu_seconds(self) -> float:
        root = psutil.Process(self.process.pid)
        tree = [root, *root.children(recursive=True)]
        return sum(sum(process.cpu_times()[:2]) for process in tree)


@contextmanager
def serving(python: Path, data: Path, *, tasks: int, people: int) -> Iterator[Studio]:
    """A server with a project of so many tasks and so many annotators."""
    env = _environment(python, data)
    with connection.cursor() as cursor:
        cursor.execute(f'create database "{env["POSTGRE_NAME"]}"')
    package = Path(env["PYTHONPATH"])
    manage = [str(python), str(package / "manage.py")]
    with (data / "label_studio.log").open("wb") as log:
        for command in (["migrate", "--verbosity", "0"],):
            subprocess.run([*manage, *command], env=env, cwd=package, check=True, stderr=log)
        script = _PEOPLE.replace("PEOPLE", str(people))
        said = subprocess.run(
            [*manage, "shell", "-c", script],
            env=env,
            cwd=package,
            check=True,
            stdout=subprocess.PIPE,
            stderr=log,
        ).stdout.decode()
        tokens = json.loads(said.rpartition("TOKENS ")[2].splitlines()[0])
        address = Address("127.0.0.1", _free_port())
        process = subprocess.Popen(
            _web_command(python, address), env=env, cwd=package, stdout=log, stderr=log
        )
        try:
            crew = [Annotator(address, token) for token in tokens]
            _wait(process, address)
            _fill(crew, tasks)
            yield Studio(process, crew)
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()


def _environment(python: Path, data: Path) -> dict[str, str]:
    database = connection.settings_dict
    found = subprocess.run(
        [
            str(python),
            "-c",
            "import importlib.util as u; print(u.find_spec('label_studio').origin)",
        ],
        check=True,
        stdout=subprocess.PIPE,
    )
    base = data / "label_studio"
    base.mkdir()
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(base),
        "PYTHONPATH": str(Path(found.stdout.decode().strip()).parent),
        "DJANGO_SETTINGS_MODULE": "core.settings.label_studio",
        "DJANGO_DB": "default",
        "POSTGRE_NAME": "label_studio_benchmark",
        "POSTGRE_USER": database["USER"],
        "POSTGRE_PASSWORD": database["PASSWORD"],
        "POSTGRE_HOST": database["HOST"] or database["OPTIONS"].get("host", ""),
        "POSTGRE_PORT": str(database["PORT"] or 5432),
        "LABEL_STUDIO_BASE_DATA_DIR": str(base),
        "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "false",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
    }


def _web_command(python: Path, address: Address) -> list[str]:
    return [
        *(str(python.parent / "uwsgi"), "--http", f"{address.host}:{address.port}"),
        *("--module", "core.wsgi:application", "--virtualenv", str(python.parents[1])),
        *("--master", "--processes", "4", "--threads", "1", "--enable-threads", "--lazy-apps"),
        *("--thunder-lock", "--http-timeout", "300", "--buffer-size", "65535", "--vacuum"),
        *("--max-requests", "5000", "--disable-logging"),
    ]


def _wait(process: subprocess.Popen[bytes], address: Address) -> None:
    end = time.monotonic() + 300
    while not _is_up(address):
        assert process.poll() is None, "uwsgi has ended; see label_studio.log"
        assert time.monotonic() < end, "no answer for five minutes"
        time.sleep(0.5)


def _is_up(address: Address) -> bool:
    link = http.client.HTTPConnection(address.host, address.port, timeout=60)
    try:
        link.request("GET", "/health")
        return link.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        link.close()


def _fill(crew: list[Annotator], tasks: int) -> None:
    made = crew[0].ask("POST", "projects/", {"title": "Benchmark", "label_config": CONFIG})
    assert made.status == 201, made.body
    task = {"prompt": crowd.PROMPT, "a": crowd.ANSWER, "b": crowd.ANSWER}
    for start in range(0, tasks, 10_000):
        some = [{**task, "n": n} for n in range(start, min(tasks, start + 10_000))]
        done = crew[0].ask("POST", f"projects/{made.body['id']}/import", some)
        assert done.status == 201, done.body
    for annotator in crew:
        annotator.project = made.body["id"]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
