"""Captions by atomic events: what is missing, wrong and made up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evaluation.engine import captions
from evaluation.engine.atomic_events import (
    Verdict,
    caption_difference,
    caption_scores,
    events_question,
    read_events,
    read_verdict,
    verdict_question,
)
from steelyard.lib.engine import Stop
from steelyard.lib.rundir import RunDir
from tests.chat_server import ChatServer

EVENTS = ["A dog runs.", "A bell rings", "It rains.", "A man says hello."]


def verdict(missing: int, incorrect: int, hallucinated: int, events: int = 4) -> Verdict:
    return Verdict(
        events,
        tuple(range(1, missing + 1)),
        tuple(range(missing + 1, missing + incorrect + 1)),
        tuple(f"thing {n}" for n in range(hallucinated)),
    )


def test_rates_are_shares_of_the_references_events() -> None:
    assert verdict(1, 1, 2).rates == (0.25, 0.75, 1.0)
    assert verdict(0, 0, 0).rates == (0, 0, 0)
    # what is made up has no upper end
    assert verdict(0, 0, 9).rates[1] == 2.25


@pytest.mark.parametrize(
    ("answer", "events"),
    [
        ('{"events": ["A dog runs.", "It  rains."]}', ["A dog runs.", "It rains."]),
        ('Sure!\n```json\n["A", "B", "A"]\n```', ["A", "B"]),
        ("1. A dog runs.\n2) It rains.\n", ["A dog runs.", "It rains."]),
        ("- A dog runs.\n* It rains.", ["A dog runs.", "It rains."]),
        ("I cannot see the video.", None),
        ('{"events": []}', None),
        ('{"events": "none"}', None),
    ],
)
def test_events_are_read_however_they_are_listed(answer: str, events: list[str] | None) -> None:
    assert read_events(answer) == events


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ('{"missing": [1, 3], "incorrect": [], "hallucinated": ["a cat"]}', ((1, 3), (), 1)),
        ('Here: {"Missing": ["2. A bell rings"], "incorrect": "none"} ok', ((2,), (), 0)),
        ('{"missing": ["it rains"], "incorrect": [3, 4], "hallucinated": []}', ((3,), (4,), 0)),
        ('{"missing": [1, 1], "hallucinated": ["x", "x", "none"]}', ((1,), (), 1)),
        ('{"missing": 2}', ((2,), (), 0)),
        ('{"missing": [9]}', None),
        ('{"missing": ["a ship sinks"]}', None),
        ('{"missing": [true]}', None),
        ('{"hallucinated": [{"what": 1}]}', None),
        ('{"score": 3}', None),
        ("Nothing is missing.", None),
    ],
)
def test_verdicts_are_read_and_others_are_invalid(
    answer: str, found: tuple[tuple[int, ...], tuple[int, ...], int] | None
) -> None:
    read = read_verdict(answer, EVENTS)
    if found is None:
        assert read is None
    else:
        assert read is not None
        assert (read.missing, read.incorrect, len(read.hallucinated)) == found


def test_questions_hold_what_they_are_about() -> None:
    assert events_question(" It rains. ").endswith("It rains.")
    asked = verdict_question(EVENTS, "")
    assert "4. A man says hello." in asked
    assert asked.endswith("(empty)")


def test_scores_are_means_over_clips() -> None:
    """Two captions of a clip are not two clips."""
    verdicts = [verdict(4, 0, 0), verdict(0, 0, 0), verdict(0, 2, 0), None]
    scores = caption_scores(verdicts, ["x", "x", "y", "y"])
    assert (scores.captions, scores.clips, scores.invalid) == (3, 2, 1)
    assert scores.missing.mean == pytest.approx(0.25)
    assert scores.hallucination.mean == pytest.approx(0.25)
    assert scores.total.mean == pytest.approx(0.5)
    alone = caption_scores(verdicts[:2], ["x", "x"]).missing
    assert (alone.mean, alone.lo, alone.hi) == (0.5, None, None)
    with pytest.raises(ValueError, match="none of the judge"):
        caption_scores([None], ["x"])


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    draw = np.random.default_rng(1)
    held = 0
    for trial in range(60):
        drawn = [verdict(int(draw.binomial(10, 0.3)), 0, 0, events=10) for _ in range(80)]
        # each clip captioned twice: clusters, not rows
        clips = [n // 2 for n in range(80)]
        rate = caption_scores(drawn, clips, seed=trial).missing
        assert rate.lo is not None
        assert rate.hi is not None
        held += rate.lo <= 0.3 <= rate.hi
    assert 50 <= held <= 60


def test_differences_are_paired_by_clip() -> None:
    """All clips differ by a lot, the two models by the same on each: no doubt is left."""
    first = [verdict(n % 4, 0, 0) for n in range(12)]
    other = [verdict(n % 4 + 1, 0, 0) for n in range(12)]
    clips = list(range(12))
    told = caption_difference(first, clips, other, clips)
    assert (told["missing"].mean, told["missing"].lo, told["missing"].hi) == (-0.25, -0.25, -0.25)
    with pytest.raises(ValueError, match="no clip in common"):
        caption_difference(first, clips, other, [n + 100 for n in clips])


def test_a_judge_scores_captions_and_is_asked_nothing_twice(tmp_path: Path) -> None:
    def answer(body: dict[str, Any], number: int) -> str:
        asked = body["messages"][0]["content"]
        if "Split it" in asked:
            return json.dumps({"events": ["A dog runs.", "It rains."]})
        if "Caption:\nA dog" in asked:
            return '{"missing": [2], "incorrect": [], "hallucinated": []}'
        return "I would rather not."

    with ChatServer(answer) as server:
        rundir = RunDir(tmp_path / "run")
        rundir.create(
            {
                "kind": "captions",
                "judge": {
                    "name": "judge",
                    "family": "endpoint",
                    "base_url": server.url,
                    "model": "judge",
                },
                "clips": [{"clip": n, "reference": f"A dog runs in the rain {n}."} for n in "ab"],
                "captions": [
                    {"clip": "a", "model": "m", "text": "A dog runs."},
                    {"clip": "b", "model": "m", "text": "A dog runs away."},
                    {"clip": "a", "model": "silent", "text": ""},
                ],
            }
        )
        captions.score(rundir, Stop(rundir))
        result = rundir.result()
        assert result is not None
        assert result["scores"]["m"]["missing"]["mean"] == 0.5
        assert result["scores"]["silent"] == {"captions": 0, "invalid": 1}
        before = len(server.asked)
        captions.score(rundir, Stop(rundir))
        assert len(server.asked) == before
