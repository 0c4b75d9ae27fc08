"""How much a caption of a clip leaves out and makes up, event by event.

The metric of video-SALMONN 2 (Tang et al. 2025): a judge splits the reference caption into N atomic
events, then says which of them a caption lacks (M), which it tells wrongly (I), and what it tells
that did not happen (H). Missing is M / N, hallucination (I + H) / N, total their sum; lower is
better, and hallucination has no upper end. What is asked of the judge is in our own words. Pure:
whoever calls it asks the judge.
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

MOST_EVENTS = 200
DRAWS = 2000
NAMES = ("missing", "hallucination", "total")
_NUMBERED = re.compile(r"^\s*(?:[-*•]|\(?\d{1,3}[.):])\s+(.*\S)")
_NUMBER = re.compile(r"^\s*#?(\d{1,3})\b")


def events_question(reference: str) -> str:
    """What a judge is asked about a reference caption."""
    return (
        "Below is a full description of a video. Split it into atomic events: short sentences, "
        "each of one thing that happens, is there, is heard or is said, so that each can be "
        "checked by itself. Keep what the description says, add nothing, and leave out what it "
        "only supposes. "
        'Answer with JSON alone: {"events": ["…", "…"]}\n\n'
        f"Description:\n{reference.strip()}"
    )


def verdict_question(events: Sequence[str], caption: str) -> str:
    """What a judge is asked about a caption of the same clip."""
    numbered = "\n".join(f"{number}. {event}" for number, event in enumerate(events, start=1))
    return (
        "Below are the events of a video, numbered, and a caption of that video. Compare them.\n"
        "- missing: numbers of the events that the caption does not tell at all.\n"
        "- incorrect: numbers of the events that it tells wrongly, such as with another object, "
        "colour, count, order or place. An event is missing or incorrect, never both.\n"
        "- hallucinated: what the caption tells that is none of the events and does not follow "
        "from them, each in a few words. Mood and style count for nothing.\n"
        'Answer with JSON alone: {"missing": [2], "incorrect": [], "hallucinated": ["a dog barks"]}'
        f"\n\nEvents:\n{numbered}\n\nCaption:\n{caption.strip() or '(empty)'}"
    )


@dataclass(frozen=True)
class Verdict:
    """What a judge found in a caption."""

    events: int
    """N, at least 1."""
    missing: tuple[int, ...]
    """Numbers of events, from 1."""
    incorrect: tuple[int, ...]
    hallucinated: tuple[str, ...]

    @property
    def rates(self) -> tuple[float, float, float]:
        """Missing, hallucination and total, as shares of the reference's events."""
        missing = len(self.missing) / self.events
        made_up = (len(self.incorrect) + len(self.hallucinated)) / self.events
        return missing, made_up, missing + made_up


def read_events(answer: str) -> list[str] | None:
    """The events that a judge wrote, each once; None where there is no list of them.

    Takes JSON, fenced or with words around it, and lists with numbers or bullets.
    """
    found: Any = _json(answer)
    if isinstance(found, dict):
        found = next((value for value in found.values() if isinstance(value, list)), None)
    if not isinstance(found, list):
        lines = (_NUMBERED.match(line) for line in answer.splitlines())
        found = [match.group(1) for match in lines if match]
    texts = [" ".join(one.split()) for one in found if isinstance(one, str)]
    events = list(dict.fromkeys(text for text in texts if text))
    return events if 0 < len(events) <= MOST_EVENTS else None


def read_verdict(answer: str, events: Sequence[str]) -> Verdict | None:
    """What a judge said of a caption; None where its answer cannot be used.

    Events may be named by their number, by number and words, or by their words. One that is called
    both missing and incorrect is missing. A key that is absent stands for none.
    """
    found: Any = _json(answer)
    if not isinstance(found, dict):
        return None
    named = {str(key).strip().casefold(): value for key, value in found.items()}
    if not named.keys() & {"missing", "incorrect", "hallucinated"}:
        return None
    missing = _places(named.get("missing"), events)
    incorrect = _places(named.get("incorrect"), events)
    made_up = _texts(named.get("hallucinated"))
    if missing is None or incorrect is None or made_up is None:
        return None
    wrong = tuple(place for place in incorrect if place not in missing)
    return Verdict(len(events), missing, wrong, made_up)


@dataclass(frozen=True)
class Rate:
    """A mean over clips with its 95 % interval; None where one clip alone tells of no other."""

    mean: float
    lo: float | None
    hi: float | None


@dataclass(frozen=True)
class CaptionScores:
    missing: Rate
    hallucination: Rate
    total: Rate
    captions: int
    """With a verdict that could be used."""
    clips: int
    invalid: int
    """Without one; they are in no rate."""


