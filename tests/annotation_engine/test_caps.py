"""A run that a cap leaves no room ends as capped, with what is to be done; it has not failed."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from annotation.engine import __main__ as judging
from annotation.engine import checking, explaining, tuning
from steelyard.lib.engine import Stop
from tests.chat_server import ChatServer
from tests.engines import endpoint_spec, lines, make_rundir


def _spec(url: str, folder: Path) -> dict[str, Any]:
    pair = {
        "messages": [{"role": "user", "content": "Which?"}],
        "a": "good",
        "b": "bad",
        "outcome": "a",
        "majority": "a",
        "votes": {"a": 1},
        "reasons": [],
    }
    parts = ("train", "train", "validation", "test")
    return {
        "run": "run",
        "calls": str(folder / "calls.sqlite"),
        "judge": {
            "id": 1,
            "name": "judge",
            "model": endpoint_spec(url),
            "criteria": "Goodness.",
            "template_version": 2,
            "limits": {"max_tokens": 10},
        },
        "questions": 1,
        "style": "general",
        "reflection": endpoint_spec(url),
        "budget": 30,
        "seed": 1,
        "pairs": [
            {**pair, "pair": number, "prompt": str(number), "part": part}
            for number, part in enumerate(parts)
        ],
    }


@pytest.mark.parametrize("engine", [judging, explaining, tuning, checking])
def test_a_cap_that_leaves_no_room_for_one_question_is_no_failure(
    tmp_path: Path, engine: Any
) -> None:
    with ChatServer(lambda body, number: "Why not.\nVerdict: A (strength 1)") as server:
        rundir = make_rundir(tmp_path / "run", _spec(server.url, tmp_path))
        engine.work(rundir, cast(Stop, False))
        assert server.asked == []
    result = rundir.result()
    assert result is not None
    assert (result["status"], result["capped"]) == ("succeeded", True)
    assert "the cap of 10 tokens is reached" in result["warning"]
    assert "the judge has used 0 calls, 0 tokens" in result["warning"]
    assert "Raise the cap and" in result["warning"]
    assert lines(rundir, "events.jsonl")[-1]["text"] == result["warning"]
    assert result["usage"]


def test_a_check_keeps_within_the_cap_and_pays_for_nothing_twice(tmp_path: Path) -> None:
    def checked(name: str, **limits: int) -> Any:
        spec = _spec(server.url, tmp_path)
        spec["judge"]["limits"] = {"at_once": 2, **limits}
        rundir = make_rundir(tmp_path / name, {**spec, "run": name, "questions": 2})
        checking.work(rundir, cast(Stop, False))
        return rundir.result()

    with ChatServer(lambda body, number: "Why not.\nVerdict: A (strength 1)") as server:
        result = checked("one", max_calls=5)
        assert (result["capped"], len(server.asked)) == (True, 5)
        assert "injection" not in result
        result = checked("another")
        asked = [str(body["messages"]) for body in server.asked]
        assert len(asked) == len(set(asked)) == 5 + result["usage"]["calls"]
    assert result["injection"]["questions"] == 2
