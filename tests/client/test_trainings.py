"""A script looks before it trains, pauses a run and lets it go on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from annotation.services.judging import create_judge
from steelyard.lib.records import tables_of
from steelyard.registry.services import commit_version
from steelyard.runs.models import Run
from steelyard.runs.services import start_run
from steelyard_client import Project, SteelyardError
from tests import factories
from tests.training.checkpointed import job_in, leave
from tests.training.conftest import make_record
from training.services import start_preflight

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_run_is_paused_resumed_and_tried_again(mine: Project, project: Any, owner: Any) -> None:
    row = start_run(project=project, kind="train", title="Train", spec={}, by=owner)
    run = mine.run(row.pk)
    assert run.pause().state == "paused"
    assert run.resume().state == "queued"
    with pytest.raises(SteelyardError, match="Only a failed run"):
        run.retry()
    Run.objects.filter(pk=row.pk).update(state="failed")
    assert run.retry().state == "queued"


def test_models_are_let_make_outputs_and_what_there_is_is_handed_over(
    mine: Project, project: Any, tmp_path: Path
) -> None:
    for name in ("base", "tuned"):
        factories.make_model(project, name, family="endpoint", source="http://127.0.0.1:9/v1")
    run = mine.generate(["base", "tuned"], prompts=["Why?"], samples=2, seed=5)
    made = Run.objects.get(pk=run.id)
    assert (made.kind, made.spec["samples"], made.spec["seed"]) == ("round", 2, 5)
    assert mine.generated(run.id) == []
    line = {"prompt": "k", "model": "base", "sample": 1, "seed": 7, "text": "So.", "parameters": {}}
    made.dir.create({"kind": "generate"})
    (made.dir.path / "outputs.jsonl").write_text(json.dumps(line) + "\n")
    (found,) = mine.generated(run.id)
    assert (found["text"], found["seed"], found["file"]) == ("So.", 7, "")
    (made.dir.path / "media/cat.png").write_bytes(b"a cat")
    line |= {"media": "media/cat.png", "text": None}
    (made.dir.path / "outputs.jsonl").write_text(json.dumps(line) + "\n")
    (found,) = mine.generated(run.id)
    assert mine.save_made(found["file"], tmp_path / "own.png").read_bytes() == b"a cat"


def test_what_a_run_has_revised_is_handed_over_and_a_judge_is_asked(
    mine: Project, project: Any, owner: Any
) -> None:
    row = start_run(project=project, kind="train", title="Train", spec={}, by=owner)
    row.dir.path.mkdir(parents=True)
    lines = [
        {"prompt": "k", "messages": [], "revision": number, "text": f"So {number}."}
        for number in range(2)
    ]
    told = "".join(json.dumps(line) + "\n" for line in lines)
    (row.dir.path / "revisions.jsonl").write_text(told)
    model = factories.make_model(
        project, "far", family="endpoint", source="http://127.0.0.1:9/v1", options={"model": "m"}
    )
    create_judge(project=project, name="strict", model=model, criteria="Be right.")
    assert mine.judge_revisions(row.pk, "strict").kind == "revisions"
    found = mine.revisions(row.pk)
    assert found["answers"][0]["texts"] == ["So 0.", "So 1."]
    assert [one["judge"] for one in found["judged"]] == ["strict"]


def test_the_report_of_a_look_is_handed_over(
    mine: Project, project: Any, owner: Any, tiny_lm: Path
) -> None:
    records = [make_record(number) for number in range(1, 11)]
    counts = {"rows": 10, "train": 8, "test": 2, "ties": 0, "votes": 10}
    version = commit_version(
        project=project, dataset_name="All", rows=tables_of(records), recipe={}, counts=counts
    )
    base = factories.make_model(project, "base", family="causal_lm", source=str(tiny_lm))
    look = start_preflight(
        project=project, version=version, base=base, recipe="dpo", config={}, by=owner
    )
    report = {"level": "fine", "findings": [], "preview": [], "figures": {}}
    Run.objects.filter(pk=look.pk).update(state="succeeded", result={"report": report})
    assert mine.preflight(version.pk, recipe="dpo", base="base") == report

    job = mine.train(version.pk, recipe="dpo", base="base", name="tuned")
    assert job.run.kind == "train"
    assert job.cancel().state in ("cancelling", "cancelled")


def test_checkpoints_are_listed_kept_and_let_go(
    mine: Project, project: Any, owner: Any, tiny_lm: Path
) -> None:
    job = job_in(project, owner, tiny_lm)
    (row,) = mine.training_jobs()
    assert mine.checkpoints(row) == []
    for step in (3, 6):
        leave(job, step)
    assert [(one.step, one.model) for one in mine.checkpoints(row)] == [(3, None), (6, None)]
    kept = mine.keep_checkpoints(row, [6])
    assert [(one.step, one.size, one.model) for one in kept] == [
        (3, 102, None),
        (6, 102, "better step 6"),
    ]
    assert {one.name: one.step for one in mine.models()}["better step 6"] == 6
    with pytest.raises(SteelyardError, match="no checkpoint of step 5"):
        mine.keep_checkpoints(row, [5])
    mine.let_checkpoint_go(row, 6)
    assert [one.step for one in mine.checkpoints(row)] == [3]
