"""Rounds of preference training, and learning answers as they are."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file

from steelyard.inference.text import load_causal_lm
from steelyard.lib.engine import Stop
from steelyard.lib.errors import UserError
from steelyard.lib.rundir import RunDir
from tests.training_engine.rows import events_of, make_record, metrics_of
from tests.training_engine.seeing import go
from training.engine import rounds, text
from training.engine.__main__ import train

Make = Callable[..., RunDir]
LN2 = 0.693147


def logits_of(base: Path, adapters: list[Path]) -> torch.Tensor:
    model, _ = load_causal_lm(str(base), adapters=[str(folder) for folder in adapters])
    with torch.no_grad():
        return model(input_ids=torch.arange(40)[None]).logits


@pytest.mark.parametrize("rslora", [False, True])
def test_it_works(make_run: Make, tiny_lm: Path, rslora: bool) -> None:
    """Each round begins even with its own reference; what is kept equals all adapters in turn."""
    rundir = make_run(rounds=3, max_steps=3, learning_rate=3e-3, rslora=rslora)
    result, metrics = go(rundir), metrics_of(rundir)
    assert (result["status"], result["form"]) == ("succeeded", "adapter")
    assert (result["counts"]["steps"], result["counts"]["rounds"]) == (9, 3)
    assert list(metrics["loss"]) == list(range(1, 10))
    for first in (1, 4, 7):
        assert metrics["loss"][first] == pytest.approx(LN2, abs=1e-5)
        assert metrics["loss"][first + 2] < LN2
    made = [rundir.path / "rounds" / str(number) / "model" for number in (1, 2, 3)]
    want = logits_of(tiny_lm, made)
    torch.testing.assert_close(logits_of(tiny_lm, [rundir.model]), want, atol=1e-5, rtol=0)
    assert not torch.allclose(logits_of(tiny_lm, made[:2]), want, atol=1e-3)
    # and PEFT by itself loads it as any other
    model, _ = load_causal_lm(str(tiny_lm))
    with torch.no_grad():
        laid: Any = PeftModel.from_pretrained(model, str(rundir.model))
        seen = laid(input_ids=torch.arange(40)[None]).logits
    torch.testing.assert_close(seen, want, atol=1e-5, rtol=0)
    assert json.loads((rundir.model / "adapter_config.json").read_text())["r"] == 12
    assert "Round 3: " in events_of(rundir)


def test_a_run_that_is_killed_goes_on_within_its_round(make_run: Make) -> None:
    settings = {"rounds": 2, "max_steps": 4, "checkpoint_every": 1}
    whole = make_run("whole", **settings)
    digest = go(whole)["digest"]
    cut = make_run("cut", **settings)
    stop = Stop(cut)

    def stopped_in_the_second(one: RunDir, given: Any) -> None:
        if one.path.name == "2":
            plain = one.metric

            def counted(step: int, **values: float) -> None:
                plain(step, **values)
                if step == 2:
                    stop.terminate()

            object.__setattr__(one, "metric", counted)
        text.train(one, given)

    rounds.train(cut, stop, stopped_in_the_second)
    assert cut.result() is None
    assert (cut.path / "rounds" / "1" / "result.json").exists()
    assert list((cut.path / "rounds" / "2" / "checkpoints").glob("step-*"))
    assert go(cut)["digest"] == digest
    assert metrics_of(cut)["loss"] == metrics_of(whole)["loss"]
    assert load_file(cut.model / "adapter_model.safetensors").keys()


def test_rounds_need_an_adapter(make_run: Make) -> None:
    rundir = make_run(rounds=2, train="all")
    with pytest.raises(UserError) as caught:
        train(rundir, Stop(rundir))
    assert (caught.value.code, caught.value.field) == ("bad_setting", "rounds")


def test_chosen_answers_are_learnt_as_they_are(make_run: Make) -> None:
    records = [make_record(n, outcome="tie" if n == 3 else "win") for n in range(1, 13)]
    rundir = make_run(records=records, spec={"recipe": "sft"}, epochs=4.0)
    result, metrics = go(rundir), metrics_of(rundir)
    assert result["status"] == "succeeded"
    assert result["counts"]["dropped_tie"] == 1
    assert metrics["test_loss"][max(metrics["test_loss"])] < 0.95 * metrics["test_loss"][0]
    assert not (rundir.path / "cache").exists()


def test_a_rebirth_learns_what_one_model_wrote(make_run: Make) -> None:
    records = [
        make_record(n, chosen_model="tuned" if n % 2 else "other", rejected_model="old")
        for n in range(1, 13)
    ]
    rundir = make_run(records=records, spec={"recipe": "rebirth"}, written_by="old", max_steps=1)
    go(rundir)
    assert "learnt from" in events_of(rundir)
    assert "perhaps" in events_of(rundir)
    other = make_run("o", records=records, spec={"recipe": "rebirth"}, written_by="tuned")
    assert go(other)["counts"]["dropped_other_writer"] == 6
    nobody = make_run("nobody", records=records, spec={"recipe": "rebirth"})
    with pytest.raises(UserError) as caught:
        train(nobody, Stop(nobody))
    assert caught.value.field == "written_by"
    shutil.rmtree(nobody.path)
