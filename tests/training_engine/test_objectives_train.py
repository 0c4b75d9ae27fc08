"""Every objective trains a tiny model through the real loop."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from transformers import LlamaConfig

from steelyard.inference.text import load_causal_lm
from steelyard.lib.engine import Stop
from steelyard.lib.errors import UserError
from steelyard.lib.hashing import stable_uniform
from steelyard.lib.records import PreferenceRecord
from steelyard.lib.rundir import RunDir
from tests.training_engine.rows import events_of, make_record, metrics_of
from training.engine import text
from training.engine.config import RECIPES
from training.engine.distributed import World
from training.engine.revisions import write_revisions

MakeRun = Callable[..., RunDir]
STEPS = {"max_steps": 8, "batch_size": 4, "warmup_ratio": 0.0, "scheduler": "constant"}


def with_reason(number: int, **overrides: Any) -> PreferenceRecord:
    """A row whose one voter says why, but for every fourth, and which is a tie every seventh."""
    vote = {"judgment": str(number), "annotator": "rater", "kind": "person", "strength": 1}
    text = "It is right and short."
    values: dict[str, Any] = {
        "votes": [{**vote, "outcome": "a"}],
        "rationales": [{"annotator": "rater", "text": text, "tags": [], "evidence": []}],
    }
    if number % 4 == 0:
        values["rationales"] = []
    if number % 7 == 0:
        values |= {"outcome": "tie", "votes": [{**vote, "outcome": "tie"}]}
    return make_record(number, **{**values, **overrides})


def trained(make_run: MakeRun, recipe: str, name: str = "run", **options: Any) -> RunDir:
    records = options.pop("records", None) or [with_reason(n) for n in range(1, 25)]
    settings = {**STEPS, "max_length": 256, **options}
    rundir = make_run(name, records=records, spec={"recipe": recipe}, **settings)
    text.train(rundir, Stop(rundir))
    return rundir


@pytest.mark.parametrize(
    ("recipe", "options", "at_start"),
    [
        ("dpo", {"soft_labels": True, "sft_weight": 0.1, "ld_alpha": 0.5}, None),
        ("dpo", {"loss_type": "apo_zero", "weight_by": "agreement"}, 1.0),
        ("dpo", {"strength_offset": 0.1, "beta": 0.5}, None),
        ("simpo", {"soft_labels": True}, None),
        ("simpo", {"loss_type": "rrhf"}, None),
        ("orpo", {}, None),
        ("kto", {}, 0.5),
        ("rationale_dpo", {}, None),
        ("rationale_orpo", {"rationale_form": "code"}, None),
        ("srpo", {"batch_size": 2, "revisions": 0}, None),
    ],
    ids=[
        "dpo",
        "apo",
        "offset",
        "simpo",
        "rrhf",
        "orpo",
        "kto",
        "rationale_dpo",
        "rationale_orpo",
        "srpo",
    ],
)
def test_the_loss_falls_and_the_model_is_kept(
    make_run: MakeRun, recipe: str, options: dict[str, Any], at_start: float | None
) -> None:
    rundir = trained(make_run, recipe, **options)
    result = rundir.result()
    assert result is not None
    assert result["status"] == "succeeded"
    losses = list(metrics_of(rundir)["loss"].values())
    if at_start is not None:
        assert losses[0] == pytest.approx(at_start, abs=1e-3)
    # of the held-out rows, which are the same ones at start and end
    tested = metrics_of(rundir)["test_loss"]
    assert tested[8] < tested[0] - 0.01
    base = rundir.spec()["base"]["source"]
    load_causal_lm(base, adapters=[str(rundir.model)])


def test_reasons_are_learnt_and_counted(make_run: MakeRun) -> None:
    rundir = trained(make_run, "rationale_dpo", rationale_weight=1.0)
    values, result = metrics_of(rundir), rundir.result()
    assert result is not None
    # of 24 rows 6 have no reason and 3 are ties, of which nobody's is heard
    assert result["counts"]["with_rationale"] == 24 - 6 - 3
    assert result["counts"]["without_rationale"] == 9
    assert 0 < result["counts"]["rationale_chosen_first"] < result["counts"]["with_rationale"]
    said = list(values["rationale_loss"].values())
    assert said[-1] < said[0] - 0.2
    assert {"preference_loss", "length_rationale", "reward_accuracy"} <= values.keys()
    assert values["test_rationale_loss"][8] < values["test_rationale_loss"][0]


def test_the_order_of_the_answers_in_each_question_is_kept(make_run: MakeRun) -> None:
    rundir = trained(make_run, "rationale_dpo", max_steps=1)
    lines = [json.loads(line) for line in (rundir.path / "orders.jsonl").open()]
    counts = rundir.result()["counts"]  # type: ignore[index]
    assert len(lines) == counts["with_rationale"]
    assert sum(line["chosen_first"] for line in lines) == counts["rationale_chosen_first"]
    assert {line["pair"] for line in lines} <= {make_record(n).pair for n in range(1, 25)}


def test_reasons_and_reference_answers_are_learnt_together(make_run: MakeRun) -> None:
    records = [with_reason(n, reference_answer=f"It is {2 * n}!") for n in range(1, 13)]
    rundir = trained(make_run, "rationale_dpo", records=records, ground_truth_weight=1.0)
    values = metrics_of(rundir)
    tested = values["test_ground_truth_loss"]
    assert tested[8] < tested[0] - 0.2
    assert {"rationale_loss", "preference_loss"} <= values.keys()


@pytest.mark.parametrize("asked", [{"weight_by": "strength"}, {"strength_offset": 0.1}])
def test_strengths_that_no_verdict_has_are_not_learnt_from_in_silence(
    make_run: MakeRun, asked: dict[str, Any]
) -> None:
    records = [make_record(n, strength=0.0) for n in range(1, 9)]
    with pytest.raises(UserError, match="no row to train on has any") as caught:
        trained(make_run, "dpo", records=records, **asked)
    assert (caught.value.code, caught.value.field) == ("no_strengths", next(iter(asked)))


def test_reference_answers_guide_and_without_any_the_run_is_refused(make_run: MakeRun) -> None:
    records = [make_record(n, reference_answer=f"It is {2 * n}!" * (n % 3 > 0)) for n in range(16)]
    rundir = trained(make_run, "dpo", records=records, ground_truth_weight=1.0)
    values, result = metrics_of(rundir), rundir.result()
    assert result is not None
    counts = result["counts"]
    assert (counts["with_ground_truth"], counts["without_ground_truth"]) == (10, 6)
    tested = values["test_ground_truth_loss"]
    assert tested[8] < tested[0] - 0.2
    assert values["loss"][1] > 0.6931 + 0.5
    records = [make_record(n) for n in range(1, 9)]
    with pytest.raises(UserError, match="no prompt of the rows to train on has a reference"):
        trained(make_run, "dpo", "none", records=records, ground_truth_weight=1.0)


def test_with_no_reason_anywhere_it_is_dpo(make_run: MakeRun) -> None:
    records = [make_record(n) for n in range(1, 13)]
    one = trained(make_run, "rationale_dpo", "with", records=records)
    other = trained(make_run, "dpo", "without", records=records)
    assert metrics_of(one)["loss"] == pytest.approx(metrics_of(other)["loss"], abs=1e-6)
    assert one.result()["counts"]["without_rationale"] == 12  # type: ignore[index]


def test_a_reason_that_is_too_long_is_named(make_run: MakeRun) -> None:
    long = with_reason(3)
    long.rationales[0]["text"] = "Because it is right. " * 60
    records = [with_reason(1), with_reason(2), long, with_reason(5)]
    rundir = trained(
        make_run, "rationale_dpo", records=records, max_steps=1, drop_too_long=True, max_length=300
    )
    assert rundir.result()["counts"]["rationale_too_long"] == 1  # type: ignore[index]
    assert "Row 3 goes without its rationale" in events_of(rundir)


def test_ktos_drift_is_of_the_whole_step_however_it_is_cut(make_run: MakeRun) -> None:
    one = metrics_of(trained(make_run, "kto", "one", batch_size=4))
    cut = metrics_of(trained(make_run, "kto", "cut", batch_size=1, accumulation=4))
    assert one["kl_estimate"][1] == pytest.approx(0, abs=1e-4)
    assert max(one["kl_estimate"].values()) > 0.01
    for name in ("kl_estimate", "loss"):
        assert cut[name] == pytest.approx(one[name], abs=2e-4), name


def test_srpo_keeps_revisions_by_their_number(make_run: MakeRun) -> None:
    rundir = trained(make_run, "srpo", batch_size=2, max_steps=1, revisions=2, revised_prompts=2)
    lines = [json.loads(line) for line in (rundir.path / "revisions.jsonl").open()]
    assert [line["revision"] for line in lines] == [0, 1, 2] * 2
    assert len({line["prompt"] for line in lines}) == 2


def test_of_several_processes_the_first_writes_the_revisions(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"batch_size": 2, "max_steps": 1, "revisions": 1, "revised_prompts": 2}
    for rank in (0, 1):
        with monkeypatch.context() as patched:
            here = World(rank, 2, rank)
            patched.setattr(text, "world", lambda here=here: here)
            rundir = trained(make_run, "srpo", f"process {rank}", **options)
        assert (rundir.path / "revisions.jsonl").exists() == (rank == 0)


def test_prompts_about_pictures_are_not_answered_unseen(make_run: MakeRun) -> None:
    records = [with_reason(n) for n in range(1, 25)]
    shown = [replace(r, prompt_media=["0" * 64]) for r in records if r.split == "test"]
    rundir = make_run(records=records, spec={"recipe": "srpo"})
    model: Any = SimpleNamespace(config=LlamaConfig())
    assert write_revisions(rundir, model, None, shown, RECIPES["srpo"](), lambda: False)  # type: ignore[arg-type]
    assert not (rundir.path / "revisions.jsonl").exists()


def half_swapped(record: PreferenceRecord) -> PreferenceRecord:
    if record.split == "test" or stable_uniform("swap", record.pair) < 0.5:
        return record
    return replace(record, chosen=record.rejected, rejected=record.chosen)


def test_shuffled_labels_teach_nothing_that_holds_elsewhere(make_run: MakeRun) -> None:
    records = [make_record(n) for n in range(1, 51)]
    steps = {"max_steps": 12, "eval_every": 0}
    right = trained(make_run, "dpo", "right", records=records, **steps)
    wrong = trained(make_run, "dpo", "wrong", records=[half_swapped(r) for r in records], **steps)
    held_out = [metrics_of(run)["test_reward_margin"][12] for run in (right, wrong)]
    assert metrics_of(right)["test_reward_accuracy"][12] > 0.9
    assert held_out[1] < held_out[0] / 4
