"""A judge behind HTTP: real engine processes against a real, small server."""

from __future__ import annotations

import signal
import threading
import time
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from steelyard.lib.rundir import RunDir
from tests.chat_server import ChatServer
from tests.engines import drive, endpoint_spec, lines, make_rundir, start, wait_until

ENGINE = "annotation.engine"


def _spec(model: dict[str, Any], pairs: int = 6) -> dict[str, Any]:
    return {
        "kind": "judge",
        "judge": {
            "name": "judge",
            "model": model,
            "criteria": "The longer number wins.",
            "template_version": 1,
            "sampling": {"temperature": 0.0, "max_new_tokens": 64},
        },
        "pairs": [
            {
                "pair": number,
                "messages": [{"role": "user", "content": f"Question {number}?"}],
                "a": "good" if number % 2 else "bad",
                "b": "bad" if number % 2 else "good",
            }
            for number in range(1, pairs + 1)
        ],
    }


@pytest.fixture
def make(tmp_path: Path) -> Any:
    def at(server_or_url: Any, pairs: int = 6, **model: Any) -> RunDir:
        url = getattr(server_or_url, "url", server_or_url)
        return make_rundir(tmp_path / "run", _spec(endpoint_spec(url, **model), pairs))

    return at


def _honest(body: dict[str, Any], number: int) -> str:
    """Prefers the good answer, wherever it stands."""
    text = body["messages"][0]["content"]
    side = "A" if text.index("\ngood\n") < text.index("\nbad\n") else "B"
    return f"{side} is good.\nVerdict: {side} (strength 2)"


def _number_of(body: dict[str, Any]) -> int:
    return int(body["messages"][0]["content"].split("Question ")[1].split("?")[0])


def test_it_works(make: Any) -> None:
    with ChatServer(_honest) as server:
        rundir = make(server)
        result = drive(ENGINE, rundir)
    assert result["status"] == "succeeded"
    assert result["counts"] == {"judged": 6, "contradictory": 0, "invalid": 0, "failed": 0}
    verdicts = lines(rundir, "verdicts.jsonl")
    assert {v["pair"]: v["outcome"] for v in verdicts} == {
        number: "a" if number % 2 else "b" for number in range(1, 7)
    }
    assert {v["pair"]: v["strength"] for v in verdicts} == {
        number: -2 if number % 2 else 2 for number in range(1, 7)
    }
    first = next(v for v in verdicts if v["pair"] == 1)
    assert first["rationale"] == "A is good."
    assert [(o["swapped"], o["outcome"]) for o in first["orders"]] == [(False, "a"), (True, "a")]
    assert first["orders"][1]["raw"].endswith("Verdict: B (strength 2)")
    progress = rundir.read_progress()
    assert progress is not None
    assert (progress["done"], progress["total"]) == (6, 6)


def test_each_pair_is_asked_in_both_orders_and_several_at_a_time(make: Any) -> None:
    def slow(body: dict[str, Any], number: int) -> str:
        time.sleep(0.1)
        return _honest(body, number)

    with ChatServer(slow) as server:
        drive(ENGINE, make(server, pairs=12))
        assert len(server.asked) == 24
        assert 2 <= server.most_at_once <= 4


def test_a_judge_that_likes_what_stands_first_makes_ties(make: Any) -> None:
    with ChatServer(lambda body, number: "Verdict: A") as server:
        rundir = make(server)
        result = drive(ENGINE, rundir)
    assert result["counts"]["contradictory"] == 6
    assert {v["outcome"] for v in lines(rundir, "verdicts.jsonl")} == {"tie"}


def test_an_unreadable_answer_is_asked_for_once_more(make: Any) -> None:
    def reply(body: dict[str, Any], number: int) -> str:
        return "Verdict: tie" if len(body["messages"]) == 3 else "Hard to say, really."

    with ChatServer(reply) as server:
        rundir = make(server, pairs=1)
        assert drive(ENGINE, rundir)["counts"]["judged"] == 1
        assert len(server.asked) == 4
    verdict = lines(rundir, "verdicts.jsonl")[0]
    assert verdict["outcome"] == "tie"
    assert verdict["rationale"] == "Hard to say, really."


def test_what_stays_unreadable_is_invalid_and_the_others_go_on(make: Any) -> None:
    def reply(body: dict[str, Any], number: int) -> str:
        return "Who knows?" if _number_of(body) == 2 else _honest(body, number)

    with ChatServer(reply) as server:
        rundir = make(server)
        result = drive(ENGINE, rundir)
    assert result["counts"] == {"judged": 5, "contradictory": 0, "invalid": 1, "failed": 0}
    verdict = next(v for v in lines(rundir, "verdicts.jsonl") if v["pair"] == 2)
    assert "No verdict could be read" in verdict["invalid"]
    assert "Who knows?" in verdict["orders"][0]["raw"]


def test_a_dead_endpoint_is_told_within_seconds(make: Any) -> None:
    rundir = make("http://127.0.0.1:9/v1", pairs=500)
    start_time = time.monotonic()
    result = drive(ENGINE, rundir, cold=True)
    assert time.monotonic() - start_time < 120  # of which most is the start of the process
    assert (result["status"], result["code"]) == ("failed", "endpoint_unreachable")
    assert "http://127.0.0.1:9/v1" in result["message"]


