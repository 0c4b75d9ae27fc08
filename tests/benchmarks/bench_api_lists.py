"""Lists of the API at size: a million judgments on 400 thousand pairs, beside a small project.

    STEELYARD_TEST_DATA=var/bench .venv/bin/python -m steelyard.servers.test_env \
        .venv/bin/python tests/benchmarks/bench_api_lists.py [PAIRS]

Prints for each list the time of the first page, of one in the middle and of the last, and their
ratio; the time of all statements of the last page in the database; and the time of the first page
of a project of ten pairs in the same tables.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "steelyard.settings")
os.environ.setdefault("STEELYARD_LOG_LEVEL", "ERROR")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import django

django.setup()

from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402

from steelyard.accounts.services import create_token  # noqa: E402
from steelyard.web.pagination import _written  # noqa: E402
from tests import factories  # noqa: E402

PAIRS = int(sys.argv[1]) if len(sys.argv) > 1 else 400_000
LISTS = {
    "prompts": "annotation_prompt",
    "outputs": "annotation_output",
    "pairs": "annotation_pair",
    "judgments": "annotation_judgment",
    "pairs?category=rare": "annotation_pair",
    "pairs?state=open": "annotation_pair",
    "judgments?outcome=tie": "annotation_judgment",
}


def fill(project: Any, model: Any, annotators: list[int]) -> None:
    """PAIRS prompts, twice as many outputs, and five judgments on every two pairs."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            insert into annotation_prompt
                (project_id, messages, media, category, reference_answer, held_out, key, created_at)
            select %s, jsonb_build_array(jsonb_build_object('role', 'user', 'content', 'Q ' || n)),
                '[]', case when n %% 10000 = 0 then 'rare' else 'usual' end, '', false,
                encode(sha256(('p' || n)::bytea), 'hex'), now()
            from generate_series(1, %s) n
            """,
            [project.pk, PAIRS],
        )
        cursor.execute(
            """
            insert into annotation_output
                (project_id, prompt_id, model_id, text, parameters, key, created_at)
            select project_id, id, %s, 'Answer ' || side, '{}',
                encode(sha256((id || side)::bytea), 'hex'), now()
            from annotation_prompt, unnest(array['a', 'b']) side where project_id = %s
            """,
            [model.pk, project.pk],
        )
        cursor.execute(
            """
            insert into annotation_pair
                (project_id, prompt_id, output_a_id, output_b_id, key, origin, priority, wanted,
                 judged, closed, is_training, known_outcome, known_reason, created_at)
            select %s, prompt_id, min(id), max(id),
                encode(sha256(('k' || prompt_id)::bytea), 'hex'),
                'import', 0, 3, 2, false, false, '', '', now()
            from annotation_output where project_id = %s group by prompt_id
            """,
            [project.pk, project.pk],
        )
        cursor.execute(
            """
            insert into annotation_judgment
                (uuid, project_id, pair_id, annotator_id, outcome, strength, aspects, rationale,
                 tags, evidence, segments, skip_reason, swapped, exposure, details, duration_ms,
                 is_current, created_at)
            select gen_random_uuid(), %s, id, who, case when id %% 5 = 0 then 'tie' else 'a' end,
                case when id %% 5 = 0 then 0 else -1 end, '{}', '', '[]', '[]', '[]', '', false,
                '{}', '{}', 1000, true, now()
            from annotation_pair, unnest(%s) with ordinality as people (who, place)
            where project_id = %s and (place <= 2 or id %% 2 = 0)
            """,
            [project.pk, annotators, project.pk],
        )
        for table in set(LISTS.values()):
            cursor.execute(f"vacuum analyze {table}")


def timed(client: Client, url: str, repeats: int = 9) -> float:
    took = []
    for _ in range(repeats):
        started = time.perf_counter()
        answer = client.get(url)
        took.append(time.perf_counter() - started)
        assert answer.status_code == 200, answer.content
    return statistics.median(took) * 1000


def in_database(client: Client, url: str, repeats: int = 5) -> float:
    """Milliseconds of all statements of a request, the median of some."""
    took = []
    for _ in range(repeats):
        with CaptureQueriesContext(connection) as asked:
            client.get(url)
        took.append(sum(float(one["time"]) for one in asked.captured_queries))
    return statistics.median(took) * 1000


def main() -> None:
    settings.ALLOWED_HOSTS = ["*"]
    call_command("migrate", verbosity=0)
    owner = factories.make_user(f"owner-{time.time_ns()}", superuser=True)
    small, large = factories.make_project(slug="small"), factories.make_project(slug="large")
    for _ in range(10):
        factories.make_judgment(factories.make_pair(small))
    people = [factories.make_annotator(large).pk for _ in range(3)]
    fill(large, factories.make_model(large), people)
    _, key = create_token(user=owner, name="bench")
    client = Client(headers={"Authorization": f"Bearer {key}"})
    print(f"{'list':24} {'first':>9} {'middle':>9} {'last':>9} {'small':>9}   (ms, 50 rows a page)")  # noqa: T201
    for path, table in LISTS.items():
        with connection.cursor() as cursor:
            cursor.execute(
                f"select min(id), max(id) from {table} where project_id = %s", [large.pk]
            )
            low, high = cursor.fetchone()
        sign = "&" if "?" in path else "?"
        root = "/api/v1/projects/{}/" + path + sign
        urls = {
            "first": root.format("large"),
            "middle": root.format("large") + f"cursor={_written('<', (low + high) // 2)}",
            "last": root.format("large") + f"cursor={_written('<', low + 50)}",
            "small": root.format("small"),
        }
        times = {name: timed(client, url) for name, url in urls.items()}
        row = " ".join(f"{times[name]:9.1f}" for name in urls)
        ratio = times["last"] / times["first"]
        database = in_database(client, urls["last"])
        print(f"{path:24} {row}   last/first {ratio:.2f}   in the database {database:.1f}")  # noqa: T201


if __name__ == "__main__":
    main()
