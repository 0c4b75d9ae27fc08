"""Many judgments on a bad day, with a kill in the middle: none lost, none paid for twice."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from annotation.engine.__main__ import work
from steelyard.inference.judging.ledger import LEASE, Kept, Ledger
from steelyard.inference.judging.limits import BURST, SharedPace
from steelyard.lib.engine import Stop
from steelyard.lib.rundir import RunDir
from tests.chat_server import ChatServer
from tests.engines import drive, endpoint_spec, lines, make_rundir, start, wait_until
from tests.faulty_server import FAULTS, FaultyServer

ENGINE = "annotation.engine"
AT_ONCE = 16


def spec_of(
    url: str, folder: Path, pairs: int, *, run: str = "run", **judge: Any
) -> dict[str, Any]:
    return {
        "kind": "judge",
        "run": run,
        "calls": str(folder / "calls.sqlite"),
        "pace": str(folder / "pace.sqlite"),
        "judge": {
            "id": 1,
            "name": "judge",
            "model": endpoint_spec(url),
            "criteria": "The longer number wins.",
            "template_version": 2,
            "sampling": {"temperature": 0.0, "max_new_tokens": 64},
            "asking": {"orders": "random"},
            "limits": {"at_once": AT_ONCE, **judge.pop("limits", {})},
            **judge,
        },
        "pairs": [
            {
                "pair": number,
                "messages": [{"role": "user", "content": f"Question {number}?"}],
                "a": "good",
                "b": "bad",
            }
            for number in range(1, pairs + 1)
        ],
    }


def _here(rundir: RunDir) -> dict[str, Any]:
    """The engine's work in this process, which is started sooner."""
    work(rundir, cast(Stop, False))
    result = rundir.result()
    assert result is not None
    return result


def honest(body: dict[str, Any]) -> str:
    """Prefers the good answer, wherever it stands."""
    text = body["messages"][0]["content"]
    side = "A" if text.index("\ngood\n") < text.index("\nbad\n") else "B"
    return json.dumps({"rationale": "It is good.", "verdict": side, "strength": 2})


def test_six_hundred_on_a_bad_day_with_a_kill_in_the_middle(tmp_path: Path) -> None:
    with FaultyServer(honest) as server:
        rundir = make_rundir(tmp_path / "run", spec_of(server.url, tmp_path, 600))
        process = start(ENGINE, rundir)
        wait_until(lambda: len(server.given) >= 200)
        process.send_signal(signal.SIGKILL)
        process.wait()
        result = drive(ENGINE, rundir)
    assert result["counts"] == {"judged": 600, "contradictory": 0, "invalid": 0, "failed": 0}
    verdicts = lines(rundir, "verdicts.jsonl")
    assert sorted(one["pair"] for one in verdicts) == list(range(1, 601))
    assert {one["outcome"] for one in verdicts} == {"a"}
    assert set(server.met) == set(FAULTS)
    assert len(server.paid) == 600
    assert set(server.paid.values()) == {1}
    # only what was under way when the process died was sent a second time
    assert sum(count - 1 for count in server.given.values()) <= AT_ONCE + 1
    assert result["usage"]["calls"] == 600
    assert result["usage"]["tokens_in"] == 600 * 400


def test_no_cap_is_passed_and_what_was_found_out_stays(tmp_path: Path) -> None:
    with FaultyServer(honest, faulty=False) as server:
        capped = {"max_calls": 40, "price_in": 1.0}
        rundir = make_rundir(tmp_path / "a", spec_of(server.url, tmp_path, 100, limits=capped))
        result = drive(ENGINE, rundir)
        assert (result["status"], result["capped"]) == ("succeeded", True)
        assert result["counts"]["judged"] == len(server.paid) == 40
        assert result["usage"]["cost"] == pytest.approx(40 * 400 / 1e6)
        assert result["left"] == 60
        assert result["warning"].startswith("Pairs left: 60, for the cap of 40 calls is reached")
        assert "the judge has used 40 calls, 16800 tokens" in result["warning"]
        assert rundir.read_lines("events.jsonl", 0)[0][-1]["text"] == result["warning"]
        more = spec_of(server.url, tmp_path, 100, run="b", limits={"max_tokens": 50 * 420})
        result = drive(ENGINE, make_rundir(tmp_path / "b", more))
        # forty are known from before; an answer under way counts as its longest
        assert 40 < len(server.paid) <= 50
        assert result["usage"]["cached"] == 40


