"""Any number of pairs in, line by line, and everything out the same way."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from annotation.models import Judgment, Pair
from tests import factories
from tests.api_client import Api

pytestmark = pytest.mark.django_db
NDJSON = "application/x-ndjson"


@pytest.fixture
def api(owner: Any, project: Any) -> Api:
    return Api(owner, project)


def line(n: int, **more: Any) -> dict[str, Any]:
    return {"prompt": f"Question {n}?", "a": f"One {n}.", "b": f"Other {n}.", **more}


def body(*lines: Any) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in lines)


def send(api: Api, data: bytes, **headers: str) -> Any:
    return api.client.post(api.root + "pairs.ndjson", data, content_type=NDJSON, headers=headers)


def said(answer: Any) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.content
    assert answer["Content-Type"] == NDJSON
    return [json.loads(one) for one in answer.getvalue().splitlines()]


def test_it_works(api: Api, project: Any) -> None:
    first, second = said(send(api, body(line(1), line(2, outcome="a", annotator="rater"))))
    assert (first["line"], first["status"]) == (1, 201)
    assert (second["line"], second["status"]) == (2, 201)
    assert Pair.objects.get(pk=first["pair"]).prompt.text == "Question 1?"
    assert Judgment.objects.get().pair_id == second["pair"]


def test_sent_again_it_changes_nothing(api: Api) -> None:
    before = said(send(api, body(line(1), line(2), line(1))))
    assert [one["status"] for one in before] == [201, 201, 200]
    after = said(send(api, body(line(1), line(2))))
    assert [one["status"] for one in after] == [200, 200]
    assert [one["pair"] for one in after] == [one["pair"] for one in before[:2]]
    assert Pair.objects.count() == 2


def test_a_wrong_line_keeps_no_other_out(api: Api, project: Any) -> None:
    held_out = factories.make_prompt(project, "Kept?", held_out=True)
    lines = [
        b'{"prompt": "x"\n',
        b'["no object"]\n',
        b"\n",
        b'{"prompt": "\xff"}\n',
        b'{"prompt": "\\ud800", "a": "1", "b": "2"}\n',
        b'{"prompt": "nul \\u0000", "a": "1", "b": "2"}\n',
        body(line(7, colour="red")),
        body({**line(8), "prompt": held_out.text}),
        body(line(9, media_a="0" * 64, media_b="1" * 64)),
        b'{"prompt": "' + b"x" * 2**20 + b'"}\n',
        b"[" * 100_000 + b"\n",
        body(line(12)),
    ]
    results = said(send(api, b"".join(lines)))
    assert [one["line"] for one in results] == [1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12]
    assert results[-1]["status"] == 201
    assert all(one["status"] == 400 for one in results[:-1]), results
    codes = [one["problem"]["code"] for one in results[:-1]]
    assert codes[:3] == ["not_json", "no_object", "not_json"]
    assert codes[6] == "prompt_held_out"
    assert codes[8] == "line_too_long"
    assert "colour" in results[5]["problem"]["detail"]
    assert Pair.objects.count() == 1


def test_it_may_come_compressed(api: Api) -> None:
    packed = gzip.compress(body(line(1), line(2)))
    assert [one["status"] for one in said(send(api, packed, **{"Content-Encoding": "gzip"}))] == [
        201,
        201,
    ]
    broken = gzip.compress(body(*[line(n) for n in range(1000)]))[:-200]
    results = said(send(api, broken, **{"Content-Encoding": "gzip"}))
    assert results[-1]["problem"]["code"] == "truncated"
    answer = send(api, packed, **{"Content-Encoding": "br"})
    assert (answer.status_code, answer.json()["code"]) == (415, "unknown_encoding")


def test_what_is_no_ndjson_is_refused(api: Api) -> None:
    answer = api.post("pairs.ndjson", {"prompt": "x"})
    assert answer.status_code == 415
    assert answer["Content-Type"] == "application/problem+json"
    assert said(send(api, b"")) == []


def test_more_than_a_batch_comes_in_order(api: Api) -> None:
    wrong = {"prompt": "x"}
    lines = [wrong if n in (0, 399, 400, 900) else line(n) for n in range(1001)]
    results = said(send(api, body(*lines)))
    assert [one["line"] for one in results] == list(range(1, 1002))
    assert [one["line"] for one in results if one["status"] != 201] == [1, 400, 401, 901]
    assert Pair.objects.count() == 997
    rows = said(api.client.get(api.root + "pairs.ndjson"))
    assert [one["prompt"]["messages"][0]["content"] for one in rows[:2]] == [
        "Question 1?",
        "Question 2?",
    ]
    assert len({one["id"] for one in rows}) == 997


def test_everything_comes_out_with_the_filters_of_the_lists(api: Api, project: Any) -> None:
    pair = factories.make_pair(project, prompt=factories.make_prompt(project, category="law"))
    factories.make_pair(project)
    factories.make_judgment(pair, "b")
    assert [one["id"] for one in said(api.client.get(api.root + "pairs.ndjson?category=law"))] == [
        pair.pk
    ]
    (judgment,) = said(api.client.get(api.root + "judgments.ndjson?outcome=b"))
    assert judgment == api.get("judgments").json()["results"][0]
    (prompt,) = said(api.client.get(api.root + "prompts.ndjson?category=law"))
    assert prompt["id"] == pair.prompt_id
    for name in ("pairs", "judgments", "prompts"):
        assert api.client.get(f"{api.root}{name}.ndjson?limit=3").status_code == 400
        packed = api.client.get(
            f"{api.root}{name}.ndjson", headers={"Accept-Encoding": "gzip", "Accept": NDJSON}
        )
        assert packed.status_code == 200
        if packed.has_header("Content-Encoding"):
            assert gzip.decompress(packed.getvalue()).count(b"\n") >= 1


def test_only_staff_read_and_write_lines(project: Any, member: Any, stranger: Any) -> None:
    for user in (member, stranger):
        api = Api(user, project)
        for name in ("pairs", "judgments", "prompts"):
            assert api.get(f"{name}.ndjson").status_code == 404
        assert send(api, body(line(1))).status_code == 404
    assert not Pair.objects.exists()
