"""Clips that people compared → an adapter of a video model → clips of the base and of what came of
it, to be compared again."""

from __future__ import annotations

import io
from pathlib import Path

import av
import pytest
from PIL import Image

from evaluation.engine.generate import work
from steelyard.inference.image_adapters import WEIGHTS
from steelyard.inference.videos import load_filmer
from steelyard.lib.engine import Stop
from steelyard.lib.hashing import sha256_file
from steelyard.lib.records import PreferenceRecord
from steelyard.lib.rundir import RunDir
from tests.engines import drive, lines, make_rundir
from tests.tiny_pictures import make_record, metrics_of, write_picture_run
from tests.tiny_videos import moving_square, tiny_wan, write_clip

PROMPTS = ["a red square moves", "the red square jumps left"]
SMALL = {"steps": 2, "guidance": 1, "frames": 5, "width": 64, "height": 48, "fps": 8}


def clip_pairs(media: Path, pairs: int) -> list[PreferenceRecord]:
    """Slow squares are preferred to fast ones; every second pair is a frame rate apart."""
    records = []
    for number in range(pairs):
        names = []
        for step, rate in ((1, 8), (4, 16 if number % 2 else 8)):
            frames = moving_square(frames=7 * rate // 8, step=step, top=3 * number)
            rough = write_clip(media / "rough", frames, rate=rate)
            names.append(sha256_file(rough))
            rough.rename(media / names[-1])
        records.append(
            make_record(
                number,
                *names,
                prompt=PROMPTS[number % 2],
                modality="video",
                split="test" if number == pairs - 1 else "train",
            )
        )
    return records


def test_a_version_of_clips_trains_a_video_model_that_then_films(tmp_path: Path) -> None:
    base = {
        "name": "base",
        "modality": "video",
        "family": "wan",
        "source": str(tiny_wan(tmp_path / "wan")),
    }
    records = clip_pairs(tmp_path / "run" / "media", 8)
    (tmp_path / "run" / "media" / records[0].rejected_media).write_bytes(b"no clip at all")
    rundir = write_picture_run(
        tmp_path / "run",
        base,
        records,
        resolution=64,
        clip_frames=5,
        max_steps=3,
        batch_size=2,
        accumulation=2,
        lora_rank=2,
        learning_rate=1e-2,
        reference_draws=2,
        sample_every=3,
        sample_prompts=1,
        sample_steps=2,
    )
    result = drive("training.engine", rundir)
    assert result["status"] == "succeeded", result
    # one clip cannot be read: its pair is left out by name
    assert result["counts"]["train"] == 6
    assert result["counts"]["dropped_unreadable"] == 1
    found = metrics_of(rundir)
    assert found[1]["loss"] == pytest.approx(0.6931, abs=1e-3)
    assert found[3]["test_loss"] != found[0]["test_loss"]
    samples = lines(rundir, "media_samples.jsonl")
    assert {line["seeds"] for line in samples} == {"fixed", "fresh"}
    for line in samples:
        clip = rundir.path / line["file"]
        assert len(_frames(clip.read_bytes())) == 5
        with Image.open(clip.with_suffix(".jpg")) as poster:
            first = _frames(clip.read_bytes())[0]
            assert (poster.format, poster.size) == ("JPEG", (first.width, first.height))
        # of the run's shape, not of the 832 x 480 pixels and 81 frames that the family films
        assert (first.width, first.height) == (80, 48)

    models = [
        {**base, "name": name, "adapters": adapters, "sampling": SMALL}
        for name, adapters in (("base", []), ("trained", [str(rundir.model)]))
    ]
    asked = make_rundir(
        tmp_path / "generate",
        {
            "kind": "generate",
            "models": models,
            "prompts": [{"key": "p", "messages": [{"role": "user", "content": PROMPTS[0]}]}],
            "sampling": {"fps": 6},
            "samples": 1,
            "seed": 3,
        },
    )
    work(asked, Stop(asked))
    made = {line["model"]: line for line in lines(asked, "outputs.jsonl")}
    clips = {name: (asked.path / line["media"]).read_bytes() for name, line in made.items()}
    assert clips["base"] != clips["trained"]
    assert [len(_frames(clip)) for clip in clips.values()] == [5, 5]
    for name, line in made.items():
        assert Path(line["media"]).name == f"{sha256_file(asked.path / line['media'])}.mp4"
        # what was asked for goes before the model's own
        assert line["parameters"] == {**SMALL, "fps": 6}, name
    _by_hand(rundir, base, made["trained"]["seed"], clips["trained"])


def _by_hand(rundir: RunDir, base: dict[str, object], seed: int, expected: bytes) -> None:
    """The adapter's own file and the line are enough to make the clip again."""
    assert (rundir.model / WEIGHTS).is_file()
    filmer = load_filmer({**base, "sampling": SMALL, "adapters": [str(rundir.model)]})
    assert filmer.film([PROMPTS[0]], seeds=[seed], sampling={"fps": 6}) == [expected]


def _frames(clip: bytes) -> list[av.VideoFrame]:
    with av.open(io.BytesIO(clip)) as opened:
        return list(opened.decode(video=0))