@pytest.mark.parametrize("killed", [False, True])
def test_runs_that_overlap_pay_for_nothing_twice(tmp_path: Path, killed: bool) -> None:
    def slow(body: dict[str, Any]) -> str:
        time.sleep(0.02)
        return honest(body)

    with FaultyServer(slow, faulty=False) as server:
        specs = {name: spec_of(server.url, tmp_path, 120, run=name) for name in "abc"}
        specs["c"]["judge"]["id"] = 2  # another judge that asks the same
        rundirs = {name: make_rundir(tmp_path / name, spec) for name, spec in specs.items()}
        processes = {name: start(ENGINE, rundir) for name, rundir in rundirs.items()}
        if killed:
            wait_until(lambda: len(server.given) >= 30)
            processes["a"].send_signal(signal.SIGKILL)
            processes["a"].wait()
            processes["a"] = start(ENGINE, rundirs["a"])
        for process in processes.values():
            process.wait(240)
        results = [rundir.result() for rundir in rundirs.values()]
    assert [one and one["counts"]["judged"] for one in results] == [120] * 3
    assert len(server.paid) == 120
    again = sum(count - 1 for count in server.given.values())
    assert again <= (AT_ONCE + 1 if killed else 0)
    assert sum(one["usage"]["calls"] for one in results if one) == 120


def test_caps_hold_for_runs_that_overlap_and_an_answer_of_another_judge_costs_nothing(
    tmp_path: Path,
) -> None:
    def slow(body: dict[str, Any]) -> str:
        time.sleep(0.05)
        return honest(body)

    with FaultyServer(slow, faulty=False) as server:
        rundirs = []
        for run in range(3):
            spec = spec_of(server.url, tmp_path, 80, run=str(run), limits={"max_calls": 25})
            # none asks what another does, and one explains
            spec["pairs"] = [{**one, "a": f"good\n{run}"} for one in spec["pairs"]]
            if run == 2:
                spec |= {"style": "general"}
                spec["pairs"] = [{**one, "outcome": "a"} for one in spec["pairs"]]
            rundirs.append(make_rundir(tmp_path / str(run), spec))
        engines = [ENGINE, ENGINE, "annotation.engine.explaining"]
        processes = [start(engine, at) for engine, at in zip(engines, rundirs, strict=True)]
        for process in processes:
            process.wait(240)
        assert len(server.paid) == 25
        results = [rundir.result() for rundir in rundirs]
        assert sum(one["usage"]["calls"] for one in results if one and "usage" in one) == 25
        other = spec_of(server.url, tmp_path, 80, run="other", limits={"max_calls": 0}, id=2)
        other["pairs"] = [{**one, "a": "good\n0"} for one in other["pairs"]]
        known = len(lines(rundirs[0], "verdicts.jsonl"))
        result = drive(ENGINE, make_rundir(tmp_path / "other", other))
        assert len(server.paid) == 25
        assert (result["usage"]["calls"], result["usage"]["cached"]) == (0, known)


