"""``python -m evaluation.engine.captions RUN_DIR``: atomic-event scores of captions by a judge.

``run.json``: ``judge`` (a model's spec), ``clips`` (a list of ``clip``, a name, and ``reference``,
the full description), ``captions`` (a list of ``clip``, ``model``, ``text``), ``seed``. Verdicts
stand in ``verdicts.jsonl``, events and captions as they come, so that a run that is started again
asks nothing twice; the result has scores by model, and differences from the first model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from evaluation.engine.atomic_events import (
    NAMES,
    Verdict,
    caption_difference,
    caption_scores,
    events_question,
    read_events,
    read_verdict,
    verdict_question,
)
from evaluation.engine.words import WORDS
from steelyard.inference.interrupted import Interrupted
from steelyard.inference.loading import Writer, load_writer, sampling_of
from steelyard.lib import engine
from steelyard.lib.errors import UserError
from steelyard.lib.hashing import digest_of
from steelyard.lib.journal import Journal
from steelyard.lib.rundir import RunDir
from steelyard.lib.said import Said

SAMPLING = {"temperature": 0.0, "top_p": 1.0, "max_new_tokens": 2048}
TRIES = 2
"""How often a question is asked whose answer cannot be used."""


def score(rundir: RunDir, stop: engine.Stop) -> None:
    """
    Raises:
        UserError: ``no_events``: the judge's answers about all references cannot be used; or the
            judge cannot be asked.
    """
    spec = rundir.spec()
    judge = load_writer(spec["judge"], stop=lambda: bool(stop))
    try:
        with Journal(rundir.path / "verdicts.jsonl") as journal:
            asked = Asked(rundir, judge, sampling_of(spec["judge"], SAMPLING), journal)
            references = {clip["clip"]: clip["reference"] for clip in spec["clips"]}
            questions = {clip: events_question(text) for clip, text in references.items()}
            answers = asked.all("events", questions, lambda _, text: bool(read_events(text)))
            events = {clip: read_events(answer) for clip, answer in answers.items()}
            _check(rundir, events)
            verdicts = _verdicts(spec["captions"], events, asked)
    except Interrupted:
        return
    finally:
        judge.close()
    if not stop:
        rundir.finish(status="succeeded", **summary(verdicts, seed=spec.get("seed", 0)))


class Asked:
    """A judge whose answers are kept as they come."""

    def __init__(
        self, rundir: RunDir, judge: Writer, sampling: Mapping[str, Any], journal: Journal
    ) -> None:
        self.rundir, self.judge, self.sampling, self.journal = rundir, judge, sampling, journal
        self.known = {line["question"]: line["answer"] for line in journal.lines()}

    def all(self, what: str, questions: Mapping[Any, str], usable: Any) -> dict[Any, str]:
        """An answer to each question, by its key; the last one where none can be used.

        Args:
            usable: told the key and an answer.

        Raises:
            Interrupted: it is to stop.
        """
        found: dict[Any, str] = {}
        for attempt in range(TRIES):
            wanted = {
                key: digest_of([text, attempt])
                for key, text in questions.items()
                if key not in found or not usable(key, found[key])
            }
            fresh = [key for key, name in wanted.items() if name not in self.known]
            for some in _chunks(fresh, self.judge.batch_size):
                texts = self.judge.write(
                    [[{"role": "user", "content": questions[key]}] for key in some],
                    sampling=dict(self.sampling, temperature=0.7 if attempt else 0.0),
                    seeds=[attempt] * len(some),
                )
                for key, text in zip(some, texts, strict=True):
                    self.journal.add({"what": what, "question": wanted[key], "answer": text})
                    self.known[wanted[key]] = text
                self.rundir.progress(len(self.known), 0, "answers", what)
            found |= {key: self.known[name] for key, name in wanted.items()}
        return found


def summary(
    verdicts: Mapping[str, Sequence[tuple[str, Verdict | None]]], *, seed: int
) -> dict[str, Any]:
    """Scores by model, and what each differs from the first by.

    Args:
        verdicts: for each model (clip, verdict) pairs.
    """
    scores: dict[str, Any] = {}
    differences: dict[str, Any] = {}
    first: Sequence[tuple[str, Verdict | None]] = []
    for model, pairs in verdicts.items():
        clips, of = [clip for clip, _ in pairs], [verdict for _, verdict in pairs]
        if not any(verdict is not None for verdict in of):
            scores[model] = {"captions": 0, "invalid": len(of)}
            continue
        scores[model] = asdict(caption_scores(of, clips, seed=seed))
        if not first:
            first = pairs
            continue
        known = [verdict for _, verdict in first], [clip for clip, _ in first]
        try:
            told = caption_difference(of, clips, *known, seed=seed)
        except ValueError:
            continue
        differences[model] = {name: asdict(told[name]) for name in NAMES}
    return {"scores": scores, "differences": differences}


def _verdicts(
    captions: Sequence[dict[str, Any]], events: Mapping[str, list[str] | None], asked: Asked
) -> dict[str, list[tuple[str, Verdict | None]]]:
    questions = {
        number: verdict_question(known, caption["text"])
        for number, caption in enumerate(captions)
        if (known := events.get(caption["clip"]))
    }

    def read(number: int, answer: str) -> Verdict | None:
        return read_verdict(answer, events[captions[number]["clip"]] or [])

    answers = asked.all("verdicts", questions, read)
    found: dict[str, list[tuple[str, Verdict | None]]] = {}
    for number, caption in enumerate(captions):
        verdict = read(number, answers[number]) if number in answers else None
        found.setdefault(caption["model"], []).append((caption["clip"], verdict))
    return found


def _check(rundir: RunDir, events: Mapping[str, list[str] | None]) -> None:
    without = [clip for clip, known in events.items() if not known]
    if len(without) == len(events):
        raise UserError(
            Said(WORDS, "no_events", references=len(events)),
            code="no_events",
        )
    if without:
        rundir.event(
            Said(WORDS, "without_events", count=len(without), of=len(events)),
            "warning",
        )


def _chunks(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


if __name__ == "__main__":
    engine.run(score)
