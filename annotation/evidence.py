"""What a rationale points at, and verdicts on parts of a video: checked against what the outputs
really are, and turned between the places of the screen and a pair's own sides.

Pure: no database, no Django. An error names the item by its number, from 1, and says what would be
right.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from steelyard.lib.errors import UserError

MAX_ITEMS = 50
MAX_SEGMENTS = 200
NOTE_LIMIT = 500
SHORTEST_SEGMENT = 0.1
"""Seconds."""
CLOCK_TOLERANCE = 0.1
"""Seconds by which a player's clock may run past the end that was measured in the file."""
EDGE_TOLERANCE = 1e-4
"""By how much of a picture's width or height a box may stand over its edge, from rounding."""

_FLIP = {"a": "b", "b": "a"}
_WHERE = {
    "span": {"start", "end", "quote"},
    "box": {"x", "y", "width", "height", "at"},
    "time": {"start", "end"},
}
_ANY = {"kind", "note", "says"}
_LONGEST = 24 * 3600.0


@dataclass(frozen=True)
class Shown:
    """What one output offers to point at."""

    text: str = ""
    """The Markdown source; empty where the output is a file."""
    kind: str = ""
    """image or video; empty for a text."""
    duration: float | None = None
    """Of a clip, in seconds, where known."""


def checked_evidence(
    items: Any, sides: Mapping[Any, Shown], *, where: str = "side"
) -> list[dict[str, Any]]:
    """The items as they are stored, if each points at something that is there.

    Args:
        items: ``{"side", "kind": "span", "start", "end", "quote"}`` with offsets in code points of
            the text (a missing quote is filled in), ``{"side", "kind": "box", "x", "y", "width",
            "height"}`` in fractions of the picture (on a clip also ``at``, in seconds), ``{"side",
            "kind": "time", "start", "end"}`` in seconds; each may have a ``note`` and ``says``
            (good or bad).
        sides: what a and b are, or the outputs of a set by their numbers.
        where: what an item calls that: ``side`` of a pair, ``output`` of a set.

    Raises:
        UserError: naming the item's number.
    """
    if not isinstance(items, list):
        raise _wrong("evidence", "it must be a list of items.")
    if len(items) > MAX_ITEMS:
        raise _wrong("evidence", f"there are {len(items)} items; at most {MAX_ITEMS} are taken.")
    return [_checked_item(number, item, sides, where) for number, item in enumerate(items, 1)]


def evidence_on_sides(
    items: Iterable[dict[str, Any]], sides: Mapping[int, str]
) -> list[dict[str, Any]]:
    """Of what points into a set's outputs, that which points into the two of a pair, by side.

    Args:
        sides: by the outputs' numbers, a and b.
    """
    return [
        {"side": sides[item["output"]], **{key: item[key] for key in item if key != "output"}}
        for item in items
        if item["output"] in sides
    ]


def checked_segments(items: Any, sides: Mapping[str, Shown], *, top: int) -> list[dict[str, Any]]:
    """Verdicts on parts of a video as they are stored, if they agree with the clips.

    Args:
        items: ``{"start", "end", "outcome": a|b|tie, "strength"}``, seconds, one after the other.
        top: the highest strength of the project's scale.

    Raises:
        UserError: naming the segment's number.
    """
    if not isinstance(items, list):
        raise _wrong("segments", "it must be a list of segments.")
    if len(items) > MAX_SEGMENTS:
        raise _wrong(
            "segments", f"there are {len(items)} segments; at most {MAX_SEGMENTS} are taken."
        )
    end = min((s.duration for s in sides.values() if s.duration is not None), default=_LONGEST)
    stored: list[dict[str, Any]] = []
    for number, item in enumerate(items, 1):
        segment = _checked_segment(number, item, end, top)
        if stored and segment["start"] < stored[-1]["end"]:
            raise _wrong(
                f"segment {number}",
                f"it starts at {segment['start']:g} s, before segment {number - 1} ends "
                f"({stored[-1]['end']:g} s); segments follow one another.",
                field="segments",
            )
        stored.append(segment)
    return stored


def turned_evidence(items: Any, swapped: bool) -> Any:
    """From places to sides, or back; what is malformed is left for the check to name."""
    if not swapped or not isinstance(items, list):
        return items
    return [
        {**item, "side": _FLIP[item["side"]]}
        if isinstance(item, dict) and item.get("side") in ("a", "b")
        else item
        for item in items
    ]


