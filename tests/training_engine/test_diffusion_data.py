"""Which rows are trained on, what becomes of odd files, and that chance depends on (seed, pair,
visit) alone."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms
from sklearn.datasets import load_sample_image

from steelyard.lib.errors import UserError
from steelyard.lib.rundir import RunDir
from tests.tiny_pictures import make_record, noise_picture, save_picture, write_picture_run
from training.engine import diffusion_data
from training.engine.diffusion_data import (
    TEST_DRAWS,
    Chances,
    choose_pairs,
    controlled,
    read_pairs,
)
from training.engine.diffusion_media import BadMedia, Facts, Place, look, read

CONFIG = SimpleNamespace(threads=1)


def make_chances(**overrides: Any) -> Chances:
    return Chances(**{"seed": 1, "empty": 0.2, "flip": True, **overrides})


def test_ties_and_equal_files_are_left_out_and_counted() -> None:
    records = [
        make_record(0, "x", "y"),
        make_record(1, "x", "y", outcome="tie"),
        make_record(2, "x", "x"),
        make_record(3, "x", "y", split="test", agreement=0.75, strength=2.0),
    ]
    dataset = choose_pairs(records)
    assert [pair.key for pair in dataset.train] == ["pair-0"]
    (tested,) = dataset.test
    assert (tested.key, tested.number, tested.group) == ("pair-3", 4, "prompt-3")
    assert (tested.agreement, tested.strength) == (0.75, 2.0)
    told = {"train": 1, "test": 1, "dropped_ties": 1, "dropped_identical": 1}
    told |= {"dropped_both_bad": 0}
    assert dataset.counts == {**told, "dropped_unreadable": 0}


def test_a_control_turns_labels_to_train_on_and_leaves_those_to_test_with() -> None:
    part = [{"start": 0, "end": 1, "better": "chosen"}]
    records = [
        make_record(i, f"good-{i}", f"bad-{i}", split="test" if i > 99 else "train", segments=part)
        for i in range(110)
    ]
    dataset = choose_pairs(records)
    assert controlled(dataset, "none", 0) is dataset
    turned = controlled(dataset, "reversed", 0)
    assert {(pair.chosen[:3], pair.segments[0][2]) for pair in turned.train} == {("bad", -1)}
    assert turned.test == dataset.test
    one, other = (controlled(dataset, "random", seed) for seed in (0, 1))
    assert one == controlled(dataset, "random", 0)
    assert one.train != other.train
    assert 35 <= sum(pair.chosen.startswith("good") for pair in one.train) <= 65
    assert "random labels" in one.notes[0]


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


def test_segments_and_boxes_come_along() -> None:
    segments = [
        {"start": 0, "end": 1, "better": "rejected"},
        {"start": 1, "end": 2.5, "better": "tie"},
    ]
    evidence = [
        {"answer": "rejected", "kind": "box", "x": 0.5, "y": 0.25, "width": 0.5, "height": 0.5},
        {"answer": "chosen", "kind": "time", "start": 1, "end": 2},
        {"answer": "chosen", "kind": "span", "start": 1, "end": 2, "quote": "x"},
    ]
    reasons = [{"annotator": "rater", "text": "", "tags": [], "evidence": evidence}] * 2
    (pair,) = choose_pairs([make_record(0, "x", "y", segments=segments, rationales=reasons)]).train
    assert pair.segments == ((0.0, 1.0, -1), (1.0, 2.5, 0))
    assert [region[:5] for region in pair.regions] == [
        ("rejected", 0.5, 0.25, 1.0, 0.75),
        ("chosen", 0.0, 0.0, 1.0, 1.0),
    ]
    assert pair.regions[1][5:] == (1.0, 2.0)


# files


def flower() -> Image.Image:
    return Image.fromarray(load_sample_image("flower.jpg")).resize((96, 64))


def saved(**options: Any) -> bytes:
    image = options.pop("image", None) or flower()
    stream = io.BytesIO()
    image.save(stream, **options)
    return stream.getvalue()


def sixteen_bit() -> Image.Image:
    grey = np.asarray(flower().convert("L")).astype(np.uint16) * 257
    return Image.fromarray(grey)


def half_there() -> Image.Image:
    image = flower().convert("RGBA")
    image.putalpha(0)
    return image


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def animated() -> bytes:
    other = Image.new("RGB", (96, 64), "black")
    return saved(format="WEBP", save_all=True, append_images=[other], lossless=True)


ODD: dict[str, tuple[Callable[[], bytes], set[str]]] = {
    "plain": (lambda: saved(format="PNG"), set()),
    "alpha": (lambda: saved(format="PNG", image=half_there()), {"alpha"}),
    "cmyk": (lambda: saved(format="JPEG", image=flower().convert("CMYK"), quality=95), {"cmyk"}),
    "sixteen_bit": (lambda: saved(format="PNG", image=sixteen_bit()), {"sixteen_bit"}),
    "animated": (animated, {"animated"}),
    "turned": (lambda: saved(format="PNG", exif=turned()), {"turned"}),
    "palette": (lambda: saved(format="PNG", image=flower().quantize(64)), set()),
    "profile": (
        lambda: saved(
            format="PNG",
            icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        ),
        {"profile"},
    ),
}
SHOULD = {"alpha": lambda _: 255.0, "sixteen_bit": lambda f: np.asarray(f.convert("L"))[..., None]}


@pytest.mark.parametrize("kind", ODD)
def test_an_odd_picture_is_what_a_viewer_sees_of_it(kind: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(ODD[kind][0]())
    facts = look(tmp_path / "x", "image")
    side = (64, 96) if kind == "turned" else (96, 64)
    assert (facts.width, facts.height, set(facts.notes)) == (*side, ODD[kind][1])
    place = Place(facts.height, facts.width)
    pixels = (read(tmp_path / "x", place, 3, clip=False).permute(1, 2, 0) + 1) * 127.5
    upright = flower().rotate(-90, expand=True) if kind == "turned" else flower()
    wanted = SHOULD.get(kind, np.asarray)(upright)
    tolerance = {"cmyk": 12, "palette": 12}.get(kind, 1.01)
    assert np.abs(pixels.numpy() - wanted).mean() <= tolerance


def huge(path: Path) -> None:
    Image.new("1", (12_500, 8_000)).save(path, "PNG")


BAD: dict[str, tuple[Callable[[Path], Any], str]] = {
    "truncated": (lambda p: p.write_bytes(saved(format="PNG")[:3000]), "cannot be decoded"),
    "truncated JPEG": (lambda p: p.write_bytes(saved(format="JPEG")[:1500]), "cannot be decoded"),
    "rubbish": (lambda p: p.write_bytes(b"no picture at all"), "cannot be decoded"),
    "empty": (lambda p: p.write_bytes(b""), "cannot be decoded"),
    "one pixel": (lambda p: Image.new("RGB", (1, 1)).save(p, "PNG"), "1 x 1 pixels"),
    "100 megapixels": (huge, "at most 50 million"),
    "floating point": (lambda p: Image.new("F", (64, 64)).save(p, "TIFF"), "floating point"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_picture_that_cannot_be_trained_on_says_why(kind: str, tmp_path: Path) -> None:
    BAD[kind][0](tmp_path / "x")
    with pytest.raises(BadMedia, match=BAD[kind][1]):
        look(tmp_path / "x", "image")


def make_run(folder: Path, pairs: int = 3, **change: Any) -> RunDir:
    names = [save_picture(folder / "media", noise_picture(i)) for i in range(2 * pairs)]
    both = zip(names[::2], names[1::2], strict=True)
    records = [make_record(i, *two, **change) for i, two in enumerate(both)]
    return write_picture_run(folder, {"family": "class_unet"}, records)


def test_a_pair_with_a_broken_file_is_left_out_by_name(tmp_path: Path) -> None:
    rundir = make_run(tmp_path)
    rows = read_pairs(rundir, rundir.spec(), CONFIG, "image")
    assert (len(rows.train), rows.notes) == (3, ())
    spoilt = rundir.media / rows.train[1].rejected
    spoilt.write_bytes(spoilt.read_bytes()[:300])
    left = read_pairs(rundir, rundir.spec(), CONFIG, "image")
    assert [pair.number for pair in left.train] == [1, 3]
    assert left.counts["dropped_unreadable"] == 1
    assert f"row 2 (pair pair-1), whose file {spoilt.name[:12]} cannot be decoded" in left.notes[0]
    assert [pair.weight for pair in left.train] == [1, 1]
    for name in {name for pair in rows.train for name in (pair.chosen, pair.rejected)}:
        (rundir.media / name).write_bytes(b"x")
    with pytest.raises(UserError, match="No pair to train on has two files that can be read"):
        read_pairs(rundir, rundir.spec(), CONFIG, "image")
    spoilt.unlink()
    with pytest.raises(UserError, match=rf"{spoilt.name} is not among the run's media"):
        read_pairs(rundir, rundir.spec(), CONFIG, "image")


def test_files_are_looked_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rundir = make_run(tmp_path)
    first = read_pairs(rundir, rundir.spec(), CONFIG, "image")
    monkeypatch.setattr(diffusion_data, "look", None)
    assert read_pairs(rundir, rundir.spec(), CONFIG, "image") == first


def test_sides_of_different_size_and_odd_files_are_told(tmp_path: Path) -> None:
    one = save_picture(tmp_path / "media", half_there())
    other = save_picture(tmp_path / "media", noise_picture(1))
    rundir = write_picture_run(tmp_path, {"family": "x"}, [make_record(0, one, other)])
    dataset = read_pairs(rundir, rundir.spec(), CONFIG, "image")
    assert dataset.counts["sides_differ"] == 1
    assert dataset.notes == (
        "1 of 2 files are transparent and were laid on white.",
        "In 1 pair the two sides differ in size; both are brought to one shape.",
    )
    assert dataset.facts[other] == Facts(32, 32)


@pytest.mark.parametrize("modality", ["text", "video"])
def test_rows_of_another_modality_are_refused(modality: str, tmp_path: Path) -> None:
    rundir = make_run(tmp_path, modality=modality)
    with pytest.raises(UserError) as error:
        read_pairs(rundir, rundir.spec(), CONFIG, "image")
    assert error.value.code == "wrong_modality"


# chance


def test_a_draw_is_the_same_whatever_is_drawn_beside_it() -> None:
    alone = make_chances().draw("pair-7", 3)
    chances = make_chances()
    for number in range(5):
        chances.draw("pair-1", number)
    torch.manual_seed(99)
    assert chances.draw("pair-7", 3) == alone


@pytest.mark.parametrize("other", [("pair-7", 4), ("pair-8", 3)])
def test_another_pair_visit_or_seed_is_another_draw(other: tuple[str, int]) -> None:
    first, second = make_chances().draw("pair-7", 3), make_chances().draw(*other)
    third = make_chances(seed=2).draw("pair-7", 3)
    for field in ("uniform", "noise", "latent"):
        assert len({getattr(draw, field) for draw in (first, second, third)}) == 3


def test_shares_are_what_was_asked_for() -> None:
    draws = [make_chances().draw(f"pair-{i}", 0) for i in range(2000)]
    assert sum(d.empty for d in draws) / 2000 == pytest.approx(0.2, abs=0.03)
    assert sum(d.flip for d in draws) / 2000 == pytest.approx(0.5, abs=0.04)
    uniforms = sorted(d.uniform for d in draws)
    assert uniforms[0] >= 0
    assert uniforms[-1] < 1
    assert uniforms[1000] == pytest.approx(0.5, abs=0.04)
    never = make_chances(empty=0.0, flip=False)
    assert not any(d.empty or d.flip for d in (never.draw(f"pair-{i}", 0) for i in range(200)))


def test_test_draws_cover_the_schedule_and_change_nothing() -> None:
    draws = [make_chances(empty=1.0).test("pair-1", n) for n in range(TEST_DRAWS)]
    assert [int(d.uniform * TEST_DRAWS) for d in draws] == list(range(TEST_DRAWS))
    assert not any(d.empty or d.flip or d.latent for d in draws)