def test_a_claim_is_waited_for_until_it_is_let_go_or_lapses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def free(total: Any) -> str:
        return ""

    monkeypatch.setattr("steelyard.inference.judging.ledger._BEAT", 0.1)
    one, other = (Ledger(tmp_path / "calls", "judge", run) for run in "ab")

    def holds_until(key: str) -> float:
        found = other._base.execute("select until from claims where key = ?", [key]).fetchone()
        return float(found[0])

    assert one.claim("key", 1, 0.0, free) is None
    assert one.claim("key", 1, 0.0, free) == other.claim("key", 1, 0.0, free) == ""
    first = holds_until("key")
    wait_until(lambda: holds_until("key") > first)  # it is renewed
    assert other.claim("key", 1, 0.0, free) == ""
    one.release("key")
    assert other.claim("key", 1, 0.0, free) is None
    # two under way count, so that the third is to wait, and is refused when they have come to it
    assert one.claim("second", 1, 0.0, free) is None
    assert one.claim("third", 1, 0.0, lambda total: "2 calls" * (total[0] > 2)) == ""
    for asker, key in ((other, "key"), (one, "second")):
        asker.keep(key, Kept({}, 1, 1, 0.0, 0.0))
    assert one.claim("third", 1, 0.0, lambda total: "2 calls" * (total[0] > 2)) == "2 calls"
    assert one.claim("key", 1, 0.0, free) == Kept({}, 1, 1, 0.0, 0.0)
    # a process that is gone renews nothing; the same run, started again, waits for nothing
    assert one.claim("fourth", 1, 0.0, free) is None
    one._closed.set()
    again = Ledger(tmp_path / "calls", "judge", "a")
    again._process = "another process"
    assert other.claim("fourth", 1, 0.0, free) == ""
    assert again.claim("fourth", 1, 0.0, free) is None
    again._closed.set()
    lapsed = time.time() + LEASE + 1
    monkeypatch.setattr("steelyard.inference.judging.ledger.time.time", lambda: lapsed)
    assert other.claim("fourth", 1, 0.0, free) is None


def test_what_was_spent_is_known_from_a_file_without_sums_and_where_the_file_was_lost(
    tmp_path: Path,
) -> None:
    first = Ledger(tmp_path / "calls", "judge", "a")
    first.keep("key", Kept({}, 10, 2, 0.5, 0.0))
    first._base.execute("drop table totals")
    first.close()
    ledger = Ledger(tmp_path / "calls", "judge", "b")
    assert ledger.spent() == (1, 12, 0.5)
    ledger.know((1, 12, 0.5))
    assert ledger.spent() == (1, 12, 0.5)
    lost = Ledger(tmp_path / "another", "judge", "b")
    for _ in range(2):  # a run that is started again is told the same
        lost.know((4, 40, 2.0))
    lost.keep("key", Kept({}, 10, 2, 0.5, 0.0))
    assert lost.spent() == (5, 52, 2.5)
    ledger.close()
    lost.close()


def test_requests_a_minute_hold_for_all_runs_of_an_endpoint_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(time=lambda: 2e9)  # which stands still, however long a booking takes
    monkeypatch.setattr("steelyard.inference.judging.limits.time", clock)
    limits = {"requests": 600, "tokens": None}
    paces = [SharedPace(tmp_path / "pace", "far", **limits) for _ in range(2)]
    booked = [pace._booked(10) for _ in range(30) for pace in paces]
    # ten a second: after the burst each waits a tenth of a second longer than the one before
    assert booked[-1] - booked[0] == pytest.approx(59 / 10, abs=1e-3)
    assert booked[0] + BURST == pytest.approx(booked[20], abs=1e-3)
    tokens = SharedPace(None, "far", requests=None, tokens=60_000)
    assert tokens._booked(1000) < tokens._booked(1000) < tokens._booked(1)


@pytest.mark.parametrize("knows", ["schema", "json", "text"])
def test_the_strictest_form_that_an_endpoint_takes_is_found_and_remembered(
    tmp_path: Path, knows: str
) -> None:
    def reply(body: dict[str, Any], number: int) -> Any:
        if "logprobs" in body:
            return 400, {}, {"error": {"message": "logprobs are not supported"}}
        form = body.get("response_format", {}).get("type", "text")
        if form == "json_schema" and knows != "schema":
            return 400, {}, {"error": {"message": "unknown response_format json_schema"}}
        if form == "json_object" and knows == "text":
            return 422, {}, {"detail": "response_format: no such field"}
        if form == "text":
            return f"So.\nVerdict: {json.loads(honest(body))['verdict']}"
        return honest(body)

    with ChatServer(reply) as server:
        result = _here(make_rundir(tmp_path / "a", spec_of(server.url, tmp_path, 3)))
        assert result["counts"]["judged"] == 3
        tries = len(server.asked) - 3
        assert tries == 1 + ["schema", "json", "text"].index(knows)
        spec = spec_of(server.url, tmp_path, 3, run="b", criteria="Another.")
        _here(make_rundir(tmp_path / "b", spec))
        assert len(server.asked) == tries + 6
        last = server.asked[-1].get("response_format", {"type": "text"})
    expected = {"schema": "json_schema", "json": "json_object", "text": "text"}[knows]
    assert last["type"] == expected
    if knows == "schema":
        schema = last["json_schema"]["schema"]
        assert list(schema["properties"]) == ["rationale", "verdict", "strength"]


