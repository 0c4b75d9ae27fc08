from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from annotation.models import Output, Pair, Prompt
from steelyard.assets.services import blob_path
from steelyard.demo.engine.photos import PROCESSINGS, _pairings
from steelyard.demo.engine.views import VIEWS, load
from steelyard.lib.rundir import RunDir
from tests.factories import make_project


@pytest.mark.django_db(transaction=True)
def test_it_works(build: Callable[..., Any]) -> None:
    project = make_project(modality="image")

    run = build(project, "photos", 3)

    assert (run.state, run.done, run.total, run.unit) == ("succeeded", 3, 3, "pairs")
    pairs = Pair.objects.filter(project=project).select_related("output_a__asset", "prompt")
    assert {pair.prompt.text for pair in pairs} == {view.text for view in VIEWS[:3]}
    for output in Output.objects.select_related("asset", "model"):
        assert output.model.name in PROCESSINGS
        assert output.model.family == "imported"
        assert (output.asset.kind, output.asset.mime) == ("image", "image/jpeg")
        assert max(output.asset.width, output.asset.height) <= 768
        assert blob_path(output.asset.sha256).stat().st_size > 5000
    assert not Prompt.objects.filter(held_out=True).exists()


@pytest.mark.django_db(transaction=True)
def test_building_it_again_adds_nothing(build: Callable[..., Any]) -> None:
    project = make_project(modality="image")

    for _ in range(2):
        assert build(project, "photos", 2).state == "succeeded"

    assert Pair.objects.count() == 2
    assert Output.objects.count() == 4


def test_there_is_enough_of_it() -> None:
    assert len(VIEWS) >= 24
    assert len({view.text for view in VIEWS}) == len(VIEWS)
    assert len({view.category for view in VIEWS}) >= 5
    # so that a leaderboard can compare all with all
    used = {name for names in _pairings()[: len(VIEWS)] for name in names}
    assert used == set(PROCESSINGS)


@pytest.mark.parametrize("name", PROCESSINGS)
def test_each_processing_changes_the_look_and_not_the_size(name: str) -> None:
    image = load(VIEWS[0], 200)
    process, parameters = PROCESSINGS[name]

    first, again = (process(image, 7, **parameters) for _ in range(2))

    assert first.size == image.size
    assert first.mode == "RGB"
    assert np.array_equal(np.asarray(first), np.asarray(again))
    difference = np.abs(np.asarray(first, dtype=int) - np.asarray(image)).mean()
    assert 0.3 < difference < 30


def test_the_same_bytes_each_time(
    folder: Callable[..., RunDir], engine: Callable[..., Any]
) -> None:
    runs = [folder("photos", 2, name) for name in ("one", "two")]
    for rundir in runs:
        assert engine(rundir).wait() == 0

    assert len({(r.path / "outputs.jsonl").read_bytes() for r in runs}) == 1
    for path in runs[0].media.iterdir():
        assert path.read_bytes() == (runs[1].media / path.name).read_bytes()


def test_nothing_but_the_look_tells_the_processing(
    folder: Callable[..., RunDir], engine: Callable[..., Any], tmp_path: Path
) -> None:
    """All are JPEG files of one quality: the same quantisation tables."""
    rundir = folder("photos", 4)
    assert engine(rundir).wait() == 0

    tables = {str(Image.open(path).quantization) for path in rundir.media.iterdir()}  # type: ignore[attr-defined]

    assert len(tables) == 1
    shutil.rmtree(rundir.path)
