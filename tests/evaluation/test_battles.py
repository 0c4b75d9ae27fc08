"""Votes that the database keeps as one number each, counted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from annotation.models import Judgment, Prompt
from evaluation import battles, board_votes, kept
from evaluation.board_votes import Options, counted, read_votes
from evaluation.leaderboard import standings
from steelyard.registry.models import ModelVersion
from tests.factories import make_annotator, make_judgment, make_model, make_pair, make_prompt

pytestmark = pytest.mark.django_db
SAID = ("a", "b", "tie", "both_bad", "a", "a", "tie", "b")


@pytest.fixture
def models(project: Any) -> list[ModelVersion]:
    """In the order of their keys, which is not that of their names."""
    return [make_model(project, name) for name in ("zeta", "alpha", "mu")]


def vote_all(project: Any, models: list[ModelVersion], prompts: list[Prompt]) -> None:
    raters = [make_annotator(project, name) for name in ("rater", "scorer")]
    names = [one.name for one in models]
    for at, said in enumerate(SAID):
        sides = (names[at % 3], names[(at + 1 + at // 3 % 2) % 3])
        for prompt in prompts:
            pair = make_pair(project, prompt=prompt, models=sides)
            for rater in raters[: 1 + at % 2]:
                make_judgment(pair, said, annotator=rater)


def read(project: Any) -> battles.Battles:
    return battles.read_battles(project, counted(project, Options()).standing(project))


def one_by_one(project: Any) -> dict[tuple[int, int, int], list[float]]:
    """Wins of the model whose name comes first, its losses, ties and both bad, by cell."""
    votes, pks = read_votes(project, counted(project, Options()).standing(project))
    place = {pk: at for at, pk in enumerate(pks.tolist())}
    prompts = {pk: at for at, pk in enumerate(sorted(set(votes.prompt.tolist())))}
    found: dict[tuple[int, int, int], list[float]] = {}
    for at, code in enumerate(votes.code.tolist()):
        a, b = place[int(votes.a[at])], place[int(votes.b[at])]
        cell = found.setdefault((prompts[int(votes.prompt[at])], min(a, b), max(a, b)), [0.0] * 4)
        cell[1 - code if code < 2 and a > b else code] += 1
    return found


def as_cells(found: battles.Battles) -> dict[tuple[int, int, int], list[float]]:
    cells = found.cells
    lost = cells.votes - found.won - found.tied - found.bad
    assert np.array_equal(cells.score, found.won + (found.tied + found.bad) / 2)
    assert (np.diff(cells.prompt) >= 0).all()
    rows = zip(found.won, lost, found.tied, found.bad, strict=True)
    keys = zip(cells.prompt.tolist(), cells.i.tolist(), cells.j.tolist(), strict=True)
    return {key: [float(one) for one in row] for key, row in zip(keys, rows, strict=True)}


@pytest.mark.parametrize("greatest", [0, 2**29])
def test_cells_are_the_votes_counted_one_by_one(
    project: Any, models: list[ModelVersion], greatest: int
) -> None:
    prompts = [make_prompt(project), make_prompt(project)]
    if greatest:  # a key that has no room in a vote's number
        prompts.append(Prompt.objects.create(pk=greatest, project=project, messages=[], key="far"))
    vote_all(project, models, prompts)
    assert Judgment.objects.filter(battle=None).exists() is bool(greatest)
    found = read(project)
    assert [models[at].pk for at in (1, 2, 0)] == found.pks.tolist()
    assert as_cells(found) == one_by_one(project)
    wins, ties, bad = found.tables()
    assert wins.sum() + ties.sum() / 2 == found.cells.votes.sum()
    assert bad.sum() / 2 == found.bad.sum()


def test_a_vote_that_is_changed_is_another_number(project: Any, models: list[ModelVersion]) -> None:
    vote = make_judgment(make_pair(project, models=("zeta", "alpha")), "a")
    was = Judgment.objects.get(pk=vote.pk).battle
    Judgment.objects.filter(pk=vote.pk).update(outcome="b", strength=1)
    assert Judgment.objects.get(pk=vote.pk).battle == was ^ 1
    Judgment.objects.filter(pk=vote.pk).update(outcome="skip", strength=0)
    assert Judgment.objects.get(pk=vote.pk).battle is None
    assert read(project).cells.votes.size == 0


def test_votes_out_of_order_are_counted_alike(
    project: Any, models: list[ModelVersion], monkeypatch: pytest.MonkeyPatch
) -> None:
    vote_all(project, models, [make_prompt(project), make_prompt(project)])
    in_order = as_cells(read(project))
    column = battles.read_column
    monkeypatch.setattr(battles, "read_column", lambda rows: column(rows)[::-1])
    assert as_cells(read(project)) == in_order


def test_more_votes_than_a_field_holds_on_one_prompt_are_all_counted() -> None:
    many, pair = 3 * 2**20 + 5, 1  # of the models at places 0 and 1
    packed = np.full(many, (pair << 2) | 3)
    packed[: many // 2] -= 2
    found = battles._counted(packed, np.array([7, 8]))
    wins, ties, bad = found.tables()
    assert wins.tolist() == [[0, 0], [many // 2, 0]]
    assert ties[0, 1] == bad[1, 0] == many - many // 2


@pytest.mark.parametrize("look_up", [0, 10**6])
def test_annotators_are_those_of_votes_that_ratings_are_made_of(
    project: Any, models: list[ModelVersion], monkeypatch: pytest.MonkeyPatch, look_up: int
) -> None:
    monkeypatch.setattr(board_votes, "_LOOK_UP", look_up)
    kept._boards.clear()
    vote_all(project, models, [make_prompt(project)])
    make_model(project, "omega")
    robot = make_annotator(project, "robot")  # a person here, whose only vote no rating takes in
    make_annotator(project, "idle")
    make_judgment(make_pair(project, models=("alpha", "omega")), "a", annotator=robot)
    board = standings(project)
    assert (board.annotators, board.others) == (2, 1)
    assert board.votes == sum(1 + at % 2 for at in range(len(SAID)))
