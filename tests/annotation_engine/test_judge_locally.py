"""A judge in the engine's own process: its verdict is measured, so there always is one."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from steelyard.inference.judging.judge import ask
from steelyard.inference.judging.ledger import Ledger
from steelyard.inference.judging.local import LocalJudge
from steelyard.inference.judging.prompting import VERDICT_CUE
from steelyard.inference.judging.reading import PlainReader
from steelyard.inference.judging.remembering import Remembered
from steelyard.inference.loading import load_writer
from steelyard.inference.text import encode_prompt, load_causal_lm, log_probabilities
from steelyard.lib.rundir import RunDir
from tests.engines import drive, lines, make_rundir, model_spec, start, wait_until
from tests.tiny_models import make_tiny_lm

ENGINE = "annotation.engine"
OUTCOMES = {"a", "b", "tie", "both_bad"}


@pytest.fixture(scope="module")
def roomy_lm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with room for a judge's question."""
    return make_tiny_lm(tmp_path_factory.mktemp("roomy"), context=2048)


def _spec(source: Path, pairs: int = 5, tokens: int = 16) -> dict[str, Any]:
    return {
        "kind": "judge",
        "judge": {
            "name": "judge",
            "model": model_spec(source),
            "criteria": "Truth.",
            "template_version": 1,
            "sampling": {"temperature": 1.0, "max_new_tokens": tokens},
        },
        "pairs": [
            {
                "pair": number,
                "messages": [{"role": "user", "content": f"Question {number}?"}],
                "a": "yes " * (number % 7),
                "b": "The sea is wide and deep.",
            }
            for number in range(1, pairs + 1)
        ],
    }


def test_it_works(roomy_lm: Path, tmp_path: Path) -> None:
    rundir = make_rundir(tmp_path / "run", _spec(roomy_lm))
    result = drive(ENGINE, rundir, cold=True)
    assert result["status"] == "succeeded"
    verdicts = lines(rundir, "verdicts.jsonl")
    assert [v["pair"] for v in verdicts] == [1, 2, 3, 4, 5]
    for verdict in verdicts:
        assert verdict["outcome"] in OUTCOMES
        assert [o["swapped"] for o in verdict["orders"]] == [False, True]
        for order in verdict["orders"]:
            assert set(order["probabilities"]) == OUTCOMES
            assert sum(order["probabilities"].values()) == pytest.approx(1, abs=1e-5)
            assert order["outcome"] == max(OUTCOMES, key=order["probabilities"].__getitem__)
            assert VERDICT_CUE in order["raw"]


def test_the_verdict_is_what_the_model_finds_most_probable_next(
    roomy_lm: Path, tmp_path: Path
) -> None:
    spec = _spec(roomy_lm, pairs=1)
    rundir = make_rundir(tmp_path / "run", spec)
    drive(ENGINE, rundir)
    swapped = lines(rundir, "verdicts.jsonl")[0]["orders"][1]
    reason = swapped["raw"].split(VERDICT_CUE)[0]

    model, tokenizer = load_causal_lm(str(roomy_lm))
    prefix = encode_prompt(tokenizer, ask(spec["pairs"][0], spec["judge"], True))
    prefix += tokenizer.encode(reason)[:16] + tokenizer.encode(VERDICT_CUE)
    options = [tokenizer.encode(word) for word in (" A", " B", " tie", " both bad")]
    scores = log_probabilities(model, [prefix + o for o in options], [len(prefix)] * 4)
    weights = [float(score.sum().exp()) for score in scores]
    expected = [weight / sum(weights) for weight in weights]
    # shown as A was the pair's b
    measured = [swapped["probabilities"][name] for name in ("b", "a", "tie", "both_bad")]
    assert measured == pytest.approx(expected, abs=1e-4)


def test_killed_half_way_it_gives_the_same_verdicts_once_each(
    roomy_lm: Path, tmp_path: Path
) -> None:
    spec = _spec(roomy_lm, pairs=32, tokens=32)
    whole = make_rundir(tmp_path / "whole", spec)
    drive(ENGINE, whole)

    broken = make_rundir(tmp_path / "broken", spec)
    process = start(ENGINE, broken)
    wait_until(lambda: len(broken.read_lines("verdicts.jsonl", 0)[0]) >= 4)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(broken.read_lines("verdicts.jsonl", 0)[0]) < 32
    drive(ENGINE, broken)
    assert _said(broken) == _said(whole)


