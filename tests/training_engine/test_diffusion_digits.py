"""Does a preference for more ink reach the pictures of a model that knows handwritten digits?

The measure is the share of new pictures with more ink than old ones *of other seeds*: nearly any
training moves all pictures of a seed one way, so that on equal seeds random labels look like gain.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from steelyard.lib.hashing import stable_uniform
from tests.digits_flow import DigitsFamily, draw, ink, scans, teach
from tests.tiny_pictures import make_record, metrics_of, save_picture, write_picture_run
from training.engine import diffusion

pytestmark = pytest.mark.filterwarnings("ignore")
KNOWING = Path(__file__).parent / "digits_flow"
"""What ``teach(KNOWING, steps=1500)`` made, in half precision."""
OURS = {"beta": 200.0, "learning_rate": 2e-4, "batch_size": 64, "lora_rank": 8, "lora_alpha": 8}
FRESH = 1_000_000


@pytest.fixture(autouse=True)
def _one_thread_and_this_family(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(
        diffusion, "open_family", lambda spec, dev: DigitsFamily(spec["source"], dev)
    )
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def as_image(picture: Tensor) -> Image.Image:
    return Image.fromarray(((picture[0] + 1) * 127.5).round().numpy().astype(np.uint8))


def records_of(
    first: Tensor, second: Tensor, digits: Tensor, media: Path, labels: str
) -> list[Any]:
    """An annotator who prefers ink, and errs where there is little between the two."""
    lead = ink(first) - ink(second)
    likely = torch.sigmoid(3 * lead / torch.cat([ink(first), ink(second)]).std())
    records = []
    for number in range(len(first)):
        chance = 0.5 if labels == "random" else float(likely[number])
        more = stable_uniform("label", number) < chance
        pair = [save_picture(media, as_image(side[number])) for side in (first, second)]
        chosen, rejected = pair if more != (labels == "reversed") else pair[::-1]
        prompt = f"A handwritten {int(digits[number])}."
        records.append(make_record(number, chosen, rejected, prompt=prompt))
    return records


def won(now: Tensor, before: Tensor) -> float:
    """The share of all pairs of a new and an old picture in which the new one has more ink."""
    return float((ink(now)[:, None] > ink(before)[None, :]).float().mean())


def legible(pictures: Tensor, digits: Tensor) -> float:
    known, said = scans()
    reader = LogisticRegression(max_iter=2000).fit(known.flatten(1).numpy(), said.numpy())
    return float((reader.predict(pictures.flatten(1).numpy()) == digits.numpy()).mean())


def learn(folder: Path, source: Path, pairs: int, seed: int, labels: str, **more: Any) -> Path:
    """The adapter of a run on pairs that the model itself has drawn."""
    first, digits = draw(str(source), pairs, seed=10 * seed)
    second, _ = draw(str(source), pairs, seed=10 * seed + 1)
    records = records_of(first, second, digits, folder / "media", labels)
    base = {"family": "digits_flow", "source": str(source)}
    rundir = write_picture_run(folder, base, records, **{**OURS, "seed": seed, **more})
    diffusion.train(rundir, False)  # type: ignore[arg-type]
    assert metrics_of(rundir)[1]["loss"] == pytest.approx(np.log(2), abs=1e-6)
    return rundir.model


def test_pictures_become_what_was_preferred(tmp_path: Path) -> None:
    adapter = learn(tmp_path / "run", KNOWING, 200, 0, "true", max_steps=20, learning_rate=5e-4)
    before, _ = draw(str(KNOWING), 200, seed=FRESH)
    now, digits = draw(str(KNOWING), 200, seed=FRESH + 1, adapters=[str(adapter)])
    assert won(now, before) >= 0.65
    assert legible(now, digits) >= 0.95


@pytest.mark.slow
@pytest.mark.skipif(
    not os.environ.get("STEELYARD_LONG_TESTS"),
    reason="some CPU minutes of training; STEELYARD_LONG_TESTS=1 runs it",
)
def test_true_random_and_reversed_labels_over_three_seeds(tmp_path: Path) -> None:
    """From nothing to trained pictures: 600 noisy pairs, 40 steps of 64."""
    source = tmp_path / "taught"
    teach(source, steps=1500)
    before, digits = draw(str(source), 600, seed=FRESH)
    assert legible(before, digits) >= 0.97
    found: dict[str, list[float]] = {"true": [], "random": [], "reversed": []}
    for seed in range(3):
        for labels, rates in found.items():
            run = tmp_path / f"{labels}-{seed}"
            adapter = learn(run, source, 600, seed, labels, max_steps=40)
            now, digits = draw(str(source), 600, seed=FRESH + 1 + seed, adapters=[str(adapter)])
            rates.append(won(now, before))
            assert legible(now, digits) >= 0.95
    assert min(found["true"]) >= 0.65, found
    assert all(0.45 <= rate <= 0.55 for rate in found["random"]), found
    assert max(found["reversed"]) <= 0.35, found
