"""Clips whose frames can be told apart: each is a plain grey, a little lighter than the last."""

from __future__ import annotations

import io
from fractions import Fraction

import av
import numpy as np

FIRST, STEP, CYCLE = 24, 3, 75
"""Grey of frame 0, from each frame to the next, and after how many frames they begin anew."""


_RATE, _CHUNK = 48_000, 1024


def counted_clip(
    frames: int = 96, rate: int = 24, size: tuple[int, int] = (160, 96), *, sound: bool = False
) -> bytes:
    """An MP4 with a key frame each half second, and with a tone where sound is wanted."""
    packed = io.BytesIO()
    with av.open(packed, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(rate))
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.gop_size = rate // 2
        stream.options = {"crf": "8", "preset": "veryfast"}
        tone = container.add_stream("aac", rate=_RATE, layout="mono") if sound else None
        for number in range(frames):
            pixels = np.full((size[1], size[0], 3), FIRST + STEP * (number % CYCLE), np.uint8)
            # a rim that tells two clips of different sizes apart, and what their frame is
            pixels[:4], pixels[-4:], pixels[:, :4], pixels[:, -4:] = 200, 200, 200, 200
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
        if tone:
            for number in range(frames * _RATE // (rate * _CHUNK)):
                at = (np.arange(_CHUNK) + number * _CHUNK) / _RATE
                wave = (0.1 * np.sin(2 * np.pi * 440 * at)).astype(np.float32)
                chunk = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
                chunk.sample_rate, chunk.pts = _RATE, number * _CHUNK
                container.mux(tone.encode(chunk))
            container.mux(tone.encode(None))
    return packed.getvalue()


WATCH = """
() => {
    // at each refresh of the screen while both play: how far the clips are apart (seconds), and
    // whether the frames that they show are the same
    window.seen = {drifts: [], same: []};
    const videos = [...document.querySelectorAll(".clip > video")];
    const frames = new Map();
    for (const video of videos) {
        const shown = (_, frame) => {
            frames.set(video, frame.mediaTime);
            video.requestVideoFrameCallback(shown);
        };
        video.requestVideoFrameCallback(shown);
    }
    const look = () => {
        requestAnimationFrame(look);
        const stands = video => video.paused || video.ended || video.seeking;
        if (videos.some(stands)) return frames.clear();
        const [a, b] = videos.map(video => video.currentTime);
        seen.drifts.push(a - b);
        // a frame from before a pause or a jump says nothing of now
        if (frames.size === 2) seen.same.push(frames.get(videos[0]) - frames.get(videos[1]));
    };
    look();
}
"""
"""Run in the page: window.seen then holds the distances of both clips since."""