def _said(rundir: RunDir) -> list[Any]:
    """Without the probabilities, whose last digits may differ."""
    return [
        (v["pair"], v["outcome"], v["rationale"], [o["raw"] for o in v["orders"]])
        for v in lines(rundir, "verdicts.jsonl")
    ]


def test_a_pair_too_long_for_the_model_is_refused_with_the_reason(
    roomy_lm: Path, tmp_path: Path
) -> None:
    spec = _spec(roomy_lm, pairs=3)
    spec["pairs"][1]["a"] = "The sea is wide. " * 800
    rundir = make_rundir(tmp_path / "run", spec)
    assert drive(ENGINE, rundir)["counts"]["invalid"] == 1
    verdicts = lines(rundir, "verdicts.jsonl")
    assert [bool(v.get("invalid")) for v in verdicts] == [False, True, False]
    assert "Question 2?" in verdicts[1]["invalid"]
    assert "context of 2048" in verdicts[1]["invalid"]


def test_a_model_that_is_gone_fails_the_run_with_its_name(tmp_path: Path) -> None:
    result = drive(ENGINE, make_rundir(tmp_path / "run", _spec(tmp_path / "gone")))
    assert (result["status"], result["code"]) == ("failed", "unknown_model")
    assert str(tmp_path / "gone") in result["message"]


def test_cancelled_in_the_middle_of_a_long_answer_it_ends_soon(
    roomy_lm: Path, tmp_path: Path
) -> None:
    rundir = make_rundir(tmp_path / "run", _spec(roomy_lm, pairs=500, tokens=1000))
    process = start(ENGINE, rundir)
    wait_until(lambda: (rundir.read_progress() or {}).get("text", "").startswith("judging"))
    rundir.request_cancel()
    assert process.wait(120) == 0
    assert rundir.result() == {"status": "cancelled"}


def test_what_it_has_answered_is_not_computed_again_and_nothing_else_is_taken_for_it(
    roomy_lm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By another run with the same judge; the criteria, the seed and the weights all count."""
    spec = _spec(roomy_lm, pairs=3)
    writer: Any = load_writer(spec["judge"]["model"])
    sampling = {"temperature": 0.0, "top_p": 1.0, "max_new_tokens": 8}
    ledger = Ledger(tmp_path / "calls.sqlite")
    asked: list[int] = []
    write = PlainReader.write

    def counted(self: PlainReader, questions: Any, how: Any) -> Any:
        asked.append(len(questions))
        return write(self, questions, how)

    monkeypatch.setattr(PlainReader, "write", counted)

    def judged(**changes: Any) -> list[dict[str, Any]]:
        asked.clear()
        judge = {**spec["judge"], **changes.get("judge", {})}
        how = {**sampling, **changes.get("sampling", {})}
        known = Remembered(ledger, writer, how)
        return LocalJudge(writer, judge, how, known=known).verdicts(spec["pairs"])

    def bare(lines: list[dict[str, Any]]) -> Any:
        return json.loads(re.sub(r'"usage": {[^}]*}', '"usage": 0', json.dumps(lines)))

    first = judged()
    assert asked == [6]
    again = judged()
    assert (asked, bare(again)) == ([], bare(first))
    assert all(order["usage"]["cached"] for line in again for order in line["orders"])
    # as the other side of another pair it is the same question
    turned = [{**pair, "a": pair["b"], "b": pair["a"], "pair": 9} for pair in spec["pairs"]]
    asked.clear()
    known = Remembered(ledger, writer, sampling)
    LocalJudge(writer, spec["judge"], sampling, known=known).verdicts(turned[:1])
    assert asked == []
    for changes in (
        {"judge": {"criteria": "Wit."}},
        {"sampling": {"temperature": 1.0}},
        {"sampling": {"max_new_tokens": 9}},
        {"judge": {"rubric": [{"name": "tone", "text": ""}]}},
    ):
        judged(**changes)
        assert asked == [6], changes
    with torch.no_grad():
        next(writer.model.parameters()).mul_(1.01)
    judged()
    assert asked == [6]
