"""Scoring: ``python -m annotation.engine.scoring RUN_DIR``.

Reads ``run.json`` (a scorer and pairs; what one that reads is to read, stands in
``data/readings.jsonl``, a line an output), writes ``scores.jsonl``, a line a pair, as they come.
Started again it goes on with the pairs that have no line. A score that is kept from an earlier run
of the same scorer on the same file and prompt is not computed again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from annotation.engine.words import WORDS
from steelyard.inference.prompts import picture_prompt
from steelyard.inference.scorers.answers import Reading
from steelyard.inference.scorers.base import (
    FRAMES,
    ITEM_ERRORS,
    OF_TEXTS,
    Item,
    Keyed,
    Scorer,
    open_scorer,
)
from steelyard.inference.scorers.kept import Kept
from steelyard.lib import engine
from steelyard.lib.engine import Stop
from steelyard.lib.errors import UserError
from steelyard.lib.journal import Journal
from steelyard.lib.rundir import RunDir
from steelyard.lib.said import Said

Pairs = Sequence[dict[str, Any]]


def work(rundir: RunDir, stop: Stop) -> None:
    spec = rundir.spec()
    rundir.progress(
        0, len(spec["pairs"]), "pairs", Said(WORDS, "loading", name=spec["scorer"]["name"])
    )
    with Journal(rundir.path / "scores.jsonl") as journal:
        done = list(journal.lines())
        seen = {line["pair"] for line in done}
        left = [pair for pair in spec["pairs"] if pair["pair"] not in seen]
        counts = {
            "scored": sum("values" in line for line in done),
            "unreadable": sum("invalid" in line for line in done),
            "kept": 0,
        }
        scorer = open_scorer(spec["scorer"])
        try:
            work_on = _Work(rundir, scorer, spec)
            for some in work_on.lines(left, stop):
                for line in some:
                    journal.add(line)
                    counts["unreadable" if "invalid" in line else "scored"] += 1
                done_by_now = counts["scored"] + counts["unreadable"]
                rundir.progress(done_by_now, len(spec["pairs"]), "pairs")
        finally:
            scorer.close()
    if stop:
        return
    counts["kept"] = work_on.found
    facts = scorer.facts
    rundir.event(
        Said(
            WORDS,
            "scored",
            scored=counts["scored"],
            dimension=work_on.dimension,
            unreadable=counts["unreadable"],
            kept=counts["kept"],
        )
    )
    rundir.finish(
        status="succeeded",
        counts=counts,
        scorer={
            "version": facts.version,
            "licence": facts.licence,
            "dimension": work_on.dimension,
            "higher_is_better": facts.higher_is_better,
        },
    )


class _Work:
    """A scorer at work on pairs, and what is known already."""

    def __init__(self, rundir: RunDir, scorer: Scorer, spec: dict[str, Any]) -> None:
        facts = scorer.facts
        if spec["modality"] not in facts.modality:
            raise UserError(
                Said(
                    WORDS,
                    "scores_other",
                    name=facts.name,
                    scored=" and ".join(facts.modality),
                    modality=spec["modality"],
                ),
                code="wrong_modality",
            )
        self.dimension = spec["scorer"].get("dimension") or next(iter(facts.higher_is_better))
        if self.dimension not in facts.higher_is_better:
            raise UserError(
                Said(
                    WORDS,
                    "no_dimension",
                    name=facts.name,
                    dimension=f"{self.dimension!r}",
                    known=", ".join(facts.higher_is_better),
                ),
                code="unknown_dimension",
            )
        self.sign = 1 if facts.higher_is_better[self.dimension] else -1
        self.rundir, self.scorer = rundir, scorer
        self.frames = spec["scorer"].get("frames", FRAMES)
        reads = spec["scorer"]["kind"] in OF_TEXTS
        self.readings = _readings(rundir) if reads else {}
        cache = spec.get("cache")
        self.kept = Kept(Path(cache) if cache else None, facts)
        self.found = 0
        self.bad: dict[str, str] = {}
        """Key of an item → why it cannot be scored."""

    def lines(self, pairs: Pairs, stop: Stop) -> Iterator[list[dict[str, Any]]]:
        at_a_time = max(1, self.scorer.batch_size // 2)
        for start in range(0, len(pairs), at_a_time):
            if stop:
                return
            some = pairs[start : start + at_a_time]
            items = {pair["pair"]: self._items(pair) for pair in some}
            self._score([item for two in items.values() for item in two])
            yield [self._line(pair, *items[pair["pair"]]) for pair in some]

    def _items(self, pair: dict[str, Any]) -> tuple[Keyed, Keyed]:
        if self.readings:
            return self.readings[pair["a"]], self.readings[pair["b"]]
        needed = self.scorer.facts.needs_prompt
        prompt = picture_prompt(pair["messages"]) if needed else ""
        a, b = (Item(self.rundir.media / pair[side], prompt, self.frames) for side in "ab")
        return a, b

    def _score(self, items: Sequence[Keyed]) -> None:
        new = {item.key: item for item in items if self.kept.get(item.key) is None}
        self.found += len({item.key for item in items}) - len(new)
        wanted = [item for key, item in new.items() if key not in self.bad]
        if wanted:
            self.kept.add(self._ask(wanted))

    def _ask(self, items: Sequence[Keyed]) -> dict[str, dict[str, float]]:
        """Together; where one of them is bad, one by one."""
        try:
            scores = self.scorer.score(items)
        except UserError as error:
            if error.code not in ITEM_ERRORS:
                raise
            if len(items) == 1:
                self.bad[items[0].key] = error.message
                return {}
            return {key: one for item in items for key, one in self._ask([item]).items()}
        return {item.key: one for item, one in zip(items, scores, strict=True)}

    def _line(self, pair: dict[str, Any], a: Keyed, b: Keyed) -> dict[str, Any]:
        scores = [self.kept.get(item.key) for item in (a, b)]
        first, second = scores
        if first is None or second is None:
            why = self.bad.get(a.key) or self.bad[b.key]
            self.rundir.event(Said(WORDS, "pair", pair=pair["pair"], why=why), "warning")
            return {"pair": pair["pair"], "invalid": why}
        return {
            "pair": pair["pair"],
            "scores": scores,
            "values": [self.sign * one[self.dimension] for one in (first, second)],
            "dimension": self.dimension,
            "version": self.scorer.facts.version,
        }


def _readings(rundir: RunDir) -> dict[int, Reading]:
    """By output."""
    found = {}
    with (rundir.data / "readings.jsonl").open(encoding="utf-8") as stream:
        for line in stream:
            one = json.loads(line)
            found[one["output"]] = Reading(one["messages"], one["answer"], one["passages"])
    return found


if __name__ == "__main__":
    engine.run(work)
