"""The search finds the pipeline that the rules make the best, asks nothing twice and scores the
best again on prompts that it has not seen."""

from __future__ import annotations

import re
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from evaluation.engine.pipelines.space import CHECKS, FUSERS, SAMPLES, TOP_K, front, layers_of
from tests.chat_server import ChatServer
from tests.engines import drive, endpoint_spec, lines, make_rundir, start, wait_until
from tests.inference.test_pipelines import by_rule

ENGINE = "evaluation.engine.pipelines"


def rule(body: dict[str, Any], number: int) -> str:
    """The judge prefers more goods. The weak model writes none, the able one up to four by its
    seed; the helper ranks well, and what it fuses is worthless."""
    text = body["messages"][-1]["content"]
    if "Compare two answers" in text:
        answers = re.findall(r"<<(\w{16}) answer [AB]>>\n(.*?)\n<<\1 end", text, re.S)
        first, second = (answer.count("good") for _, answer in answers)
        said = "A" if first > second else "B" if second > first else "tie"
        return f"More goods.\nVerdict: {said} (strength 2)"
    if "write the best answer" in text:
        return "fused"
    if body["model"] == "weak":
        return f"Answer {body.get('seed', 0)}."
    return by_rule(body, number)


def spec(url: str, **more: Any) -> dict[str, Any]:
    members = {name: endpoint_spec(url, name=name, model=name) for name in ("weak", "able")}
    prompts = [
        {
            "key": f"{n:02}",
            "messages": [{"role": "user", "content": f"Question {n}?"}],
            "part": "fresh" if n % 2 else "search",
        }
        for n in range(12)
    ]
    return {
        "kind": "pipeline_search",
        "generators": ["weak", "able"],
        "helpers": ["able"],
        "baseline": {"layers": [[{"type": "generator", "model": "able"}]]},
        "members": members,
        "judge": {
            "name": "judge",
            "model": endpoint_spec(url, name="judge", model="judge"),
            "criteria": "More goods.",
            "template_version": 2,
            "sampling": {"temperature": 0.0, "max_new_tokens": 8},
        },
        "prompts": prompts,
        "sampling": {"max_new_tokens": 32},
        "trials": 12,
        "budget": 2000,
        "max_calls": 12,
        "seed": 1,
        **more,
    }


def test_the_best_is_found_and_scored_again_on_prompts_that_the_search_has_not_seen(
    tmp_path: Path,
) -> None:
    with ChatServer(rule) as server:
        rundir = make_rundir(tmp_path / "run", spec(server.url))
        result = drive(ENGINE, rundir, cold=True)
        asked = list(server.asked)
    assert result["status"] == "succeeded", result
    told = lines(rundir, "trials.jsonl")
    assert [one["number"] for one in told] == list(range(12))
    assert [(one["kind"], one.get("model")) for one in told[:2]] == [
        ("alone", "weak"),
        ("alone", "able"),
    ]
    assert [(one["rate"], one["calls"]) for one in told[:2]] == [(told[0]["rate"], 1), (0.5, 1)]
    best = result["search"]["rescored"][0]
    found = told[best["trial"]]
    # several answers of the able model, of which the best goes on: nothing else beats it alone
    kinds = [layer[0]["type"] for layer in found["layers"]]
    assert "fuser" not in kinds
    assert {"ranker", "unit_test_evaluator"} & set(kinds)
    assert found["rate"] == max(one["rate"] for one in told) > told[1]["rate"]
    assert best["lo"] <= best["rate"] <= best["hi"]
    assert best["prompts"] == 6
    assert best["rate"] > 0.5
    # a fresh prompt is asked about once the search is over
    shown = [re.findall(r"Question (\d+)\?", str(body["messages"])) for body in asked]
    fresh = [place for place, some in enumerate(shown) if any(int(one) % 2 for one in some)]
    assert all(int(one) % 2 for some in shown[fresh[0] :] for one in some)
    # each question once
    names = [str([body["messages"], body["model"], body.get("seed")]) for body in asked]
    assert len(names) == len(set(names))
    assert result["search"]["questions"] <= 2000
    assert all(one["calls"] <= 12 for one in told)


def test_killed_in_the_search_it_finds_the_same_and_asks_nothing_twice(tmp_path: Path) -> None:
    kept = {"answers": "", "calls": "", "run": "this", "trials": 6}
    with ChatServer(rule) as server:
        whole = make_rundir(tmp_path / "whole", spec(server.url, **kept))
        expected = drive(ENGINE, whole, cold=True)
        paid = len(server.asked)
    held_from, go_on = paid * 2 // 3, threading.Event()

    def held_up(body: dict[str, Any], number: int) -> Any:
        if number >= held_from:
            go_on.wait(180)
        return rule(body, number)

    with ChatServer(held_up) as server:
        kept |= {name: str(tmp_path / f"{name}.sqlite") for name in ("answers", "calls")}
        broken = make_rundir(tmp_path / "broken", spec(server.url, **kept))
        process = start(ENGINE, broken, cold=True)
        wait_until(lambda: len(server.asked) > held_from)
        process.send_signal(signal.SIGKILL)
        process.wait()
        go_on.set()
        assert lines(broken, "trials.jsonl")
        assert broken.result() is None
        result = drive(ENGINE, broken, cold=True)
        # what was under way at the moment of the kill may be asked again
        assert paid <= len(server.asked) <= paid + 8
    assert result["search"]["rescored"] == expected["search"]["rescored"]
    assert lines(broken, "trials.jsonl") == lines(whole, "trials.jsonl")


def test_the_budget_ends_it_and_cancelled_it_ends_soon(tmp_path: Path) -> None:
    with ChatServer(rule) as server:
        small = make_rundir(tmp_path / "small", spec(server.url, budget=40))
        result = drive(ENGINE, small, cold=True)
        assert result["search"]["questions"] <= 40
        assert result["search"]["trials"] < 12
        server.reply = lambda body, number: (401, {}, {"error": {"message": "no such key"}})
        failed = drive(ENGINE, make_rundir(tmp_path / "failed", spec(server.url)), cold=True)
        assert (failed["status"], failed["code"]) == ("failed", "endpoint_refused")


@pytest.mark.parametrize("check", CHECKS)
def test_all_settings_make_a_pipeline_and_what_says_nothing_is_left_out(check: str) -> None:
    for models in (1, 2):
        for samples in SAMPLES:
            for top_k in TOP_K:
                for fusers in FUSERS:
                    for critic in (False, True):
                        said = {"models": models, "samples": samples, "check": check}
                        said |= {"critic": critic, "top_k": top_k, "fusers": fusers, "helper": "h"}
                        made = layers_of(said, ["x", "y"])
                        last = made.layers[-1][0]
                        # one answer is left, or they stand in order
                        assert made.counted()[-1][1] == 1 or last.type == "unit_test_evaluator"


def test_of_points_none_on_the_front_is_beaten_in_both() -> None:
    assert front([(0.5, 1), (0.7, 3), (0.7, 2), (0.6, 2), (0.5, 1), (0.9, 9)]) == [5, 2, 0]
