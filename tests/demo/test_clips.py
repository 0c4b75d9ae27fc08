from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import av
import pytest

from annotation.models import Output, Pair
from steelyard.assets.services import blob_path
from steelyard.demo.engine.clips import ENCODINGS, _pairings, encode
from steelyard.demo.engine.scenes import FRAMES, RATE, SCENES, SECONDS
from tests.factories import make_project


@pytest.mark.django_db(transaction=True)
def test_it_works(build: Callable[..., Any]) -> None:
    project = make_project(modality="video")

    run = build(project, "clips", 1)

    assert (run.state, run.done, run.total) == ("succeeded", 1, 1)
    assert Pair.objects.get().prompt.text == SCENES[0].text
    for output in Output.objects.select_related("asset", "model"):
        asset = output.asset
        encoding = ENCODINGS[output.model.name]
        assert (asset.kind, asset.mime) == ("video", "video/mp4")
        assert asset.duration == pytest.approx(SECONDS, abs=0.2)
        assert asset.frame_rate == pytest.approx(RATE / encoding["every"], abs=0.1)
        kbits = asset.size * 8 / 1000 / SECONDS
        assert kbits == pytest.approx(encoding["kbits"], rel=0.35)
        assert b"x264" not in blob_path(asset.sha256).read_bytes()


def test_there_is_enough_of_it() -> None:
    assert len(SCENES) >= 20
    assert len({scene.text for scene in SCENES}) == len(SCENES)
    used = {name for names in _pairings()[: len(SCENES)] for name in names}
    assert used == set(ENCODINGS)


@pytest.mark.parametrize("number", [1, 2, 3, 7])
def test_a_scene_is_long_enough_and_of_one_even_size(number: int) -> None:
    frames = list(SCENES[number].frames())

    assert len(frames) == FRAMES
    assert len({frame.size for frame in frames}) == 1
    assert not any(side % 2 for side in frames[0].size)


def test_every_browser_plays_it_and_finds_a_place_quickly() -> None:
    frames = list(SCENES[3].frames())[:48]

    data = encode(frames, rate=24, kbits=200)

    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.pix_fmt == "yuv420p"
        keys = [packet.pts for packet in container.demux(stream) if packet.is_keyframe]
    assert len(keys) >= 2
    assert encode(frames, rate=24, kbits=200) == data
