"""Which rows are trained on, and that chance depends on (seed, pair, visit) alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import ImageOps

from steelyard.inference.pixels import to_tensor
from steelyard.lib.errors import UserError
from tests.tiny_pictures import (
    make_record,
    make_tiny_class_unet,
    noise_picture,
    save_picture,
    write_picture_run,
)
from training.engine.diffusion_data import (
    TEST_DRAWS,
    Chances,
    Encoded,
    choose_pairs,
)
from training.engine.families import open_family

CPU = torch.device("cpu")


def make_chances(**overrides: Any) -> Chances:
    values = {"seed": 1, "times": 1000, "shape": torch.Size((1, 8, 8)), "empty": 0.2, "flip": True}
    return Chances(**{**values, **overrides})


def test_ties_and_equal_pictures_are_left_out_and_counted() -> None:
    records = [
        make_record(0, "x", "y"),
        make_record(1, "x", "y", outcome="tie"),
        make_record(2, "x", "x"),
        make_record(3, "x", "y", split="test"),
    ]
    dataset = choose_pairs(records)
    assert [pair.key for pair in dataset.train] == ["pair-0"]
    assert [pair.key for pair in dataset.test] == ["pair-3"]
    assert dataset.counts == {"train": 1, "test": 1, "dropped_ties": 1, "dropped_identical": 1}


def test_weights_have_a_mean_of_one_and_keep_their_ratio() -> None:
    dataset = choose_pairs([make_record(i, "x", "y", weight=w) for i, w in enumerate((3.0, 9.0))])
    assert [pair.weight for pair in dataset.train] == [0.5, 1.5]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"chosen_media": "y"}, "no_train_rows"),
        ({"weight": 0.0}, "no_train_rows"),
        ({"weight": -1.0}, "bad_dataset"),
        ({"weight": float("nan")}, "bad_dataset"),
        ({"prompt": [{"role": "system", "content": "cat"}]}, "no_prompt"),
    ],
)
def test_rows_that_cannot_teach_are_refused(change: dict[str, Any], code: str) -> None:
    record = make_record(0, "x", "y")
    changed = type(record)(**{**record.as_dict(), **change})
    with pytest.raises(UserError) as error:
        choose_pairs([changed])
    assert error.value.code == code


def test_a_draw_is_the_same_whatever_is_drawn_beside_it() -> None:
    alone = make_chances().draw("pair-7", 3)
    chances = make_chances()
    for number in range(5):
        chances.draw("pair-1", number)
    torch.manual_seed(99)
    again = chances.draw("pair-7", 3)
    assert (alone.time, alone.empty, alone.flip) == (again.time, again.empty, again.flip)
    assert torch.equal(alone.noise, again.noise)


@pytest.mark.parametrize("other", [("pair-7", 4), ("pair-8", 3)])
def test_another_pair_or_visit_is_another_draw(other: tuple[str, int]) -> None:
    first, second = make_chances().draw("pair-7", 3), make_chances().draw(*other)
    assert not torch.equal(first.noise, second.noise)
    assert not torch.equal(first.noise, make_chances(seed=2).draw("pair-7", 3).noise)


def test_shares_are_what_was_asked_for() -> None:
    draws = [make_chances(shape=torch.Size((1,))).draw(f"pair-{i}", 0) for i in range(2000)]
    assert sum(d.empty for d in draws) / 2000 == pytest.approx(0.2, abs=0.03)
    assert sum(d.flip for d in draws) / 2000 == pytest.approx(0.5, abs=0.04)
    times = sorted(d.time for d in draws)
    assert times[0] >= 0
    assert times[-1] <= 999
    assert times[1000] == pytest.approx(500, abs=40)
    never = make_chances(empty=0.0, flip=False)
    assert not any(never.draw(f"pair-{i}", 0)[2:] != (False, False) for i in range(200))


def test_test_draws_cover_the_schedule_and_change_nothing() -> None:
    draws = [make_chances(empty=1.0).test("pair-1", n) for n in range(TEST_DRAWS)]
    assert [d.time * TEST_DRAWS // 1000 for d in draws] == list(range(TEST_DRAWS))
    assert not any(d.empty or d.flip for d in draws)


@pytest.fixture
def prepared(tmp_path: Path) -> tuple[Encoded, list[Any]]:
    """Two pairs, encoded with their mirror images, and the pictures as tensors by name."""
    source = make_tiny_class_unet(tmp_path / "m")
    media = tmp_path / "run" / "media"
    names = [save_picture(media, noise_picture(i, size=8)) for i in range(4)]
    records = [make_record(0, *names[:2]), make_record(1, *names[2:])]
    rundir = write_picture_run(tmp_path / "run", {"family": "class_unet"}, records)
    family, encoded = (
        open_family({"family": "class_unet", "source": str(source)}, CPU),
        Encoded(rundir),
    )
    for prompt in ("", "A cat.", "One dog, please."):
        encoded.add_prompt(family, prompt)
    for name in names:
        encoded.add_picture(family, name, size=8, flipped=True)
    return encoded, choose_pairs(records).train


def test_both_sides_of_a_pair_share_every_chance(prepared: tuple[Encoded, list[Any]]) -> None:
    encoded, pairs = prepared
    chances = make_chances(empty=0.5)
    for visit in range(8):
        draws = [chances.draw(pair.key, visit) for pair in pairs]
        batch = encoded.batch(pairs, draws, CPU)
        for part in (batch.noise, batch.times, batch.prompts["class"]):
            assert torch.equal(part[:2], part[2:])
        for row, (pair, draw) in enumerate(zip(pairs, draws, strict=True)):
            for place, name in ((row, pair.chosen), (row + 2, pair.rejected)):
                assert torch.equal(batch.clean[place], encoded.picture(name, draw.flip))
            assert batch.prompts["class"][row].item() == (2 if draw.empty else row)


def test_a_mirrored_picture_is_the_picture_mirrored(prepared: tuple[Encoded, list[Any]]) -> None:
    encoded, pairs = prepared
    name = pairs[0].chosen
    assert torch.equal(encoded.picture(name, flip=True), encoded.picture(name).flip(-1))
    assert torch.equal(encoded.picture(name), to_tensor(noise_picture(0, size=8)))
    assert torch.equal(
        encoded.picture(name, flip=True), to_tensor(ImageOps.mirror(noise_picture(0, size=8)))
    )


def test_splitting_a_batch_changes_nothing_in_it(prepared: tuple[Encoded, list[Any]]) -> None:
    encoded, pairs = prepared
    draws = [make_chances().draw(pair.key, 0) for pair in pairs]
    whole = encoded.batch(pairs, draws, CPU)
    second = encoded.batch(pairs[1:], draws[1:], CPU)
    for together, apart in zip(whole, second, strict=True):
        if isinstance(together, dict):
            together, apart = together["class"], apart["class"]
        assert torch.equal(together[[1, 3]], apart)


def test_what_is_encoded_is_not_encoded_again(prepared: tuple[Encoded, list[Any]]) -> None:
    encoded, pairs = prepared
    (encoded.rundir.media / pairs[0].chosen).unlink()
    encoded.add_picture(None, pairs[0].chosen, size=8, flipped=True)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="missing"):
        encoded.add_picture(None, "missing", size=8, flipped=True)  # type: ignore[arg-type]