def turned_segments(items: Any, swapped: bool) -> Any:
    """From places to sides, or back; what is malformed is left for the check to name."""
    if not swapped or not isinstance(items, list):
        return items
    return [_turned_segment(item) if isinstance(item, dict) else item for item in items]


def _turned_segment(item: dict[str, Any]) -> dict[str, Any]:
    outcome, strength = item.get("outcome"), item.get("strength")
    turned = dict(item)
    if outcome in ("a", "b"):
        turned["outcome"] = _FLIP[outcome]
    if isinstance(strength, int | float):
        turned["strength"] = -strength
    return turned


def settled_strength(outcome: Any, strength: Any, top: int) -> int:
    """The strength that goes with an outcome: 0 with a or b is one step.

    Raises:
        ValueError: they contradict each other, saying how.
    """
    if not isinstance(strength, int) or isinstance(strength, bool) or not -top <= strength <= top:
        raise ValueError(f"strength is {_told(strength)}; it must be from -{top} to {top}.")
    if outcome not in ("a", "b"):
        if strength:
            raise ValueError(f"outcome {outcome} has no strength; leave it 0.")
        return 0
    sign = -1 if outcome == "a" else 1
    if strength * sign < 0:
        raise ValueError(
            f"outcome {outcome} does not go with strength {strength}: negative means that a is "
            "better."
        )
    return strength or sign


def _checked_item(number: int, item: Any, sides: Mapping[Any, Shown], where: str) -> dict[str, Any]:
    place = f"evidence {number}"
    if not isinstance(item, dict):
        raise _wrong(place, f"it is {_told(item)}; it must be an object with {where} and kind.")
    side, kind = item.get(where), item.get("kind")
    # a truth value is a number to Python, and a list can be looked up in no mapping
    if not isinstance(side, str | int) or isinstance(side, bool) or side not in sides:
        known = " or ".join(map(str, sorted(sides)))
        raise _wrong(place, f"{where} is {_told(side)}; it must be {known}.")
    if kind not in ("span", "box", "time"):
        raise _wrong(place, f"kind is {_told(kind)}; it must be span, box or time.")
    mine = {where} | _ANY | _WHERE[kind]
    if unknown := sorted(str(key) for key in item.keys() - mine):
        known = ", ".join(sorted(mine))
        raise _wrong(place, f"a {kind} has no {_told(unknown[0])}; it may have {known}.")
    check = {"span": _span, "box": _box, "time": _time}[kind]
    spot = check(place, item, f"{where} {side}", sides[side])
    return {where: side, "kind": kind, **spot, **_remarks(place, item)}


def _remarks(place: str, item: dict[str, Any]) -> dict[str, str]:
    note, says = item.get("note"), item.get("says")
    if note is not None and (not isinstance(note, str) or len(note) > NOTE_LIMIT):
        raise _wrong(place, f"note must be a text of at most {NOTE_LIMIT} characters.")
    if note and not _is_text(note):
        raise _wrong(place, "note contains characters that no text has (NUL or half a pair).")
    if says not in (None, "", "good", "bad"):
        raise _wrong(place, f"says is {_told(says)}; it must be good or bad.")
    said = {"note": (note or "").strip(), "says": says or ""}
    return {key: value for key, value in said.items() if value}


def _span(place: str, item: dict[str, Any], side: str, shown: Shown) -> dict[str, Any]:
    if not shown.text:
        raise _wrong(place, f"{side} has no text; mark {_instead(shown)} there.")
    start, end = item.get("start"), item.get("end")
    for name, value in (("start", start), ("end", end)):
        if not isinstance(value, int) or isinstance(value, bool):
            raise _wrong(place, f"{name} is {_told(value)}; it must be a whole number.")
    assert isinstance(start, int)
    assert isinstance(end, int)
    if not 0 <= start < end <= len(shown.text):
        raise _wrong(
            place,
            f"{_told(start)} to {_told(end)} is not in the text of {side}, which has "
            f"{len(shown.text)} characters; 0 ≤ start < end ≤ {len(shown.text)}.",
        )
    there = shown.text[start:end]
    if item.get("quote", there) != there:
        raise _wrong(
            place,
            f"the quote is not what stands at {start} to {end} of {side}: “{there[:60]}”. "
            "Offsets count the code points of its Markdown source.",
        )
    return {"start": start, "end": end, "quote": there}