def caption_scores(
    verdicts: Sequence[Verdict | None], clips: Sequence[Hashable], *, seed: int = 0
) -> CaptionScores:
    """Rates of one model's captions.

    Several captions of a clip are averaged within it, and clips are what is drawn anew for the
    intervals (percentile bootstrap).

    Args:
        verdicts: one a caption; None where the judge gave none that could be used.
        clips: the clip of each.

    Raises:
        ValueError: the two differ in length, or there is no verdict that can be used.
    """
    if len(verdicts) != len(clips):
        raise ValueError(f"{len(verdicts)} verdicts of {len(clips)} clips: give one a caption")
    usable = [(clip, v.rates) for clip, v in zip(clips, verdicts, strict=True) if v is not None]
    if not usable:
        raise ValueError("none of the judge's verdicts can be used")
    means = _by_clip([clip for clip, _ in usable], np.array([rates for _, rates in usable]))
    table = np.array(list(means.values()))
    missing, made_up, total = _rates(table, seed)
    invalid = len(verdicts) - len(usable)
    return CaptionScores(missing, made_up, total, len(usable), len(means), invalid)


def caption_difference(
    verdicts: Sequence[Verdict | None],
    clips: Sequence[Hashable],
    other: Sequence[Verdict | None],
    other_clips: Sequence[Hashable],
    *,
    seed: int = 0,
) -> dict[str, Rate]:
    """Rates of one model minus those of another on the clips that both have verdicts on, by name;
    below 0 the first one is better. Pairing by clip takes out that some clips are harder.

    Raises:
        ValueError: they have no clip in common.
    """
    sides = []
    for some, of in ((verdicts, clips), (other, other_clips)):
        usable = [(clip, v.rates) for clip, v in zip(of, some, strict=True) if v is not None]
        rates = np.array([rates for _, rates in usable]).reshape(-1, 3)
        sides.append(_by_clip([clip for clip, _ in usable], rates))
    both = [clip for clip in sides[0] if clip in sides[1]]
    if not both:
        raise ValueError("the two models have no clip in common")
    table = np.array([sides[0][clip] - sides[1][clip] for clip in both])
    return dict(zip(NAMES, _rates(table, seed), strict=True))


def _by_clip(clips: Sequence[Hashable], rates: np.ndarray) -> dict[Hashable, np.ndarray]:
    found: dict[Hashable, list[np.ndarray]] = {}
    for clip, of_one in zip(clips, rates, strict=True):
        found.setdefault(clip, []).append(of_one)
    return {clip: np.mean(some, axis=0) for clip, some in found.items()}


def _rates(table: np.ndarray, seed: int) -> list[Rate]:
    """
    Args:
        table: (clips, 3).
    """
    means = table.mean(axis=0)
    if len(table) < 2:
        return [Rate(float(mean), None, None) for mean in means]
    draw, even = np.random.default_rng(seed), np.full(len(table), 1 / len(table))
    # how often each clip is drawn, a hundred samples at a time
    parts = [draw.multinomial(len(table), even, size=100) @ table for _ in range(DRAWS // 100)]
    drawn = np.concatenate(parts) / len(table)
    lo, hi = np.percentile(drawn, [2.5, 97.5], axis=0)
    return [Rate(*map(float, each)) for each in zip(means, lo, hi, strict=True)]


def _json(answer: str) -> Any:
    """The first JSON object or list in an answer, whatever stands around it."""
    decoder = json.JSONDecoder()
    for match in re.finditer(r"[{\[]", answer):
        try:
            return decoder.raw_decode(answer, match.start())[0]
        except ValueError:
            continue
    return None


def _places(value: Any, events: Sequence[str]) -> tuple[int, ...] | None:
    """Numbers of events, each once and in order; None where something else is among them."""
    if value is None or (isinstance(value, str) and value.strip().casefold() in _NONE):
        return ()
    words = {event.casefold().rstrip("."): n for n, event in enumerate(events, start=1)}
    found = set()
    for one in value if isinstance(value, list) else [value]:
        place = one if isinstance(one, int) and not isinstance(one, bool) else None
        if isinstance(one, str):
            number = _NUMBER.match(one)
            place = words.get(" ".join(one.split()).casefold().rstrip("."))
            place = place or (int(number.group(1)) if number else None)
        if place is None or not 1 <= place <= len(events):
            return None
        found.add(place)
    return tuple(sorted(found))


def _texts(value: Any) -> tuple[str, ...] | None:
    if value is None or (isinstance(value, str) and value.strip().casefold() in _NONE):
        return ()
    some = value if isinstance(value, list) else [value]
    if not all(isinstance(one, str) for one in some):
        return None
    texts = [" ".join(one.split()) for one in some]
    return tuple(dict.fromkeys(t for t in texts if t.casefold() not in _NONE))


_NONE = frozenset({"", "none", "[]", "n/a", "no", "-"})
