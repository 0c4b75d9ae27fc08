"""What a scoring run means: which files the scorer is given, and what its numbers become."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid5

from django.conf import settings
from django.db import transaction

from annotation import reward_runner
from annotation.engine.words import WORDS
from annotation.juries import recount_with
from annotation.models import Annotator, Judgment, Outcome, Pair
from annotation.scores import spread_of, verdict_of
from annotation.titles import TITLES
from steelyard.assets.services import blob_path
from steelyard.inference.scorers.base import FRAMES, OF_TEXTS
from steelyard.lib.errors import UserError
from steelyard.lib.files import place_file
from steelyard.lib.said import Said
from steelyard.runs.models import Run
from steelyard.web.sealing import opened

engine = "annotation.engine.scoring"
words = {**WORDS, **TITLES}


def prepare(run: Run) -> dict[str, Any]:
    judge = _judge(run)
    if judge.scorer["kind"] in OF_TEXTS:
        return {**_told(run, judge), "pairs": reward_runner.readings(run, judge)}
    return {**_told(run, judge), "pairs": _files(run)}


def _told(run: Run, judge: Annotator) -> dict[str, Any]:
    return {
        "kind": "score",
        "modality": run.project.modality,
        "scorer": _spec(judge),
        "cache": str(settings.DATA_DIR / "cache" / "scores"),
    }


def _files(run: Run) -> list[dict[str, Any]]:
    pairs = Pair.objects.filter(project=run.project).with_content().in_bulk(run.spec["pairs"])
    asked = []
    for pk in run.spec["pairs"]:
        pair = pairs.get(pk)
        if pair is None or pair.output_a.asset is None or pair.output_b.asset is None:
            continue
        a, b = pair.output_a.asset.sha256, pair.output_b.asset.sha256
        for sha256 in (a, b):
            if blob_path(sha256).exists():
                place_file(blob_path(sha256), run.dir.media / sha256)
        asked.append({"pair": pk, "messages": pair.prompt.messages, "a": a, "b": b})
    return asked


def environment(run: Run) -> dict[str, str]:
    """A server's key goes to the engine this way: run.json stays readable to others."""
    judge = _judge(run)
    key = judge.scorer.get("api_key")
    return {judge.scorer_key_variable: opened(key)} if key else {}


def gpus(run: Run) -> int:
    return int(_judge(run).scorer["kind"] != "http")


def finish(run: Run, result: dict[str, Any]) -> None:
    _store(run)


def abandoned(run: Run) -> None:
    """What a failed or cancelled run has scored stays."""
    if run.dir.path.exists():
        _store(run)


def _judge(run: Run) -> Annotator:
    return Annotator.objects.get(pk=run.spec["judge"])


def _spec(judge: Annotator) -> dict[str, Any]:
    scorer = judge.scorer
    spec: dict[str, Any] = {
        "name": judge.name,
        "kind": scorer["kind"],
        "dimension": scorer.get("dimension", ""),
        "frames": scorer.get("frames", FRAMES),
    }
    if scorer["kind"] in OF_TEXTS:
        assert judge.model is not None
        spec |= {"model": judge.model.as_spec(), "top_k": scorer["top_k"]}
    elif scorer["kind"] == "http":
        spec["base_url"] = scorer["source"]
        if scorer.get("api_key"):
            spec["api_key_env"] = judge.scorer_key_variable
    elif scorer["kind"] == "command":
        command = settings.SCORERS.get(scorer["source"])
        if command is None:
            raise UserError(
                Said(WORDS, "no_scorer", scorer=scorer["source"]),
                code="unknown_scorer",
            )
        spec["command"] = command
    else:
        spec |= {"source": scorer["source"], "weights": scorer.get("weights", "")}
    return spec


@transaction.atomic
def _store(run: Run) -> None:
    """All at once, at the end: how much a difference says is known when all are. Judgments do not
    count in ``Pair.judged``: a scorer takes no place of a person's."""
    judge = _judge(run)
    lines = _lines(run)
    pairs = Pair.objects.filter(project=run.project).in_bulk([line["pair"] for line in lines])
    if judge.scorer["kind"] in OF_TEXTS:
        lines = reward_runner.chosen(lines, judge.scorer, pairs)
    mine = Judgment.objects.current().filter(annotator=judge).exclude(run=run)
    earlier = mine.filter(details__has_key="difference").values_list("details__difference")
    new = [_difference(line) for line in lines if "values" in line and "left_out" not in line]
    spread = spread_of([*(one for (one,) in earlier), *new])
    judgments = [
        _judgment(run, judge, pairs[line["pair"]], line, spread)
        for line in lines
        if line["pair"] in pairs
    ]
    # a verdict taken in before, or by another run of the same scorer, is left as it is
    Judgment.objects.bulk_create(judgments, ignore_conflicts=True, batch_size=1000)
    recount_with(judge)


def _lines(run: Run) -> list[dict[str, Any]]:
    path = run.dir.path / "scores.jsonl"
    if not path.exists():
        return []
    # a last line that a kill has cut short is no score
    whole = path.read_bytes().rpartition(b"\n")[0]
    return [json.loads(line) for line in whole.splitlines() if line]


def _difference(line: dict[str, Any]) -> float:
    """How much better a is than b."""
    a, b = line["values"]
    return a - b


def _judgment(
    run: Run, judge: Annotator, pair: Pair, line: dict[str, Any], spread: float
) -> Judgment:
    """What cannot be scored, or is left out, makes a skip, with why."""
    details: dict[str, Any]
    if line.get("invalid"):
        outcome, strength, details = str(Outcome.SKIP), 0, {"invalid": line["invalid"]}
    elif line.get("left_out"):
        outcome, strength = str(Outcome.SKIP), 0
        a, b = line["scores"]
        details = {"left_out": line["left_out"], "scores": {"a": a, "b": b}}
    else:
        difference = _difference(line)
        outcome, strength = verdict_of(difference, spread, judge.scorer["tie_band"])
        a, b = line["scores"]
        details = {
            "scores": {"a": a, "b": b},
            "dimension": line["dimension"],
            "difference": difference,
            "spread": spread,
            "scorer": line["version"],
        }
    return Judgment(
        uuid=uuid5(run.uuid, str(pair.pk)),
        project=run.project,
        pair=pair,
        annotator=judge,
        outcome=outcome,
        strength=strength,
        swapped=False,
        run=run,
        details=details,
    )
