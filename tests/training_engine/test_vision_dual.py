"""Re-Align's rDPO: other pictures are found, answers refilled, and both preferences learnt."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch

from steelyard.lib.engine import Stop
from steelyard.lib.errors import UserError
from steelyard.lib.rundir import RunDir
from tests.training_engine.rows import events_of, make_record, metrics_of
from tests.training_engine.seeing import COLOURS, go, packed, seen
from training.engine import dual
from training.engine.__main__ import train
from training.engine.dual_losses import visual_preference
from training.engine.dual_words import masked, shared_words

Make = Callable[..., RunDir]
LN2 = 0.693147


def lines_of(rundir: RunDir) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (rundir.data / "dual.jsonl").read_text().splitlines()]


def test_it_works(make_seeing_run: Make) -> None:
    rundir = make_seeing_run(recipe="dual_dpo", epochs=4.0, neighbours=2)
    result, metrics = go(rundir), metrics_of(rundir)
    assert result["status"] == "succeeded"
    # both terms begin at ln 2
    assert metrics["loss"][1] == pytest.approx(2 * LN2, abs=1e-4)
    assert metrics["visual_loss"][1] == pytest.approx(LN2, abs=1e-5)
    assert metrics["loss"][20] < metrics["loss"][1]
    lines = lines_of(rundir)
    assert len(lines) == 12
    assert all(line["image"] != line["other"] for line in lines)
    assert all(line["tried"] == 1 for line in lines)
    assert "12 of 12 pairs have another picture" in events_of(rundir)


def test_a_refilled_answer_is_written_by_the_model_about_the_other_picture(
    make_seeing_run: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first try of every second pair gives the chosen answer back, which is no worse one."""
    tries: list[int] = []

    def refilled(model: Any, sight: Any, asked: list[Any]) -> list[str]:
        tries.append(len(asked))
        texts = ["It is purple." if n % 2 else r.chosen for n, (r, _, _) in enumerate(asked)]
        assert all("[MASK]" in text for _, text, _ in asked)
        return texts if len(tries) == 1 else ["It is brown."] * len(asked)

    monkeypatch.setattr(dual, "_refilled", refilled)
    records = [seen(n) for n in range(1, 7)]
    rundir = make_seeing_run(
        recipe="dual_dpo", records=records, rejected="refilled", neighbours=2, max_steps=1
    )
    assert go(rundir)["status"] == "succeeded"
    assert tries == [6, 3]
    assert [line["tried"] for line in lines_of(rundir)] == [2, 1] * 3
    assert {line["rejected"] for line in lines_of(rundir)} == {"It is purple.", "It is brown."}
    assert lines_of(rundir)[0]["masked"] == "It is [MASK]."
    assert "purple" in events_of(rundir) or "brown" in events_of(rundir)


def test_the_model_itself_refills_and_what_cannot_be_used_is_counted(
    make_seeing_run: Make,
) -> None:
    records = [seen(1), seen(2), make_record(3), seen(4, chosen="It is."), seen(6)]
    rundir = make_seeing_run(
        recipe="dual_dpo", records=records, rejected="refilled", max_length=128, max_steps=1
    )
    result = go(rundir)
    told = [line.get("dropped", "kept") for line in lines_of(rundir)]
    assert told == ["kept", "kept", "not_one_picture", "nothing_to_mask", "kept"]
    assert result["counts"]["dropped_no_negative"] == 2
    assert all(line["rejected"] for line in lines_of(rundir) if "rejected" in line)


def test_started_again_it_goes_on_behind_the_last_line(
    make_seeing_run: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dual, "AT_ONCE", 4)
    whole = make_seeing_run("whole", recipe="dual_dpo", max_steps=1)
    go(whole)
    cut = make_seeing_run("cut", recipe="dual_dpo", max_steps=1)
    text = (whole.data / "dual.jsonl").read_bytes()
    # killed in the middle of a line
    (cut.data / "dual.jsonl").write_bytes(text[: len(text) // 2])
    assert go(cut)["digest"] == go(whole)["digest"]
    assert (cut.data / "dual.jsonl").read_bytes() == text


def test_a_second_picture_may_come_with_the_prompt(make_seeing_run: Make) -> None:
    pairs = [seen(n, packed(COLOURS[n % 6]), packed(COLOURS[(n + 1) % 6])) for n in range(1, 7)]
    rundir = make_seeing_run(recipe="dual_dpo", records=pairs, negatives="own", max_steps=2)
    assert go(rundir)["status"] == "succeeded"
    assert not (rundir.data / "dual.jsonl").exists()
    alone = make_seeing_run("alone", recipe="dual_dpo", negatives="own")
    with pytest.raises(UserError) as caught:
        train(alone, Stop(alone))
    assert (caught.value.code, caught.value.message[:5]) == ("no_second_picture", "Row 1")


def test_a_version_with_one_picture_has_no_other(make_seeing_run: Make) -> None:
    same = [seen(6 * n) for n in range(1, 5)]
    rundir = make_seeing_run(recipe="dual_dpo", records=same)
    with pytest.raises(UserError) as caught:
        train(rundir, Stop(rundir))
    assert caught.value.code == "one_picture"


def test_pictures_most_alike_come_first_and_copies_never() -> None:
    vectors = torch.nn.functional.normalize(
        torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.7, 0.7]]), dim=1
    )
    allowed = torch.tensor([True, True, True, True, True])
    near = [place for place, _ in dual._near(vectors, 0, allowed, 2)]
    assert near == [2, 4]
    allowed[2] = False
    assert [place for place, _ in dual._near(vectors, 0, allowed, 5)] == [4, 3]


def test_what_there_is_to_see_is_masked() -> None:
    text = "The brown dog sits on a table, and it is looking at the two cups."
    assert masked(text) == "The [MASK] on a [MASK], and it is [MASK] at the [MASK]."
    assert masked(text, spared="How many cups are there?").endswith("at the [MASK] cups.")
    assert masked("It is not.") == "It is not."


def test_how_alike_answers_are() -> None:
    assert shared_words("A red cup.", "a red cup") == 1
    assert shared_words("A red cup.", "A blue cup.") == pytest.approx(2 / 3)
    assert shared_words("", "") == 1
    assert shared_words("red red", "red") == pytest.approx(2 / 3)


def test_the_visual_preference_is_that_of_the_paper() -> None:
    chosen, elsewhere = torch.tensor([-10.0, -30.0]), torch.tensor([-14.0, -28.0])
    own, other = torch.tensor([-11.0, -29.0]), torch.tensor([-13.0, -29.0])
    loss = visual_preference(chosen, elsewhere, own, other, beta=0.1)
    torch.testing.assert_close(loss, torch.tensor([0.598139, 0.798139]), atol=1e-6, rtol=0)
    # at the start it is ln 2, whatever the log-probabilities
    even = visual_preference(chosen, elsewhere, chosen, elsewhere, beta=0.1)
    torch.testing.assert_close(even, torch.full((2,), LN2), atol=1e-6, rtol=0)
