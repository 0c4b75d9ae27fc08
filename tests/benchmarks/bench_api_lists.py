"""Lists and searches at size: a million judgments on 400 thousand pairs, beside a small project.

    STEELYARD_TEST_DATA=var/bench .venv/bin/python -m steelyard.servers.test_env \
        .venv/bin/python tests/benchmarks/bench_api_lists.py [JUDGMENTS]

Prompts have 200 characters and answers 800. Told are for each list of the API the 95th percentile
of pages at its beginning, at random places, and at its end; the ratio of end and beginning; the
processor's time of a random page, here and in the database together; and the first page of a
project of ten pairs in the same tables. Then the same of the pages that people see, of searches in
them, and of previews of recipes.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "steelyard.settings")
os.environ.setdefault("STEELYARD_LOG_LEVEL", "ERROR")
os.environ["STEELYARD_BENCH_JUDGMENTS"] = (sys.argv[1:] or ["1000000"])[0]
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import django

django.setup()

import numpy as np  # noqa: E402
import psutil  # noqa: E402
from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402
from django.urls import reverse  # noqa: E402

from annotation.recipe import Recipe  # noqa: E402
from annotation.services.versions import preview  # noqa: E402
from steelyard.accounts.services import create_token  # noqa: E402
from steelyard.web.pagination import _written  # noqa: E402
from tests import factories  # noqa: E402
from tests.benchmarks.bench_freeze import fill, say  # noqa: E402

REPEATS = 20
LISTS = {
    "prompts": "annotation_prompt",
    "outputs": "annotation_output",
    "pairs": "annotation_pair",
    "judgments": "annotation_judgment",
    "prompts?category=rare": "annotation_prompt",
    "pairs?category=rare": "annotation_pair",
    "pairs?state=open": "annotation_pair",
    "judgments?outcome=tie": "annotation_judgment",
    "judgments?annotator=rater 007": "annotation_judgment",
}
PAGES = {
    "prompt": ("", "?page={}", "?q=a rare word", "?category=rare"),
    "pair": ("", "?page={}", "?q=a rare word", "?category=rare", "?state=open"),
    "judgment": ("", "?page={}", "?outcome=tie", "?category=rare"),
}
RECIPES = {
    "": Recipe(),
    ", Dawid–Skene": Recipe(aggregation="dawid_skene"),
    ", least agreement": Recipe(ties="keep", min_agreement=0.6),
    ", similar prompts grouped": Recipe(group_similar=True),
}


def main() -> None:
    settings.ALLOWED_HOSTS = ["*"]
    call_command("migrate", verbosity=0)
    owner = factories.make_user(f"owner-{time.time_ns()}", superuser=True)
    small = factories.make_project(slug=f"small-{time.time_ns()}")
    for _ in range(10):
        factories.make_judgment(factories.make_pair(small))
    large = fill()
    make_some_rare(large)
    _, key = create_token(user=owner, name="bench")
    api = Client(headers={"Authorization": f"Bearer {key}"})
    say(f"{'list of the API':32} {'first':>7} {'random':>7} {'last':>7} {'small':>7}   (p95, ms)")
    for path, table in LISTS.items():
        tell_list(api, path, keys_of(table, large.pk), large.slug, small.slug)
    people = Client()
    people.force_login(owner)
    say(f"{'page':32} {'p50':>7} {'p95':>7} {'small':>7}   (ms)")
    for name, queries in PAGES.items():
        for query in queries:
            tell_page(people, name, query, large, small.slug)
    for name, recipe in RECIPES.items():
        step = partial(preview, project=large, recipe=recipe)
        took, used = timed(step, 5), cpu_of(step)
        say(
            f"preview of a recipe{name}: {np.median(took):.0f} ms, at most {max(took):.0f} ms, "
            f"processor {1000 * used:.0f} ms"
        )


def make_some_rare(project: Any) -> None:
    """A category and words of one prompt in ten thousand."""
    with connection.cursor() as cursor:
        cursor.execute(
            """update annotation_prompt set category = 'rare', messages = jsonb_build_array(
                jsonb_build_object('role', 'user', 'content', 'a rare word ' || id))
            where project_id = %s and id %% 10000 = 0""",
            [project.pk],
        )
        cursor.execute("vacuum analyze")
        cursor.execute("checkpoint")


def keys_of(table: str, project: int) -> tuple[int, int]:
    with connection.cursor() as cursor:
        cursor.execute(f"select min(id), max(id) from {table} where project_id = %s", [project])
        low, high = cursor.fetchone()
        return low, high


def tell_list(client: Client, path: str, keys: tuple[int, int], large: str, small: str) -> None:
    low, high = keys
    draw = random.Random(0)
    root = "/api/v1/projects/{}/" + path + ("&" if "?" in path else "?")
    places: dict[str, Callable[[], str]] = {
        "first": lambda: root.format(large),
        "random": lambda: root.format(large) + f"cursor={_written('<', draw.randint(low, high))}",
        "last": lambda: root.format(large) + f"cursor={_written('<', low + 50)}",
        "small": lambda: root.format(small if "annotator" not in path else large),
    }
    took = {name: timed(lambda place=place: got(client, place())) for name, place in places.items()}
    p95 = {name: np.percentile(times, 95) for name, times in took.items()}
    used = cpu_of(lambda: [got(client, places["random"]()) for _ in range(REPEATS)]) / REPEATS
    say(
        f"{path:32} {' '.join(f'{p95[name]:7.0f}' for name in places)}   last/first "
        f"{np.median(took['last']) / np.median(took['first']):.2f}, processor {1000 * used:.0f} ms"
    )


def tell_page(client: Client, name: str, query: str, large: Any, small: str) -> None:
    draw = random.Random(0)
    most = getattr(large, f"{name}s").count() // 50
    at, beside = (reverse(f"annotation:{name}-list", args=[slug]) for slug in (large.slug, small))
    took = timed(lambda: got(client, at + query.format(draw.randint(1, most))))
    other = timed(lambda: got(client, beside), 5)
    used = cpu_of(lambda: got(client, at + query.format(draw.randint(1, most))))
    p50, p95 = np.percentile(took, [50, 95])
    say(
        f"{name + 's' + query:32} {p50:7.0f} {p95:7.0f} {np.median(other):7.0f}   processor "
        f"{1000 * used:.0f} ms"
    )


def got(client: Client, url: str) -> None:
    answer = client.get(url)
    assert answer.status_code == 200, (url, answer.status_code, answer.content[:500])


def timed(step: Callable[[], Any], repeats: int = REPEATS) -> list[float]:
    """Milliseconds, after a first time that is not counted."""
    step()
    took = []
    for _ in range(repeats):
        started = time.perf_counter()
        step()
        took.append(1000 * (time.perf_counter() - started))
    return took


def cpu_of(step: Callable[[], Any]) -> float:
    """Seconds of the processor, of this process and of its connection in the database; not of what
    the database does in parallel to that."""
    with connection.cursor() as cursor:
        cursor.execute("select pg_backend_pid()")
        (pid,) = cursor.fetchone()
    both = [psutil.Process(), psutil.Process(pid)]
    before = sum(_used(each) for each in both)
    step()
    return sum(_used(each) for each in both) - before


def _used(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


if __name__ == "__main__":
    main()
