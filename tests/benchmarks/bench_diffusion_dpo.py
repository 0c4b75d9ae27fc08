"""Does Diffusion-DPO teach an image model what was preferred, without spoiling its pictures?

    python tests/benchmarks/bench_diffusion_dpo.py [FOLDER] [--steps 100] [--labels true random]

The demo's digit model is taught in FOLDER (or found there), paints pairs of two seeds a prompt, and
a simulated annotator prefers the one with more ink. Diffusion-DPO then runs on these pairs. Printed
before and after, on seeds that no pair has: mean ink, the share of new pictures with more ink than
an old one of another seed, and the share that a classifier of the real scans reads as the digit
asked for. ``--labels true random reversed`` adds the controls: about 0.5, and below.
The same seed for old and new would be no measure: nearly any change moves all pictures of a seed
one way.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sklearn.svm import SVC

sys.path.insert(0, str(Path(__file__).parents[2]))

from steelyard.demo.engine.digit_model import EARLY, NAME, STEPS, load_digits, teach
from steelyard.demo.engine.digits import SAMPLING
from steelyard.inference.images import load_painter
from steelyard.inference.pixels import fit_square
from steelyard.lib.hashing import stable_uniform
from steelyard.lib.rundir import RunDir
from tests.tiny_pictures import make_record, metrics_of, save_picture, write_picture_run
from training.engine import diffusion

READERS_SEED = 1_000_000
OTHER_SEED = 2_000_000
Pair = tuple[Image.Image, Image.Image]


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


def ink(pictures: list[Image.Image]) -> np.ndarray:
    """Share of black, 0 to 1, one a picture."""
    return np.array([1 - np.asarray(picture).mean() / 255 for picture in pictures])


def small(pictures: list[Image.Image]) -> np.ndarray:
    return np.stack([np.asarray(fit_square(p, 16, 1)).ravel() / 127.5 - 1 for p in pictures])


def paint(spec: dict[str, Any], count: int, seed: int) -> list[Image.Image]:
    prompts = [f"A handwritten {i % 10}." for i in range(count)]
    seeds = list(range(seed, seed + count))
    return load_painter(spec).paint(prompts, seeds=seeds, sampling=SAMPLING)


def make_records(pairs: list[Pair], media: Path, labels: str) -> list[Any]:
    records = []
    for number, (first, second) in enumerate(pairs):
        more = bool(ink([first])[0] > ink([second])[0])
        if labels == "random":
            more = stable_uniform("label", number) < 0.5
        chosen, rejected = (first, second) if more != (labels == "reversed") else (second, first)
        records.append(
            make_record(
                number,
                save_picture(media, chosen),
                save_picture(media, rejected),
                prompt=f"A handwritten {number % 10}.",
                split="test" if number % 10 == 0 else "train",
            )
        )
    return records


def train(spec: dict[str, Any], pairs: list[Pair], given: argparse.Namespace, labels: str) -> Path:
    """Run Diffusion-DPO, say how it went; the adapter's folder."""
    run = given.folder / f"run-{labels}-{given.steps}-{given.beta:g}-{given.learning_rate:g}"
    settings = {"beta": given.beta, "learning_rate": given.learning_rate, "max_steps": given.steps}
    records = make_records(pairs, run / "media", labels)
    rundir = write_picture_run(run, spec, records, **settings, eval_every=25)
    begun = time.process_time()
    diffusion.train(rundir, False)  # type: ignore[arg-type]
    for step, values in sorted(metrics_of(rundir).items()):
        if "test_loss" in values:
            shown = ("test_loss", "test_reward_accuracy", "error_chosen", "error_rejected")
            say(f"  step {step}: { {n: round(values[n], 4) for n in shown if n in values} }")
    say(f"  {time.process_time() - begun:.0f} CPU seconds")
    return rundir.model


def save_sheet(path: Path, old: list[Image.Image], new: list[Image.Image]) -> None:
    """The first 120 of each, the old ones in the upper half."""
    sheet = Image.new("L", (20 * 64, 12 * 64), 255)
    for first_row, pictures in ((0, old), (6, new)):
        for place, picture in enumerate(pictures[:120]):
            where = ((place % 20) * 64, (first_row + place // 20) * 64)
            sheet.paste(picture.resize((60, 60)), where)
    sheet.save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("var/bench-diffusion"))
    parser.add_argument("--labels", nargs="+", default=["true"])
    parser.add_argument("--pairs", type=int, default=300)
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--beta", type=float, default=2000)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    given = parser.parse_args()
    folders = {name: given.folder / "models" / name for name in (NAME, EARLY)}
    teaching = RunDir(given.folder / "teaching")
    teaching.create({"kind": "demo"})
    teach(teaching, False, folders, seed=0, steps=STEPS)  # type: ignore[arg-type]
    spec = {"name": NAME, "family": "class_unet", "source": str(folders[NAME])}

    images, digits = load_digits()
    reader = SVC(C=5).fit(images.flatten(1).numpy(), digits.numpy())
    asked = np.arange(given.pictures) % 10
    old = paint(spec, given.pictures, READERS_SEED)
    read = (reader.predict(small(old)) == asked).mean()
    say(f"before: ink {ink(old).mean():.4f} ± {ink(old).std():.4f}, read as asked {read:.3f}")
    pairs = list(zip(*(paint(spec, given.pairs, s) for s in (0, given.pairs)), strict=True))
    for labels in given.labels:
        say(f"{labels} labels")
        adapter = train(spec, pairs, given, labels)
        new = paint({**spec, "adapters": [str(adapter)]}, given.pictures, OTHER_SEED)
        read = (reader.predict(small(new)) == asked).mean()
        won = (ink(new) > ink(old)).mean()
        say(f"  after: ink {ink(new).mean():.4f}, read as asked {read:.3f}, more ink {won:.3f}")
        save_sheet(adapter.parent / "sheet.png", old, new)
        say(f"  pictures before and after: {adapter.parent / 'sheet.png'}")


if __name__ == "__main__":
    main()