def test_a_wrong_key_ends_the_run_and_is_shown_nowhere(make: Any) -> None:
    with ChatServer(lambda body, number: (401, {}, {"error": "bad key sk-1234"})) as server:
        rundir = make(server, api_key_env="SOME_KEY")
        result = drive(ENGINE, rundir, SOME_KEY="sk-1234")
        assert server.keys == ["Bearer sk-1234"]
    assert result["code"] == "endpoint_refused"
    for path in rundir.path.rglob("*"):
        assert path.is_dir() or b"sk-1234" not in path.read_bytes()


def test_a_key_that_was_not_handed_over(make: Any) -> None:
    result = drive(ENGINE, make("http://127.0.0.1:9/v1", api_key_env="NOT_THERE"))
    assert result["code"] == "no_key"


def test_one_pair_that_fails_does_not_end_the_run(make: Any) -> None:
    def reply(body: dict[str, Any], number: int) -> Any:
        if _number_of(body) in {1, 3}:
            return 400, {}, {"error": {"message": "content filter"}}
        return _honest(body, number)

    with ChatServer(reply) as server:
        rundir = make(server)
        result = drive(ENGINE, rundir)
    assert result["status"] == "succeeded"
    assert result["counts"] == {"judged": 4, "contradictory": 0, "invalid": 0, "failed": 2}
    assert {v["pair"] for v in lines(rundir, "verdicts.jsonl")} == {2, 4, 5, 6}
    assert any("content filter" in event["text"] for event in lines(rundir, "events.jsonl"))


def test_many_failures_in_a_row_do(make: Any) -> None:
    good, all_good = count(1), threading.Event()

    def reply(body: dict[str, Any], number: int) -> Any:
        if _number_of(body) > 3:
            # not before the three that are to be good are: others are asked beside them
            all_good.wait(60)
            return 400, {}, {"error": {"message": "no more credit"}}
        if next(good) == 2 * 3:
            all_good.set()
        return _honest(body, number)

    with ChatServer(reply) as server:
        rundir = make(server, pairs=200)
        result = drive(ENGINE, rundir)
        assert len(server.asked) < 40
    assert (result["status"], result["code"]) == ("failed", "endpoint_rejected")
    assert "8 pairs in a row" in result["message"]
    assert "no more credit" in result["message"]
    assert len(lines(rundir, "verdicts.jsonl")) == 3


def test_a_run_in_which_every_pair_fails_has_failed(make: Any) -> None:
    with ChatServer(lambda body, number: (400, {}, {"error": "too long"})) as server:
        result = drive(ENGINE, make(server, pairs=3))
    assert (result["status"], result["code"]) == ("failed", "endpoint_rejected")


def test_killed_half_way_it_goes_on_and_asks_nothing_twice(make: Any) -> None:
    killed = threading.Event()

    def slow(body: dict[str, Any], number: int) -> str:
        if number >= 40:  # half of them
            killed.wait(180)
        return _honest(body, number)

    with ChatServer(slow) as server:
        rundir = make(server, pairs=40)
        process = start(ENGINE, rundir)
        # all four that are asked at once are held up: nothing more is on its way to the server
        wait_until(lambda: len(server.asked) == 44 and len(lines_so_far(rundir)) >= 8)
        process.send_signal(signal.SIGKILL)
        process.wait()
        killed.set()
        before = (rundir.path / "verdicts.jsonl").read_bytes()
        written = len(lines_so_far(rundir))
        assert 8 <= written < 40
        with (rundir.path / "verdicts.jsonl").open("ab") as stream:
            stream.write(b'{"pair": 39, "outcome": "tie", "ration')
        asked = len(server.asked)
        result = drive(ENGINE, rundir)
        assert len(server.asked) - asked == 2 * (40 - written)
    assert result["counts"]["judged"] == 40
    verdicts = lines(rundir, "verdicts.jsonl")
    assert sorted(v["pair"] for v in verdicts) == list(range(1, 41))
    assert all(v["outcome"] == ("a" if v["pair"] % 2 else "b") for v in verdicts)
    whole = before[: before.rfind(b"\n") + 1]
    assert (rundir.path / "verdicts.jsonl").read_bytes().startswith(whole)


def lines_so_far(rundir: RunDir) -> list[dict[str, Any]]:
    return rundir.read_lines("verdicts.jsonl", 0)[0]


def test_cancelled_it_ends_soon_and_keeps_what_it_found(make: Any) -> None:
    def slow(body: dict[str, Any], number: int) -> str:
        time.sleep(0.1)
        return _honest(body, number)

    with ChatServer(slow) as server:
        rundir = make(server, pairs=500)
        process = start(ENGINE, rundir)
        wait_until(lambda: len(lines_so_far(rundir)) >= 3)
        rundir.request_cancel()
        assert process.wait(120) == 0
    assert rundir.result() == {"status": "cancelled"}
    assert 3 <= len(lines_so_far(rundir)) < 500


def test_sigterm_leaves_a_run_that_can_be_started_again(make: Any) -> None:
    asked_to_end = threading.Event()

    def slow(body: dict[str, Any], number: int) -> str:
        if number >= 30:  # half of them
            asked_to_end.wait(180)
        time.sleep(0.05)
        return _honest(body, number)

    with ChatServer(slow) as server:
        rundir = make(server, pairs=30)
        process = start(ENGINE, rundir)
        wait_until(lambda: len(lines_so_far(rundir)) >= 3)
        process.terminate()
        asked_to_end.set()
        assert process.wait(120) == 75
        assert rundir.result() is None
        assert drive(ENGINE, rundir)["counts"]["judged"] == 30
