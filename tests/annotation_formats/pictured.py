"""Frozen records of pictures and clips to write, and the files that they name."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from annotation.formats.base import Format, MediaFile, Writing
from steelyard.lib.hashing import digest_of
from steelyard.lib.records import PreferenceRecord
from tests.annotation_formats.frozen import record, user, vote

MEDIA = Path(__file__).parent / "golden" / "media"
_MIME = {".png": "image/png", ".jpg": "image/jpeg", ".mp4": "video/mp4"}


def sha(name: str) -> str:
    return sha256((MEDIA / name).read_bytes()).hexdigest()


def _file(path: Path) -> MediaFile:
    clip = path.suffix == ".mp4"
    return MediaFile(
        path,
        _MIME[path.suffix],
        f"{sha(path.name)}{path.suffix}",
        duration=0.5 if clip else None,
        frame_rate=8.0 if clip else None,
    )


FILES = {sha(path.name): _file(path) for path in MEDIA.iterdir()}


def _compared(asked: str, chosen: str, rejected: str, **more: Any) -> PreferenceRecord:
    files = (sha(chosen), sha(rejected))
    return record(
        user(asked),
        "",
        "",
        pair=digest_of([asked, *files]),
        modality="video" if chosen.endswith("mp4") else "image",
        chosen_media=files[0],
        rejected_media=files[1],
        **more,
    )


_VOTES = [vote("rater", "b", 3), vote("robot", "a", -1, "judge"), vote("scorer", "b", 2)]
_WHY = [{"annotator": "rater", "text": "It is “sharp”.\n\nThe other blurs.", "tags": ["sharp"]}]
_TIED = [vote("rater", "tie"), vote("scorer", "both_bad"), vote("robot", "skip")]

WIN_B = _compared(
    "A kite, red\nas ölig fire",
    "red.png",
    "green.jpg",
    category="kites",
    chosen_side="b",
    strength=2.0,
    votes=_VOTES,
    rationales=_WHY,
)
TIE = _compared("A sea", "blue.png", "red.png", outcome="tie", strength=0.0, votes=_TIED)
BARE = _compared("A lake", "blue.png", "green.jpg", strength=0.4)
EDITED = replace(
    _compared("Make it blue", "blue.png", "green.jpg", votes=[vote("rater", "a", -2)]),
    prompt_media=[sha("red.png")],
)
IMAGES = {"win_b": WIN_B, "tie": TIE, "bare": BARE, "edited": EDITED}
CLIP_B = _compared(
    "Waves, at dusk",
    "sky.mp4",
    "sea.mp4",
    chosen_side="b",
    strength=2.0,
    votes=_VOTES,
    rationales=_WHY,
    aspects={"Visual quality": 1.5, "motion quality": -0.5, "fun": 3.0},
)
CLIP_TIE = _compared("Wind", "sky.mp4", "sea.mp4", outcome="tie", strength=0.0, votes=_TIED)
CLIP_BARE = _compared("Rain", "sea.mp4", "sky.mp4", strength=0.4)
VIDEOS = {"win_b": CLIP_B, "tie": CLIP_TIE, "bare": CLIP_BARE}


def records_of(format: Format) -> dict[str, PreferenceRecord]:
    """The records of pictures where the format has these, else those of clips."""
    return IMAGES if "image" in format.modalities else VIDEOS


def writing_of(format: Format, **options: str) -> Writing:
    return format.writing(options, FILES.__getitem__)
