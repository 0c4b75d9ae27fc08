"""How far a model's own answers lie from what its base would have written."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import pytest
import torch

from steelyard.lib.engine import Stop
from steelyard.lib.errors import UserError
from steelyard.lib.rundir import RunDir
from tests.training_engine.seeing import seen
from training.engine.__main__ import train
from training.engine.answering import Asked, open_answering
from training.engine.bases import open_base
from training.engine.forward import Row, score
from training.engine.on_policy import divergence, win_rate


def test_the_estimate_is_the_divergence_of_two_distributions() -> None:
    p, q = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.2, 0.3, 0.5])
    exact = float((p * (p / q).log()).sum())
    draws = torch.multinomial(p, 200_000, replacement=True, generator=torch.manual_seed(0))
    assert divergence(p.log()[draws], q.log()[draws]) == pytest.approx(exact, rel=0.02)


def test_it_is_nothing_for_the_same_model_and_never_below() -> None:
    same = torch.tensor([-1.0, -2.0])
    assert divergence(same, same) == 0
    assert divergence(same[:0], same[:0]) == 0
    # worked by hand: ratio is ln q/p = -1, so 1/e - 1 + 1
    assert divergence(torch.zeros(1), -torch.ones(1)) == pytest.approx(1 / math.e)
    assert divergence(torch.zeros(1), torch.ones(1)) > 0


def test_a_win_rate_counts_ties_half_and_what_cannot_be_read_not_at_all() -> None:
    lines = [{"outcome": name} for name in ("a", "a", "b", "tie", "both_bad", None)]
    assert win_rate(lines) == {"win_rate": 0.6, "judged": 5}
    with pytest.raises(UserError, match=r"no verdict that could be read.* It spoke of rain\."):
        win_rate([{"outcome": None, "invalid": "It spoke of rain."}])


def test_a_judge_compares_what_the_model_and_its_base_write(
    make_run: Callable[..., RunDir],
) -> None:
    rundir = make_run(max_steps=1, max_length=64)
    spec = rundir.spec()
    judge = {
        "model": spec["base"],
        "criteria": "Be brief.",
        "template_version": 1,
        "sampling": {"max_new_tokens": 4},
    }
    spec["samples"] = {"prompts": 2, "max_new_tokens": 4, "seed": 1, "judge": judge}
    (rundir.path / "run.json").write_text(json.dumps(spec))
    train(rundir, Stop(rundir))
    result = rundir.result()
    assert result is not None
    assert result["samples"]["judged"] == 2
    assert 0 <= result["samples"]["win_rate"] <= 1
    lines, _ = rundir.read_lines("judged.jsonl", 0)
    assert [line["pair"] for line in lines] == [0, 1]
    assert {"messages", "a", "b", "outcome"} <= lines[0].keys()
    # all that it told is said by code
    events, _ = rundir.read_lines("events.jsonl", 0)
    told = [line.get("said", {}).get("code") for line in events]
    assert {"answers_held_out", "judges_answers"} <= set(told)
    assert None not in told
    # started again it asks nobody twice
    (rundir.path / "result.json").unlink()
    train(rundir, Stop(rundir))
    assert rundir.result() == result


def test_a_model_that_sees_is_asked_with_the_pictures_and_so_is_its_judge(
    make_seeing_run: Callable[..., RunDir],
) -> None:
    # two ask the same of two pictures
    records = [seen(n, split="test" if n > 4 else "train") for n in range(1, 7)]
    rundir = make_seeing_run(records=records, max_steps=1, max_length=128)
    spec = rundir.spec()
    judge = {
        "model": spec["base"],
        "criteria": "Be right.",
        "template_version": 1,
        "sampling": {"max_new_tokens": 4},
    }
    spec["samples"] = {"prompts": 8, "max_new_tokens": 8, "seed": 1, "judge": judge}
    (rundir.path / "run.json").write_text(json.dumps(spec))
    train(rundir, Stop(rundir))
    samples = (rundir.result() or {})["samples"]
    assert (samples["answers"], samples["judged"]) == (2, 2)
    assert samples["kl"] >= 0
    assert 0 < samples["output_length"] <= 8
    lines, _ = rundir.read_lines("judged.jsonl", 0)
    assert {tuple(line["media"]) for line in lines} == {
        tuple(record.prompt_media) for record in records if record.split == "test"
    }


@pytest.mark.parametrize("kind", ["llava", "qwen", "smolvlm"])
def test_what_a_model_that_sees_has_written_is_as_likely_as_training_has_it(
    make_seeing_run: Callable[..., RunDir], request: pytest.FixtureRequest, kind: str
) -> None:
    rundir = make_seeing_run(base=request.getfixturevalue(kind))
    spec, float32 = rundir.spec()["base"], torch.float32
    here = open_answering(
        rundir, spec["family"], spec["source"], [], dtype=float32, device=torch.device("cpu")
    )
    both = [seen(1), seen(2)]
    prompts = [Asked(record.prompt, tuple(record.prompt_media)) for record in both]
    prompts.append(Asked([{"role": "user", "content": "yes no"}]))
    answers = here.write(prompts, seeds=[1, 2, 3], max_new_tokens=6, stop=lambda: False)
    found = here.scores(prompts, answers)
    base = open_base(spec, rundir, both, frames=8)
    model, encoder = base.load(float32, torch.device("cpu")), base.encoder(400)
    rows = [
        Row(encoder.prompt(asked.messages, asked.media), (answer.tokens,), asked.media)
        for asked, answer in zip(prompts, answers, strict=True)
    ]
    assert here.length(prompts[0]) == len(rows[0].prompt)
    with torch.no_grad():
        trained = score(model, rows, dtype=float32, prefix=False).values
    torch.testing.assert_close(found, trained, atol=1e-4, rtol=1e-4)
    # the picture counts
    other = [Asked(prompts[0].messages, prompts[1].media)]
    assert not torch.allclose(here.scores(other, answers[:1]), found[: len(answers[0].tokens)])
