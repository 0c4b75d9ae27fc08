"""How many verdicts a second one web process takes in, each answered with the next card.

One request a verdict through Django's full stack (session, sign-in, CSRF, form, lease, template),
over a real PostgreSQL, beside the bare work that it cannot do without: an INSERT and an UPDATE in
one transaction on the same server. With few pairs in the project and with many, whose ratio says
whether the queue stays flat. Run it by ``make bench``, or::

    python -m steelyard.servers.test_env python tests/benchmarks/bench_labelling.py
"""

from __future__ import annotations

import os
import re
import statistics
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "steelyard.settings")
os.environ.setdefault("STEELYARD_LOG_LEVEL", "ERROR")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import django

django.setup()

from django.contrib.sessions.backends.db import SessionStore  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection, transaction  # noqa: E402
from django.test import Client  # noqa: E402

from annotation.keys import output_key, pair_key, prompt_key  # noqa: E402
from annotation.models import Output, Pair, Prompt  # noqa: E402
from steelyard.projects.models import Project  # noqa: E402
from tests import factories  # noqa: E402

FEW, MANY, VERDICTS, WARM_UP = 1_000, 100_000, 300, 30
_BATCH = 5_000


def main() -> None:
    call_command("migrate", verbosity=0)
    bare = bare_rate()
    say(f"bare transaction (INSERT + UPDATE): {bare:8.0f} /s")
    rates = {}
    for size in (FEW, MANY):
        project = project_of(size)
        seen = label(project)
        rates[size] = seen.rate
        say(
            f"verdict + next card, {size:>7} pairs: {seen.rate:8.0f} /s (p95 {seen.p95_ms:.1f} ms, "
            f"CPU of the web process {seen.cpu_ms:.1f} ms, {seen.bytes} bytes back, "
            f"{seen.queries} queries)"
        )
    say(f"ratio to the bare transaction: {rates[FEW] / bare:.3f}")
    say(f"ratio of {MANY} pairs to {FEW}: {rates[MANY] / rates[FEW]:.2f}")


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def bare_rate() -> float:
    """Transactions a second of an INSERT and an UPDATE, on one connection."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE bench (id bigserial PRIMARY KEY, said text)")
        cursor.execute("CREATE TEMP TABLE counted (id int PRIMARY KEY, n int)")
        cursor.execute("INSERT INTO counted VALUES (1, 0)")

        def once() -> None:
            with transaction.atomic():
                cursor.execute("INSERT INTO bench (said) VALUES (%s)", ["a"])
                cursor.execute("UPDATE counted SET n = n + 1 WHERE id = 1")

        return 1 / statistics.fmean(timed(once, 1000))


class Labelled(NamedTuple):
    """Of one verdict with its answer, in the mean where nothing else is said."""

    rate: float
    p95_ms: float
    cpu_ms: float
    bytes: int
    queries: int


def label(project: Project) -> Labelled:
    user = factories.make_user(project=project)
    client, token = signed_in(user)
    page = client.get(f"/p/{project.slug}/label/").content.decode()
    received: list[int] = []

    def once() -> None:
        nonlocal page
        values = dict(re.findall(r'name="(pair|done|total)" value="(\d+)"', page))
        answer = client.post(
            f"/p/{project.slug}/label/submit/",
            {**values, "uuid": uuid.uuid4(), "verdict": "a2", "csrfmiddlewaretoken": token},
            headers={"HX-Request": "true"},
        )
        assert answer["Steelyard-Label"] == "saved", answer.content
        page = answer.content.decode()
        received.append(len(answer.content))

    timed(once, WARM_UP)
    cpu = time.process_time()
    taken = timed(once, VERDICTS)
    cpu = time.process_time() - cpu
    connection.force_debug_cursor = True
    connection.queries_log.clear()
    once()
    queries = len(connection.queries_log)
    connection.force_debug_cursor = False
    return Labelled(
        rate=1 / statistics.fmean(taken),
        p95_ms=1000 * statistics.quantiles(taken, n=20)[-1],
        cpu_ms=1000 * cpu / VERDICTS,
        bytes=round(statistics.fmean(received)),
        queries=queries,
    )


def signed_in(user: Any) -> tuple[Client, str]:
    """A browser with a session and a CSRF token that is really checked."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    assert SessionStore(client.cookies["sessionid"].value).exists
    token = "a" * 32
    client.cookies["csrftoken"] = token
    return client, token


def project_of(size: int) -> Project:
    """A project with that many open pairs, written in bulk."""
    project = factories.make_project(overlap=2)
    models = [factories.make_model(project, name) for name in ("one", "two")]
    for start in range(0, size, _BATCH):
        numbers = range(start, min(start + _BATCH, size))
        asked = [[{"role": "user", "content": f"Question {number}?"}] for number in numbers]
        prompts = Prompt.objects.bulk_create(
            Prompt(project=project, messages=messages, key=prompt_key(messages))
            for messages in asked
        )
        sides = [_outputs(project, prompt, models) for prompt in prompts]
        Output.objects.bulk_create([output for pair in sides for output in pair])
        Pair.objects.bulk_create(
            Pair(
                project=project,
                prompt=prompt,
                output_a=a,
                output_b=b,
                key=pair_key(prompt.key, a.key, b.key),
                wanted=2,
            )
            for prompt, (a, b) in zip(prompts, sides, strict=True)
        )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return project


def _outputs(project: Project, prompt: Prompt, models: list[Any]) -> list[Output]:
    text = "An answer of some forty words. " * 6
    outputs = [
        Output(
            project=project,
            prompt=prompt,
            model=model,
            text=text,
            key=output_key(model=model.name, text=text, media="", seed=None, parameters={}),
        )
        for model in models
    ]
    return sorted(outputs, key=lambda output: output.key)


def timed(once: Callable[[], None], times: int) -> list[float]:
    """Seconds of each call."""
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        once()
        taken.append(time.perf_counter() - start)
    return taken


if __name__ == "__main__":
    main()
