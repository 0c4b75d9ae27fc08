"""``python -m training.engine RUN_DIR``: train what the folder's run.json asks for.

A recipe is imported only when it is asked for: text needs no diffusers, pictures no tokenizer.
"""

from __future__ import annotations

from steelyard.lib import engine
from steelyard.lib.rundir import RunDir
from training.engine.config import config_of_run


def language(rundir: RunDir, stop: engine.Stop) -> None:
    from training.engine import rounds, text

    if rundir.spec()["config"].get("rounds", 1) > 1:
        rounds.train(rundir, stop, text.train)
    else:
        text.train(rundir, stop)


def dual_dpo(rundir: RunDir, stop: engine.Stop) -> None:
    from training.engine import dual

    dual.train(rundir, stop)


def diffusion_dpo(rundir: RunDir, stop: engine.Stop) -> None:
    from training.engine import diffusion

    diffusion.train(rundir, stop)


TRAIN = {
    "dpo": language,
    "simpo": language,
    "orpo": language,
    "kto": language,
    "rationale_dpo": language,
    "rationale_orpo": language,
    "srpo": language,
    "dual_dpo": dual_dpo,
    "sft": language,
    "rebirth": language,
    "diffusion_dpo": diffusion_dpo,
}


def train(rundir: RunDir, stop: engine.Stop) -> None:
    spec = rundir.spec()
    # an unknown recipe or setting is refused here, before a library is loaded for seconds
    config_of_run(spec)
    if "samples" in spec:
        from training.engine.on_policy import train_and_sample

        train_and_sample(TRAIN[spec["recipe"]], rundir, stop)
    else:
        TRAIN[spec["recipe"]](rundir, stop)


if __name__ == "__main__":
    engine.run(train)
