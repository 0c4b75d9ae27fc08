"""Pairs of clips: each scene encoded twice, at different bit rates and frame rates."""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations
from typing import Any

import av
from PIL import Image

from steelyard.demo.engine.lines import OUTPUTS, append, asked, keep_media, prompts_done
from steelyard.demo.engine.scenes import RATE, SCENES, Scene
from steelyard.demo.engine.words import WORDS
from steelyard.lib.engine import Stop
from steelyard.lib.hashing import stable_int
from steelyard.lib.rundir import RunDir
from steelyard.lib.said import Said

ENCODINGS: dict[str, dict[str, int]] = {
    "700 kbit/s, 24 frames": {"kbits": 700, "every": 1},
    "200 kbit/s, 24 frames": {"kbits": 200, "every": 1},
    "80 kbit/s, 24 frames": {"kbits": 80, "every": 1},
    "700 kbit/s, 12 frames": {"kbits": 700, "every": 2},
    "200 kbit/s, 12 frames": {"kbits": 200, "every": 2},
    "200 kbit/s, 6 frames": {"kbits": 200, "every": 4},
}
"""Name, as the leaderboard shows it → bit rate, and which of a scene's frames are shown: all, every
second, every fourth."""


def make_clips(rundir: RunDir, stop: Stop) -> None:
    """Write a line a scene into ``outputs.jsonl``, with its two clips under ``media/``."""
    scenes = SCENES[: rundir.spec().get("limit")]
    done = prompts_done(rundir)
    pairings = _pairings()
    for number, scene in enumerate(scenes):
        if stop:
            return
        rundir.progress(number, len(scenes), "pairs", scene.text)
        if scene.text not in done:
            names = pairings[number % len(pairings)]
            append(rundir, OUTPUTS, _line(rundir, number, scene, names))
    rundir.progress(len(scenes), len(scenes), "pairs", Said(WORDS, "clips_ready"))
    rundir.finish(status="succeeded", counts={"pairs": len(scenes)})


def encode(frames: Sequence[Image.Image], *, rate: int, kbits: int) -> bytes:
    """An H.264 MP4 that every browser plays: 4:2:0, a key frame a second for quick seeking.

    Its index stands at the end; the store of files moves it to the front.

    Args:
        frames: RGB, of one size with even sides.
        rate: frames a second.
        kbits: kilobits a second, on average and, over a second, at most.
    """
    packed = io.BytesIO()
    # one thread: with more, the bytes would depend on the machine
    options = {
        "preset": "medium",
        "threads": "1",
        # x264's lookahead gives other bytes for the same frames now and then, one thread or not
        "x264-params": "rc-lookahead=0:mbtree=0:bframes=0",
        "maxrate": f"{kbits}k",
        "bufsize": f"{kbits}k",
    }
    with av.open(packed, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(rate), options=options)
        stream.width, stream.height = frames[0].size
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = kbits * 1000
        stream.gop_size = rate
        for image in frames:
            container.mux(stream.encode(av.VideoFrame.from_image(image)))
        container.mux(stream.encode(None))
    return packed.getvalue()


def _pairings() -> list[tuple[str, str]]:
    """Every two of the encodings, in an order that mixes them from the start."""
    return sorted(combinations(ENCODINGS, 2), key=lambda names: stable_int("clips", *names))


def _line(rundir: RunDir, number: int, scene: Scene, names: tuple[str, str]) -> dict[str, Any]:
    frames = list(scene.frames())
    line: dict[str, Any] = {
        "prompt": asked(scene.text),
        "category": scene.category,
        "held_out": False,
    }
    for side, name in zip("ab", names, strict=True):
        parameters = ENCODINGS[name]
        every = parameters["every"]
        data = encode(frames[::every], rate=RATE // every, kbits=parameters["kbits"])
        media = keep_media(rundir, f"{number:02}-{side}.mp4", data)
        line[side] = {"model": name, "media": media, "parameters": parameters}
    return line