def _box(place: str, item: dict[str, Any], side: str, shown: Shown) -> dict[str, Any]:
    if shown.kind not in ("image", "video"):
        raise _wrong(place, f"{side} has no picture; mark {_instead(shown)} there.")
    box = {}
    for name in ("x", "y", "width", "height"):
        if not _within(item.get(name), 0, 1):
            raise _wrong(
                place,
                f"{name} is {_told(item.get(name))}; it must be a fraction of the picture, "
                "from 0 to 1.",
            )
        box[name] = float(item[name])
    for begin, size in (("x", "width"), ("y", "height")):
        if box[size] <= 0:
            raise _wrong(place, f"the box has no {size}.")
        if box[begin] + box[size] > 1 + EDGE_TOLERANCE:
            raise _wrong(place, f"the box leaves the picture: {begin} + {size} must be at most 1.")
        box[size] = min(box[size], 1 - box[begin])
    box = {name: round(value, 5) for name, value in box.items()}
    if item.get("at") is None:
        return box
    if shown.kind != "video":
        raise _wrong(place, "at is the second of a clip; a picture has none.")
    end = _end_of(shown)
    if not _within(item["at"], 0, end + CLOCK_TOLERANCE):
        raise _wrong(place, f"at is {_told(item['at'])}; the clip lasts {end:g} s.")
    return {**box, "at": round(min(item["at"], end), 3)}


def _time(place: str, item: dict[str, Any], side: str, shown: Shown) -> dict[str, Any]:
    if shown.kind != "video":
        raise _wrong(place, f"{side} is no clip; mark {_instead(shown)} there.")
    start, end = _range(place, item, _end_of(shown), field="evidence")
    return {"start": start, "end": end}


def _range(place: str, item: dict[str, Any], last: float, field: str) -> tuple[float, float]:
    """A range of a clip, in seconds to the millisecond."""
    for name in ("start", "end"):
        if not _within(item.get(name), 0, last + CLOCK_TOLERANCE):
            raise _wrong(
                place,
                f"{name} is {_told(item.get(name))}; it must be a time in seconds within the "
                f"clip, from 0 to {last:g}.",
                field=field,
            )
    start, end = (round(min(float(item[name]), last), 3) for name in ("start", "end"))
    if start >= end:
        raise _wrong(
            place, f"it ends at {end:g} s, not after its start ({start:g} s).", field=field
        )
    return start, end


def _checked_segment(number: int, item: Any, last: float, top: int) -> dict[str, Any]:
    place = f"segment {number}"
    if not isinstance(item, dict):
        raise _wrong(
            place,
            f"it is {_told(item)}; it must be an object with start, end and outcome.",
            field="segments",
        )
    known = {"start", "end", "outcome", "strength"}
    if unknown := sorted(str(key) for key in item.keys() - known):
        raise _wrong(
            place,
            f"it has no {_told(unknown[0])}; it may have end, outcome, start, strength.",
            field="segments",
        )
    start, end = _range(place, item, last, field="segments")
    if end - start < SHORTEST_SEGMENT - 1e-9:
        raise _wrong(
            place,
            f"it lasts {end - start:.3f} s; a segment lasts at least {SHORTEST_SEGMENT} s.",
            field="segments",
        )
    outcome = item.get("outcome")
    if outcome not in ("a", "b", "tie"):
        raise _wrong(
            place, f"outcome is {_told(outcome)}; it must be a, b or tie.", field="segments"
        )
    try:
        strength = settled_strength(outcome, item.get("strength", 0), top)
    except ValueError as error:
        raise _wrong(place, str(error), field="segments") from None
    return {"start": start, "end": end, "outcome": outcome, "strength": strength}


def _end_of(shown: Shown) -> float:
    return _LONGEST if shown.duration is None else shown.duration


def _instead(shown: Shown) -> str:
    return {"image": "a box", "video": "a time range or a box"}.get(shown.kind, "a span")


def _within(value: Any, low: float, high: float) -> bool:
    """Whether it is a number of that range; no NaN is, and no truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def _is_text(value: str) -> bool:
    """Whether a database can store it."""
    return "\0" not in value and not any("\ud800" <= c <= "\udfff" for c in value)


def _told(value: Any) -> str:
    """A value as an error can name it: short, and of characters that can be sent."""
    try:
        written = ascii(value) if isinstance(value, str) and not _is_text(value) else repr(value)
    except (ValueError, RecursionError):
        return "too large a value"  # a number of thousands of digits cannot be written out
    written = ascii(value) if not _is_text(written) else written
    return written if len(written) <= 40 else f"{written[:39]}…"


def _wrong(place: str, problem: str, field: str = "") -> UserError:
    field = field or place.split()[0]
    return UserError(f"{place}: {problem}", code=f"bad_{field}", field=field)
