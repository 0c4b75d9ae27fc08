"""Asking for the next trial, and choosing the best."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from training.engine.sweep_space import Space
from training.engine.sweep_study import (
    Told,
    front,
    hypervolume,
    importances,
    is_behind,
    propose,
    rungs,
    winners,
)

SPACE: Space = {
    "rate": {"type": "float", "low": 1e-6, "high": 1e-3, "log": True},
    "rank": {"type": "int", "low": 4, "high": 64, "log": True},
    "loss": {"type": "str", "choices": ["sigmoid", "ipo"]},
}
ASK: dict[str, Any] = {"directions": ["minimize"], "sampler": "tpe", "seed": 7, "budget": 20}


def score(params: dict[str, Any]) -> float:
    return abs(params["rank"] - 32) / 32 + (params["loss"] == "ipo") + params["rate"]


def asked(count: int) -> list[Told]:
    told: list[Told] = []
    for _ in range(count):
        params = propose(SPACE, **ASK, told=told)
        assert params is not None
        told.append(Told(params, "complete", [score(params)]))
    return told


def test_a_study_made_anew_from_rows_asks_the_same() -> None:
    told = asked(8)
    whole = [*told, Told({"rate": 1e-5, "rank": 8, "loss": "ipo"}, "failed")]
    whole.append(Told({"rate": 1e-4, "rank": 9, "loss": "ipo"}, "running"))
    assert propose(SPACE, **ASK, told=whole) == propose(SPACE, **ASK, told=list(whole))
    assert asked(8) == told
    assert propose(SPACE, **{**ASK, "seed": 8}, told=told) != propose(SPACE, **ASK, told=told)


def test_it_draws_nearer_to_what_is_good() -> None:
    told = asked(24)
    late = [one.values[0] for one in told[-8:] if one.values]
    early = [one.values[0] for one in told[:8] if one.values]
    assert sum(late) < sum(early)


def test_nothing_is_tried_twice_and_a_space_comes_to_its_end() -> None:
    space: Space = {"rank": {"type": "int", "choices": [4, 8, 16]}}
    told: list[Told] = []
    while (params := propose(space, **ASK, told=told)) is not None:
        told.append(Told(params, "complete", [1.0]))
    assert sorted(one.params["rank"] for one in told) == [4, 8, 16]


def test_settings_that_matter_are_found() -> None:
    found = importances(SPACE, asked(20), 0)
    assert next(iter(found)) == "loss"
    assert sum(found.values()) == pytest.approx(1)
    assert importances(SPACE, asked(4), 0) == {}


def test_the_front_holds_what_no_other_beats() -> None:
    points = [[0.9, 5.0], [0.8, 3.0], [0.7, 4.0], [0.6, 1.0], [0.9, 5.0]]
    ways = ["maximize", "minimize"]
    assert front(points, ways) == [0, 1, 3]
    assert front([[3.0], [1.0], [2.0]], ["minimize"]) == [1]
    assert winners(points, ways, 1) == [0]
    assert winners(points, ways, 2) == [0, 3]
    assert winners(points, ways, 9) == [0, 1, 3]


def test_the_area_under_a_front_is_worked_by_hand() -> None:
    # 1 x 4 and 1 x 2 beside it; the third point is beaten and adds nothing
    area = hypervolume([[2.0, 1.0], [1.0, 3.0], [2.0, 4.0]], ["minimize", "minimize"], [3.0, 5.0])
    assert area == pytest.approx(1 * 4 + 1 * 2)


@pytest.mark.slow
def test_the_gaussian_process_answers_from_a_process_of_its_own() -> None:
    told = [one._asdict() for one in asked(4)]
    question = {"ask": "propose", "space": SPACE, **ASK, "sampler": "gp", "told": told}
    answer = subprocess.run(
        [sys.executable, "-m", "training.engine.sweep_study"],
        input=json.dumps({**question, "budget": 8}),
        capture_output=True,
        text=True,
        check=True,
    )
    params = json.loads(answer.stdout)
    assert set(params) == set(SPACE)
    assert 4 <= params["rank"] <= 64


def test_a_trial_goes_on_past_a_rung_if_it_is_among_the_best_third() -> None:
    others = [0.5, 0.6, 0.7, 0.8, 0.9]
    assert not is_behind(0.85, others, "maximize")
    assert is_behind(0.75, others, "maximize")
    assert not is_behind(0.55, others, "minimize")
    assert is_behind(0.75, others, "minimize")
    assert not is_behind(0.1, [0.9], "maximize")
    assert rungs(10, 100) == [10, 30, 90]
    assert rungs(0, 100) == []


def test_trials_stopped_early_teach_the_sampler() -> None:
    told = asked(10)
    stopped = [
        Told(one.params, "pruned", None, [10, 9.0]) if one.params["loss"] == "ipo" else one
        for one in told
    ]
    params = [propose(SPACE, **{**ASK, "seed": seed}, told=stopped) or {} for seed in range(12)]
    assert sum(one["loss"] == "sigmoid" for one in params) > 6
