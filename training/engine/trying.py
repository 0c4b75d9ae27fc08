"""``python -m training.engine.trying RUN_DIR``: a prompt is answered by one model after another.

``run.json`` has ``models`` (specs as the registry gives them) and ``prompt``; the result has
``answers``, each with the model's name, its text and the seconds that it took.
"""

from __future__ import annotations

import time
from typing import Any

from steelyard.inference.loading import load_writer, sampling_of
from steelyard.inference.sampling import Interrupted
from steelyard.lib import engine
from steelyard.lib.rundir import RunDir
from steelyard.lib.said import Said
from training.engine.words import WORDS


def answer(rundir: RunDir, stop: engine.Stop) -> None:
    spec = rundir.spec()
    models = spec["models"]
    messages = [{"role": "user", "content": spec["prompt"]}]
    answers: list[dict[str, Any]] = []
    for number, model in enumerate(models):
        rundir.progress(number, len(models), "models", Said(WORDS, "asking", name=model["name"]))
        sampling = sampling_of(model, {})
        writer = load_writer(model, stop=lambda: bool(stop))
        began = time.monotonic()
        try:
            (text,) = writer.write([messages], sampling=sampling, seeds=[0])
        except Interrupted:
            return
        finally:
            writer.close()
        seconds = round(time.monotonic() - began, 2)
        answers.append({"model": model["name"], "text": text, "seconds": seconds})
    rundir.progress(len(models), len(models), "models")
    rundir.finish(status="succeeded", answers=answers)


if __name__ == "__main__":
    engine.run(answer)