def test_what_could_have_stood_in_the_verdicts_place_is_how_sure_it_was(tmp_path: Path) -> None:
    def reply(body: dict[str, Any], number: int) -> Any:
        text = honest(body)
        at = text.index('"verdict": "') + len('"verdict": "')
        side = text[at]
        other = "B" if side == "A" else "A"
        sure = {side: -0.2231, other: -1.8971, "tie": -2.9957}  # 0.8, 0.15, 0.05
        parts = [(text[:at], {text[:at]: 0.0}), (side, sure), (text[at + 1 :], {text[at + 1 :]: 0})]
        content = [
            {
                "token": part,
                "logprob": max(chances.values()),
                "top_logprobs": [{"token": t, "logprob": p} for t, p in chances.items()],
            }
            for part, chances in parts
        ]
        choice = {"message": {"content": text}, "logprobs": {"content": content}}
        return 200, {}, {"choices": [choice]}

    with ChatServer(reply) as server:
        rundir = make_rundir(tmp_path / "a", spec_of(server.url, tmp_path, 4))
        _here(rundir)
    for line in lines(rundir, "verdicts.jsonl"):
        assert line["p_a"] == pytest.approx(0.8 + 0.05 / 2, abs=1e-3)
        assert line["orders"][0]["probabilities"]["b"] == pytest.approx(0.15, abs=1e-3)


def test_aspects_and_samples(tmp_path: Path) -> None:
    def reply(body: dict[str, Any], number: int) -> str:
        said = json.loads(honest(body))
        other = "B" if said["verdict"] == "A" else "A"
        said["verdict"] = other if body["seed"] == 2 else said["verdict"]
        aspects = {"clarity": {"verdict": other, "strength": 3}}
        return json.dumps({"rationale": "So.", "aspects": aspects, **said})

    with ChatServer(reply) as server:
        spec = spec_of(
            server.url,
            tmp_path,
            2,
            rubric=[{"name": "clarity", "text": "Is it plain?"}],
            sampling={"temperature": 1.0, "max_new_tokens": 64},
            asking={"orders": "both", "samples": 3},
        )
        rundir = make_rundir(tmp_path / "a", spec)
        _here(rundir)
        assert len(server.asked) == 2 * 2 * 3
        assert "- clarity: Is it plain?" in server.asked[0]["messages"][0]["content"]
    for line in lines(rundir, "verdicts.jsonl"):
        # two of three drawn say so
        assert (line["outcome"], line["strength"]) == ("a", -2)
        assert line["p_a"] == pytest.approx(2 / 3, abs=1e-4)
        assert line["aspects"] == {"clarity": 3}
        assert [len(order["samples"]) for order in line["orders"]] == [3, 3]


def test_a_pair_over_the_context_is_refused_with_the_reason(tmp_path: Path) -> None:
    def reply(body: dict[str, Any], number: int) -> Any:
        if "Question 2?" in body["messages"][0]["content"]:
            words = "This model's maximum context length is 4096 tokens."
            return 400, {}, {"error": {"message": words}}
        return honest(body)

    with ChatServer(reply) as server:
        rundir = make_rundir(tmp_path / "a", spec_of(server.url, tmp_path, 3))
        result = _here(rundir)
    assert result["counts"] == {"judged": 2, "contradictory": 0, "invalid": 1, "failed": 0}
    refused = next(one for one in lines(rundir, "verdicts.jsonl") if one["pair"] == 2)
    assert "maximum context length" in refused["invalid"]
