"""What a file says of aspects is kept with the vote, frozen with it, and written out again."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse

from annotation.formats import containers
from annotation.models import Judgment
from annotation.recipe import Recipe
from annotation.services import transfer
from annotation.services.versions import publish_version
from annotation.transfer.outgoing import Order
from tests import factories
from tests.assets.media import video

pytestmark = pytest.mark.django_db(transaction=True)
VOTES: list[dict[str, Any]] = [
    {"annotator": "rater", "outcome": "a", "aspects": {"style": -3, "truth": 1}},
    {"annotator": "scorer", "outcome": "b", "strength": 2, "aspects": {"style": 0}},
    {"annotator": "robot", "outcome": "a"},
]
CSV = """\
path_A,path_B,A_model,B_model,prompt,VQ,MQ,TA
1.mp4,2.mp4,small,large,A kite in the wind,A,B,A
2.mp4,3.mp4,large,small,A kite at sea,same,B,B
"""


def bring(project: Any, path: Path | bytes, name: str = "", **said: Any) -> Any:
    data = path if isinstance(path, bytes) else path.read_bytes()
    upload = transfer.receive(project=project, name=name, data=io.BytesIO(data), by=None)
    run = transfer.start_import(
        project=project, upload=upload, said=said, by=None, background=False
    )
    assert run.state == "succeeded", run.error
    return run


def freeze(project: Any, **recipe: Any) -> Any:
    said = Recipe(ties="keep", test_fraction=0.0, **recipe)
    return publish_version(project=project, dataset_name="All", recipe=said, by=None)


def sent_on(version: Any, name: str, container: str, **options: str) -> tuple[Any, Path, Any]:
    """Write a version and bring that into a new project."""
    order = Order(name, container, options)
    run = transfer.start_export(version=version, order=order, by=None, background=False)
    path = run.dir.path / "files" / run.result["files"][0]["name"]
    other = factories.make_project(modality=version.project.modality)
    bring(other, path, path.name, format=name)
    return run, path, other


def votes_of(project: Any) -> Iterable[tuple[str, str, int, str]]:
    rows = Judgment.objects.filter(project=project).order_by("pair__key", "annotator__name")
    return [
        (j.pair.key, j.annotator.name, j.strength, json.dumps(j.aspects, sort_keys=True))
        for j in rows
    ]


@pytest.fixture
def labelled(project: Any) -> Any:
    pairs = [
        {"prompt": "A sea?", "a": "The Baltic.", "b": "The Alps."},
        {"prompt": "A lake?", "a": "The Harz.", "b": "Como."},
    ]
    lines = [json.dumps({**pair, **vote}) for pair in pairs for vote in VOTES]
    bring(project, "\n".join(lines).encode(), "pairs.jsonl")
    return project


def test_they_are_kept_on_the_pairs_own_sides(labelled: Any, as_user: Any, owner: Any) -> None:
    for judgment in Judgment.objects.filter(project=labelled, annotator__name="rater"):
        turn = -1 if judgment.pair.output_a.text in {"The Alps.", "Como."} else 1
        assert judgment.strength == -1 * turn
        assert judgment.aspects == {"style": -3 * turn, "truth": 1 * turn}
        page = as_user(owner).get(
            reverse("annotation:pair-detail", args=[labelled.slug, judgment.pair_id])
        )
    assert 'aria-label="Aspects"' in page.content.decode()
    assert "({:+d})".format(judgment.aspects["style"]) in page.content.decode()


@pytest.mark.parametrize("container", ["jsonl", "parquet"])
def test_a_row_for_each_vote_carries_them_there_and_back(labelled: Any, container: str) -> None:
    version = freeze(labelled, aggregation="per_vote")
    run, _, other = sent_on(version, "steelyard_pairs", container)
    assert votes_of(other) == votes_of(labelled)
    assert run.result["written_without"] == {}
    assert freeze(other, aggregation="per_vote").counts == version.counts


def test_of_votes_counted_as_one_they_are_told_as_lost(labelled: Any) -> None:
    run, _, _ = sent_on(freeze(labelled), "steelyard_pairs", "jsonl")
    assert run.result["written_without"] == {"what each of several votes says of aspects": 2}


def test_potato_has_them_as_dimensions(labelled: Any) -> None:
    run, path, other = sent_on(freeze(labelled, aggregation="per_vote"), "potato", "jsonl")
    said = [row.values["annotations"]["pref"] for row in containers.rows(path)]
    assert sum({"style", "truth"} <= set(one) for one in said) == 2
    assert run.result["written_without"] == {"how strongly aspects differ": 2}
    raters = Judgment.objects.filter(project=other, annotator__name="rater")
    for judgment in raters:
        turn = -judgment.strength
        assert judgment.aspects == {"style": -1 * turn, "truth": 1 * turn}


def test_those_of_clips_come_in_and_go_out_as_they_were() -> None:
    project = factories.make_project(modality="video")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("train.csv", CSV)
        for number in (1, 2, 3):
            packed.writestr(f"{number}.mp4", video(frames=2 + number))
    bring(project, archive.getvalue(), "clips.zip", format="videoalign")
    _, _, other = sent_on(freeze(project), "videoalign", "parquet")
    assert votes_of(other) == votes_of(project)
    judgments = {j.pair.prompt.text: j for j in Judgment.objects.filter(project=other)}
    for prompt, strength, aspects in (
        ("A kite in the wind", -1, (-1, 1, -1)),
        ("A kite at sea", 1, (0, 1, 1)),
    ):
        judgment = judgments[prompt]
        turn = strength * judgment.strength
        names = ("visual quality", "motion quality", "text alignment")
        said = dict(zip(names, (turn * steps for steps in aspects), strict=True))
        assert judgment.aspects == said
