"""The proxy of a video: one that starts at once, steps frame by frame and seeks in no time.

Frames stand on an even grid at the source's own rate, so that two clips of one rate step alike;
where the source's frames come unevenly, the one that a player would show is repeated.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
from av.audio.resampler import AudioResampler
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from av.filter import Graph
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from steelyard.assets import videos
from steelyard.assets.probing import Made, refuse

LONG_SIDE, SHORT_SIDE = 1280, 720
MAX_RATE = 120
MAX_FRAMES = 400_000
_X264 = {"preset": "veryfast", "tune": "fastdecode", "crf": "18"}
_SOUND_RATE = 48_000
_POSTER_QUALITY = 82
_TURN = {90: "transpose=cclock", 180: "hflip,vflip", 270: "transpose=clock"}


def poster_and_proxy(source: Path, folder: Path) -> list[Made]:
    """H.264 in MP4, yuv420p, at most 1280 × 720, a key frame every half second at least, the index
    in front, with AAC where there is sound; and its first frame as WebP.

    Raises:
        UserError: the video cannot be decoded, or is longer than a proxy is made of.
    """
    rough = folder / "rough"
    try:
        with (
            av.open(str(source), metadata_errors="ignore") as given,
            av.open(str(rough), "w", format="mp4", options={"fflags": "+bitexact"}) as made,
        ):
            poster = _Work(given, made, folder / "poster").run()
    except (FFmpegError, ValueError, EOFError) as error:
        refuse(f"The video cannot be decoded: {error}.", code="damaged_media")
    # leaves the encoder's name and settings behind, and puts the index in front
    videos.clean(rough, folder / "proxy")
    rough.unlink()
    facts = videos.probe(folder / "proxy", "video/mp4")
    proxy = Made("proxy", facts.mime, facts.width, facts.height, facts.duration, facts.frame_rate)
    return [poster, proxy]


class _Work:
    """One pass over the source: decode, bring to size, put on the grid, encode."""

    def __init__(self, given: InputContainer, made: OutputContainer, poster: Path) -> None:
        self.given, self.made, self.poster_path = given, made, poster
        self.source = videos.video_of(given)
        self.source.thread_count = 1
        self.rate = _rate(self.source)
        self.sound = next(iter(given.streams.audio), None)
        self.out: VideoStream | None = None
        self.out_sound = made.add_stream("aac", rate=_SOUND_RATE) if self.sound else None
        self.resampler = AudioResampler("fltp", "stereo", _SOUND_RATE)
        self.graph: Graph | None = None
        self.start: Fraction | None = None
        self.poster: Made | None = None
        self.held: VideoFrame | None = None
        self.until = Fraction(0)
        """Seconds up to which the frame held is shown."""
        self.slot = 0
        """Of the grid: the first that no frame has been written to."""

    def run(self) -> Made:
        streams = [stream for stream in (self.source, self.sound) if stream is not None]
        early: list[av.AudioFrame] = []  # sound from before it is known when the video starts
        for packet in self.given.demux(streams):
            for frame in packet.decode():
                if isinstance(frame, VideoFrame):
                    self._video(frame)
                elif isinstance(frame, av.AudioFrame):
                    early.append(frame)
            if self.start is not None:
                while early:
                    self._sound(early.pop(0))
        return self._end()

    def _video(self, frame: VideoFrame) -> None:
        time = _time(frame, self.slot / self.rate)
        if self.start is None:
            self.start = time
        small = self._sized(frame)
        if self.out is None:
            self.out = self._stream(small)
            self.poster = _poster(small, self.poster_path)
        self._fill(round((time - self.start) * self.rate))
        lasts = Fraction(frame.duration or 0) * Fraction(frame.time_base or 0)
        self.held, self.until = small, time - self.start + lasts

    def _fill(self, until: int) -> None:
        """Write the frame that is held to every slot before ``until``."""
        if until > MAX_FRAMES:
            refuse(
                f"It has more than {MAX_FRAMES:,} frames; a proxy is made of shorter videos only.",
                code="too_long",
            )
        while self.held is not None and self.slot < until:
            self._encode(self.held)

    def _encode(self, frame: VideoFrame) -> None:
        assert self.out is not None
        frame.pts, frame.time_base = self.slot, 1 / self.rate
        frame.pict_type = 0
        self.made.mux(self.out.encode(frame))
        self.slot += 1

    def _end(self) -> Made:
        if self.held is None or self.out is None or self.poster is None:
            refuse("No frame of the video can be decoded.", code="damaged_media")
        self._fill(max(self.slot + 1, round(self.until * self.rate)))
        self.made.mux(self.out.encode(None))
        if self.out_sound is not None and self.start is not None:
            for frame in self.resampler.resample(None):
                self.made.mux(self.out_sound.encode(frame))
            self.made.mux(self.out_sound.encode(None))
        return self.poster

    def _sized(self, frame: VideoFrame) -> VideoFrame:
        """Upright, with square pixels, in yuv420p."""
        if self.graph is None:
            self.graph = _graph(frame, self.source)
        self.graph.push(frame)
        small = self.graph.pull()
        assert isinstance(small, VideoFrame)
        return small

    def _stream(self, frame: VideoFrame) -> VideoStream:
        gop = max(1, int(self.rate / 2))
        keys = f"keyint={gop}:min-keyint=1:scenecut=0:bframes=0:threads=1"
        stream = self.made.add_stream("libx264", rate=self.rate, options=_X264)
        assert isinstance(stream, VideoStream)
        stream.options = {**_X264, "x264-params": keys}
        stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, "yuv420p"
        stream.time_base = stream.codec_context.time_base = 1 / self.rate
        stream.gop_size = gop
        stream.thread_count = 1
        context, told = stream.codec_context, self.source.codec_context
        context.color_range = 1  # limited, as every player takes it
        if "rgb" not in (told.pix_fmt or "") and "gbr" not in (told.pix_fmt or ""):
            context.colorspace = told.colorspace
            context.color_primaries, context.color_trc = told.color_primaries, told.color_trc
        return stream

    def _sound(self, frame: av.AudioFrame) -> None:
        assert self.out_sound is not None
        assert self.start is not None
        shifted = _time(frame, Fraction(0)) - self.start
        if shifted < 0:
            return
        frame.pts = round(shifted / frame.time_base) if frame.time_base else None
        for one in self.resampler.resample(frame):
            self.made.mux(self.out_sound.encode(one))


def _rate(source: VideoStream) -> Fraction:
    """The source's own where its frames come evenly, else the finest at which they all have a
    place, in reason."""
    for rate in (source.guessed_rate, source.average_rate):
        if rate and 0 < rate <= MAX_RATE:
            return Fraction(rate).limit_denominator(1001)
    return Fraction(MAX_RATE if source.average_rate else 25)


def _time(frame: VideoFrame | av.AudioFrame, otherwise: Fraction) -> Fraction:
    """In seconds."""
    if frame.pts is None or not frame.time_base:
        return otherwise
    return frame.pts * Fraction(frame.time_base)


def _graph(frame: VideoFrame, source: VideoStream) -> Graph:
    turn = frame.rotation % 360
    aspect = Fraction(source.sample_aspect_ratio or 1) or Fraction(1)
    width, height = frame.width * aspect, Fraction(frame.height)
    if turn % 180 == 90:
        width, height = height, width
    long, short = max(width, height), min(width, height)
    scale = min(Fraction(1), LONG_SIDE / long, SHORT_SIDE / short)
    size = f"{_even(width * scale)}:{_even(height * scale)}"
    steps = [
        *([_TURN[turn]] if turn in _TURN else []),
        f"scale={size}:flags=bicubic:out_range=limited",
        "format=yuv420p",
        "setsar=1",
    ]
    graph = Graph()
    graph.threads = 1
    chain = [graph.add_buffer(template=source), *_filters(graph, ",".join(steps))]
    chain.append(graph.add("buffersink"))
    graph.link_nodes(*chain).configure()
    return graph


def _filters(graph: Graph, text: str) -> Iterator[av.filter.context.FilterContext]:
    for step in text.split(","):
        name, _, arguments = step.partition("=")
        yield graph.add(name, arguments or None)


def _even(length: Fraction) -> int:
    return max(2, round(length / 2) * 2)


def _poster(frame: VideoFrame, path: Path) -> Made:
    image = frame.to_image()
    image.save(path, "WEBP", quality=_POSTER_QUALITY, method=4)
    return Made("poster", "image/webp", *image.size)
