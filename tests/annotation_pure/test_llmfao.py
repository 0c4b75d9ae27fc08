"""The real votes: brought in whole and once, frozen the same, ranked as evalica ranks them.

Crowd comparisons by Dmitry Ustalov and llmonitor.com, CC BY 4.0. Evalica reads the votes from the
CSV file itself, so that a fault of the importer would show.
"""

from __future__ import annotations

import csv
import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import evalica
import numpy as np
import pytest

from annotation.formats import llmfao
from annotation.models import Annotator, Judgment, Pair
from annotation.recipe import Recipe
from annotation.services.importing import import_records
from annotation.services.versions import preview, publish_version
from evaluation.engine.ratings import ELO
from evaluation.leaderboard import Standings, standings
from steelyard.lib.records import read_parquet
from steelyard.registry.models import ModelVersion
from tests.factories import make_project

pytestmark = [pytest.mark.django_db, pytest.mark.slow]
PAIRS, VOTES, MODELS, PROMPTS, WORKERS = 2139, 8931, 59, 13, 124
CROWD = "crowd-comparisons.csv"
JUDGES = {"gpt-3.5": "gpt3-crowd-comparisons.csv", "gpt-4": "gpt4-crowd-comparisons.csv"}


@pytest.fixture
def timed(record_property: Callable[[str, object], None]) -> Callable[..., Any]:
    """Call something and note in the report, and for ``-s``, how long it took."""

    def call(name: str, work: Callable[..., Any], **kwargs: Any) -> Any:
        start = time.perf_counter()
        result = work(**kwargs)
        seconds = round(time.perf_counter() - start, 2)
        record_property(f"seconds to {name}", seconds)
        print(f"{name}: {seconds} s")  # noqa: T201
        return result

    return call


def votes_of(folder: Path, file: str) -> list[dict[str, str]]:
    with (folder / file).open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def evalicas_ratings(folder: Path, votes: list[dict[str, str]]) -> dict[str, float]:
    """Elo points with mean 1000 by model name; nothing of ours but the file."""
    with (folder / "models.jsonl").open(encoding="utf-8") as stream:
        names = {str(row["id"]): row["name"] for row in map(json.loads, stream)}
    winners = {
        "left": evalica.Winner.X,
        "right": evalica.Winner.Y,
        "tie": evalica.Winner.Draw,
    }
    result = evalica.bradley_terry(
        [names[row["model_x"]] for row in votes],
        [names[row["model_y"]] for row in votes],
        [winners[row["winner"]] for row in votes],
        tolerance=1e-13,
        limit=100_000,
    )
    logs = np.log(result.scores)
    return dict(1000 + ELO * (logs - logs.mean()))


def test_from_the_files_to_a_version_and_a_leaderboard(
    project: Any, llmfao_folder: Path, timed: Callable[..., Any]
) -> None:
    def bring_in() -> Any:
        return import_records(project=project, records=llmfao.read(llmfao_folder), by=None)

    done = timed("import", bring_in)
    all_votes = VOTES + sum(len(votes_of(llmfao_folder, file)) for file in JUDGES.values())
    # every vote of every file is there: none is dropped
    assert (done.records, done.pairs, done.prompts) == (PAIRS, PAIRS, PROMPTS)
    assert done.judgments == all_votes == Judgment.objects.count()
    assert Judgment.objects.by_people().count() == VOTES
    assert Annotator.objects.filter(kind="person").count() == WORKERS
    assert Annotator.objects.filter(kind="judge").count() == 2
    assert ModelVersion.objects.count() == MODELS
    assert sum(Pair.objects.values_list("judged", flat=True)) == VOTES
    assert not Pair.objects.open().exists()

    again = timed("import again", bring_in)
    assert (again.pairs, again.prompts, again.judgments) == (0, 0, 0)
    assert Judgment.objects.count() == all_votes

    recipe = Recipe(ties="keep")
    shown = preview(project=project, recipe=recipe)
    version = timed(
        "freeze", publish_version, project=project, dataset_name="Crowd", recipe=recipe, by=None
    )
    assert version.counts == shown.counts
    assert version.counts["votes"] == VOTES
    assert version.counts["annotators"] == WORKERS
    dropped = sum(n for name, n in version.counts.items() if name.startswith("dropped_"))
    assert version.counts["rows"] + dropped == PAIRS
    frozen = read_parquet(version.parquet)
    assert len(frozen) == version.counts["rows"]
    assert [row.pair for row in frozen] == sorted(row.pair for row in frozen)
    assert {vote["kind"] for row in frozen for vote in row.votes} == {"person"}

    board = timed("leaderboard", standings, project=project, source="people")
    assert (board.votes, board.prompts, board.annotators) == (VOTES, PROMPTS, WORKERS)
    assert board.rated == MODELS
    assert all(standing.row.lo < standing.row.rating for standing in board.groups[0])
    agrees(board, evalicas_ratings(llmfao_folder, votes_of(llmfao_folder, CROWD)))
    for name, file in JUDGES.items():
        judge = Annotator.objects.get(project=project, name=name)
        board = standings(project, source="judges", judge=judge)
        assert (board.votes, board.annotators) == (len(votes_of(llmfao_folder, file)), 1)
        agrees(board, evalicas_ratings(llmfao_folder, votes_of(llmfao_folder, file)))


def test_the_crowds_training_pairs_have_answers_and_stay_out_of_the_work(
    project: Any, llmfao_folder: Path
) -> None:
    known = list(llmfao.read_training(llmfao_folder))
    import_records(project=project, records=known, by=None)

    pairs = Pair.objects.filter(is_training=True)
    assert len(known) == pairs.count() == 7
    assert all(pair.known_outcome and pair.known_reason for pair in pairs)
    assert not Pair.objects.open().exists()
    assert llmfao.guidelines(llmfao_folder).startswith("# Which AI is Better?")


def agrees(board: Standings, theirs: dict[str, float]) -> None:
    (group,) = board.groups
    ours = {standing.model.name: standing.row.rating for standing in group}
    assert board.unrated == []
    assert ours.keys() == theirs.keys()
    assert max(abs(ours[name] - theirs[name]) for name in ours) < 1e-6


def test_another_machine_that_read_the_lines_in_another_order_has_the_same_version(
    llmfao_folder: Path,
) -> None:
    records = list(llmfao.read(llmfao_folder))[::3]
    digests = set()
    for seed in range(2):
        there = make_project(slug="crowd")
        random.Random(seed).shuffle(records)
        for record in records:
            random.Random(seed).shuffle(record.votes)
        import_records(project=there, records=records, by=None)
        for aggregation in ("majority", "dawid_skene"):
            recipe = Recipe(aggregation=aggregation, annotators="both", ties="random")
            version = publish_version(project=there, dataset_name="Crowd", recipe=recipe, by=None)
            digests.add((aggregation, version.digest))
        there.judgments.all().delete()
        there.slug = f"crowd-{seed}"
        there.save()
    assert len(digests) == 2
