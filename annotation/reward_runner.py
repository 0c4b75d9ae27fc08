"""What a scoring run means where the scorer reads: what goes before the answer, and which pairs get
a verdict."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from annotation.models import Annotator, Output, Pair, Retrieved
from steelyard.runs.models import Run

Line = dict[str, Any]


def readings(run: Run, judge: Annotator) -> list[dict[str, Any]]:
    """Write what is read of each output into the run's folder; the pairs as the engine is told of
    them."""
    pairs = Pair.objects.filter(project=run.project).with_content().in_bulk(run.spec["pairs"])
    wanted = [pairs[pk] for pk in run.spec["pairs"] if pk in pairs]
    outputs = {output.pk for pair in wanted for output in (pair.output_a, pair.output_b)}
    reads_passages = judge.scorer["reads"] == "passages"
    rows = Retrieved.objects.filter(output__in=outputs) if reads_passages else []
    found = {row.output_id: row.passages for row in rows}
    written = set()
    run.dir.data.mkdir(parents=True, exist_ok=True)
    with (run.dir.data / "readings.jsonl").open("w", encoding="utf-8") as stream:
        for pair in wanted:
            for output in (pair.output_a, pair.output_b):
                if output.pk in written:
                    continue
                written.add(output.pk)
                own = [{"text": output.text, "score": 0.0}]
                passages = found.get(output.pk, []) if reads_passages else own
                line = _reading(pair, output, passages)
                stream.write(json.dumps(line, ensure_ascii=False) + "\n")
    return [{"pair": one.pk, "a": one.output_a_id, "b": one.output_b_id} for one in wanted]


def _reading(pair: Pair, output: Output, passages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "output": output.pk,
        "messages": pair.prompt.messages,
        "answer": pair.prompt.reference_answer,
        "passages": passages,
    }


def chosen(lines: list[Line], scorer: Mapping[str, Any], pairs: Mapping[int, Pair]) -> list[Line]:
    """The lines, with ``left_out`` and why in those that make no verdict: of a prompt's pairs all
    but the one whose scores are farthest apart, and those that are closer than the margin."""
    farthest: dict[int, Line] = {}
    if scorer["choose"] == "farthest":
        for line in lines:
            if "values" not in line or line["pair"] not in pairs:
                continue
            best = farthest.setdefault(pairs[line["pair"]].prompt_id, line)
            if _apart(line) > _apart(best):
                farthest[pairs[line["pair"]].prompt_id] = line
    kept = {line["pair"] for line in farthest.values()}
    made = []
    for line in lines:
        why = ""
        if "values" in line:
            if _apart(line) < scorer["margin"]:
                why = "closer than the margin"
            elif scorer["choose"] == "farthest" and line["pair"] not in kept:
                why = "not the farthest apart of its prompt"
        made.append({**line, "left_out": why} if why else line)
    return made


def _apart(line: Line) -> float:
    a, b = line["values"]
    return abs(a - b)
