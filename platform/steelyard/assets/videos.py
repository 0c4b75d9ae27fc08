"""Videos: what they are, and the same streams in a fresh container that tells nothing else.

Packets are copied, never encoded again. Titles, comments, the encoder's name and its settings (an
SEI unit that x264 writes into the stream) are left behind; the index stands at the front, so that
a browser plays before it has the whole file.
"""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import av
from av.bitstream import BitStreamFilterContext
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from steelyard.assets.probing import MAX_SECONDS, Facts, check_size, refuse

_CONTAINER = {"h264": "mp4", "vp8": "webm", "vp9": "webm", "av1": "webm"}
_SOUND = {"mp4": {"aac", "mp3", "opus", "flac"}, "webm": {"opus", "vorbis"}}
_DECODERS = {"libdav1d": "av1", "libvpx": "vp8", "libvpx-vp9": "vp9", "libaom-av1": "av1"}
_NO_SEI = {"h264": "filter_units=remove_types=6"}


def clean(source: Path, target: Path) -> str:
    """Write the video and sound of ``source`` to ``target`` without metadata.

    Returns:
        ``video/mp4`` or ``video/webm``.

    Raises:
        UserError: there is no video in it, browsers cannot play it, or it is damaged.
    """
    try:
        with av.open(str(source), metadata_errors="ignore") as given:
            video = video_of(given)
            form = _CONTAINER.get(_codec(video), "")
            if not form:
                refuse(
                    f"Its video is coded as {_codec(video)}, which browsers do not play. Convert "
                    "it to H.264 (MP4) or VP9 (WebM).",
                    code="unplayable_video",
                )
            sound = _sound(given, form)
            with av.open(str(target), "w", format=form, options=_options(form)) as made:
                _copy(given, made, video, sound)
    except (FFmpegError, ValueError, EOFError):
        _damaged()
    return f"video/{form}"


def probe(path: Path, mime: str) -> Facts:
    """Decode the first frame and say what the video is.

    Raises:
        UserError: no frame can be decoded, or a frame has too many pixels.
    """
    try:
        with av.open(str(path), metadata_errors="ignore") as container:
            stream = video_of(container)
            check_size(stream.width, stream.height)
            frame = next(container.decode(stream), None)
            length = container.duration
            rate = stream.average_rate
    except (FFmpegError, ValueError, EOFError):
        _damaged()
    if frame is None or not length or length <= 0:
        _damaged()
    if length / av.time_base > MAX_SECONDS:
        refuse(
            f"This video says that it lasts {length / av.time_base / 3600:.1f} hours; at most "
            f"{MAX_SECONDS // 3600} are taken. Cut it shorter.",
            code="too_long",
        )
    turned = getattr(frame, "rotation", 0) % 180 == 90
    width, height = (frame.height, frame.width) if turned else (frame.width, frame.height)
    return Facts(
        kind="video",
        mime=mime,
        width=width,
        height=height,
        duration=round(length / av.time_base, 3),
        frame_rate=round(float(rate), 3) if rate else None,
    )


def _copy(
    given: InputContainer, made: OutputContainer, video: VideoStream, sound: list[Stream]
) -> None:
    streams = [video, *sound]
    to = {s.index: made.add_stream_from_template(s, opaque=True) for s in streams}
    for stream in to.values():
        stream.metadata.clear()
    units = _NO_SEI.get(_codec(video))
    # the filter changes how units are marked, so it tells the new stream as well
    without_sei = BitStreamFilterContext(units, video, to[video.index]) if units else None
    for packet in given.demux(streams):
        if packet.dts is None:  # the mark at the end of a stream
            continue
        if not packet.duration and packet.stream is video:
            packet.duration = _frame_length(video)
        if packet.stream is video and without_sei is not None:
            for part in without_sei.filter(packet):
                _put(made, part, to[video.index])
        else:
            _put(made, packet, to[packet.stream.index])
    for part in without_sei.filter(None) if without_sei is not None else []:
        _put(made, part, to[video.index])


def _frame_length(video: VideoStream) -> int:
    """In the stream's time base. A WebM may leave it out, and the last frame would last no time."""
    if not video.average_rate or not video.time_base:
        return 0
    return round(1 / (video.average_rate * video.time_base))


def _put(made: OutputContainer, packet: Packet, stream: Stream) -> None:
    packet.stream = stream
    made.mux(packet)


def video_of(container: InputContainer) -> VideoStream:
    """The stream that a player would show.

    Raises:
        UserError: there is none, or none that we can decode.
    """
    # a cover picture is a stream of one frame and no video
    for stream in container.streams.video:
        if stream.codec_context is None:
            refuse(
                "We have no decoder for its video. Convert it to H.264 (MP4) or VP9 (WebM).",
                code="unplayable_video",
            )
        if not stream.disposition & Disposition.attached_pic:
            return stream
    refuse("There is no video in this file. Send an MP4 or WebM with one.", code="no_video")


def _sound(container: InputContainer, form: str) -> list[Stream]:
    sound: list[Stream] = [*container.streams.audio[:1]]
    for stream in sound:
        name = stream.codec_context.codec.canonical_name if stream.codec_context else "unknown"
        if name not in _SOUND[form]:
            refuse(
                f"Its sound is coded as {name}, which does not go into {form.upper()}. Convert "
                f"the sound to {'AAC' if form == 'mp4' else 'Opus'} or leave it out.",
                code="unplayable_sound",
            )
    return sound


def _codec(stream: Stream) -> str:
    return stream.codec_context.codec.canonical_name


def _options(form: str) -> dict[str, str]:
    """Bit-exact: no encoder's name, no time, no random ids; the same input is the same file."""
    options = {"fflags": "+bitexact"}
    # the highest bit rate is a guess about the source, and another one of its copy
    return options | ({"movflags": "+faststart", "write_btrt": "0"} if form == "mp4" else {})


def _damaged() -> NoReturn:
    refuse(
        "This video is cut off or damaged and cannot be decoded. Export it again from its source.",
        code="damaged_media",
    )
