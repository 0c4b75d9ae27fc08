"""The arena's engine: answers come piece by piece, and none is lost by a kill."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from evaluation.engine.arena import MOST_BEGINS, read_answer
from steelyard.lib.rundir import RunDir
from tests.chat_server import ChatServer
from tests.engines import drive, endpoint_spec, make_rundir, model_spec, start, wait_until

ENGINE = "evaluation.engine.arena"


def folder(tmp_path: Path, models: list[dict[str, Any]], *, idle: float = 0) -> RunDir:
    spec = {"kind": "arena", "models": models, "sampling": {"max_new_tokens": 12}}
    return make_rundir(tmp_path / "run", {**spec, "idle_seconds": idle})


def ask(rundir: RunDir, name: str, model: str, text: str = "Say something.") -> None:
    place = rundir.path / "requests"
    place.mkdir(exist_ok=True)
    messages = [{"role": "user", "content": text}]
    request = {"id": name, "model": model, "messages": messages, "seed": 7}
    (place / f"{name}.json").write_text(json.dumps(request))


def lines(rundir: RunDir, name: str) -> list[dict[str, Any]]:
    return read_answer(rundir.path / "answers" / f"{name}.jsonl")


def test_it_works(tmp_path: Path, tiny_lm: Path) -> None:
    with ChatServer(lambda body, number: "One two three.") as server:
        server.pause = 0.6  # far longer than pieces are gathered for
        rundir = folder(tmp_path, [model_spec(tiny_lm), endpoint_spec(server.url)])
        ask(rundir, "near", "tiny")
        ask(rundir, "far", "far")
        ask(rundir, "nobody", "gone")
        result = drive(ENGINE, rundir)
    assert result == {"status": "succeeded", "counts": {"answers": 3}}
    for name in ("near", "far"):
        first, *pieces, last = lines(rundir, name)
        assert first == {"begin": 1}
        assert last["end"] == "done"
        told = "".join(line["piece"] for line in pieces).strip()
        assert last["text"].startswith(told)
        assert last["parameters"]["max_new_tokens"] == 12
    assert lines(rundir, "far")[-1]["text"] == "One two three."
    assert len(lines(rundir, "far")) > 3, "it came in pieces"
    assert server.asked[0]["seed"] == 7
    assert lines(rundir, "nobody")[-1]["code"] == "no_contestant"


def test_what_was_being_written_when_it_was_killed_is_begun_anew(tmp_path: Path) -> None:
    with ChatServer(lambda body, number: "a b c d e f") as server:
        server.hold_after = 2
        rundir = folder(tmp_path, [endpoint_spec(server.url)])
        ask(rundir, "one", "far")
        process = start(ENGINE, rundir)
        wait_until(lambda: any("piece" in line for line in lines(rundir, "one")))
        process.send_signal(signal.SIGKILL)
        process.wait()
        with (rundir.path / "answers" / "one.jsonl").open("ab") as stream:
            stream.write(b'{"piece": "half a li')
        server.hold_after = -1
        server.go_on.set()
        drive(ENGINE, rundir)
    said = lines(rundir, "one")
    assert [line["begin"] for line in said if "begin" in line] == [1, 2]
    assert said[-1]["text"] == "a b c d e f"


def test_an_answer_at_which_engines_die_is_given_up(tmp_path: Path) -> None:
    rundir = folder(tmp_path, [endpoint_spec("http://127.0.0.1:9/v1")])
    ask(rundir, "one", "far")
    (rundir.path / "answers").mkdir()
    begun = "".join(json.dumps({"begin": n + 1}) + "\n" for n in range(MOST_BEGINS))
    (rundir.path / "answers" / "one.jsonl").write_text(begun)
    drive(ENGINE, rundir)
    assert lines(rundir, "one")[-1]["code"] == "engine_died"


def broken(body: dict[str, Any], number: int) -> Any:
    if number == 0:
        return 503, {"Retry-After": "0"}, {"error": {"message": "busy"}}
    if number == 1:
        half = 'data: {"choices": [{"delta": {"content": "Half"}}]}\n\n'
        return 200, {"Content-Type": "text/event-stream"}, half
    return 401, {}, {"error": {"message": "bad key"}}


def test_an_endpoint_that_dies_midway_is_a_failed_answer_with_its_reason(tmp_path: Path) -> None:
    with ChatServer(broken) as server:
        rundir = folder(tmp_path, [endpoint_spec(server.url)])
        ask(rundir, "one", "far")
        drive(ENGINE, rundir)
        assert len(server.asked) == 2, "busy once, then broken off"
        (rundir.path / "result.json").unlink()
        ask(rundir, "two", "far")
        drive(ENGINE, rundir)
    assert {"piece": "Half"} in lines(rundir, "one")
    assert lines(rundir, "one")[-1]["code"] == "endpoint_broke_off"
    assert lines(rundir, "two")[-1]["code"] == "endpoint_refused"


@pytest.mark.parametrize("how", ["cancel", "terminate"])
def test_it_ends_when_it_is_told_to_in_the_middle_of_an_answer(
    tmp_path: Path, tiny_lm: Path, how: str
) -> None:
    rundir = folder(tmp_path, [model_spec(tiny_lm, sampling={})], idle=60)
    process = start(ENGINE, rundir)
    wait_until(lambda: (rundir.path / "progress.json").exists())
    rundir.request_cancel() if how == "cancel" else process.send_signal(signal.SIGTERM)
    assert process.wait(60) == (0 if how == "cancel" else 75)
    result = rundir.result()
    assert (result or {}).get("status") == ("cancelled" if how == "cancel" else None)
