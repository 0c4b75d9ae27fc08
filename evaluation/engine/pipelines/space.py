"""Which pipelines a search may try, and which it tries next.

A pipeline of the space is said by seven settings; those that say nothing are left out of its layers
(nobody ranks a single answer), so that many settings make one pipeline, which is tried once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from steelyard.inference.pipelines.config import Config, read_config
from steelyard.lib.hashing import digest_of, stable_int

SAMPLES = (1, 2, 4)
TOP_K = (0, 1, 2)
"""0 ranks nothing, unless several answers would be left at the end."""
FUSERS = (0, 1, 2)
"""How many layers of fusers; those before the last make two answers each."""
CHECKS = ("none", "verifier", "unit_tests")
MOST_MODELS = 3
TRIES = 60
STARTUP = 8
"""Trials drawn at random before the sampler's model is asked, at most."""
Params = dict[str, Any]


@dataclass(frozen=True)
class Told:
    """A trial as the sampler hears of it."""

    params: Params
    rate: float
    calls: float


def layers_of(params: Mapping[str, Any], ranked: Sequence[str]) -> Config:
    """The pipeline that settings say.

    Args:
        params: ``models`` (so many of the best), ``samples`` of each, ``check``, ``critic``,
            ``top_k``, ``fusers``, and ``helper``: who does all but generate.
        ranked: models that generate, the best first.
    """
    helper = params["helper"]
    one = {"model": helper}
    models, samples = ranked[: params["models"]], params["samples"]
    layers: list[list[dict[str, Any]]] = [
        [{"type": "generator", "model": model, "samples": samples} for model in models]
    ]
    there, in_order = len(models) * samples, False
    if params["check"] == "verifier" and there > 1:
        layers.append([{"type": "verifier", **one}])
    if params["check"] == "unit_tests" and there > 1:
        layers += [
            [{"type": "unit_test_generator", **one}],
            [{"type": "unit_test_evaluator", **one}],
        ]
        in_order = True
    keep = params["top_k"] if 0 < params["top_k"] < there else 0
    fusers = params["fusers"] if there > 1 or params["critic"] else 0
    if there > 1 and not fusers and (keep or not in_order):
        # the best of them is the answer, so that no more need go on
        keep = 1
    if params["critic"] and (keep or fusers):
        layers.append([{"type": "critic", **one}])
    if keep:
        layers.append([{"type": "ranker", **one, "top_k": keep}])
        there = keep
    if there == 1 and not params["critic"]:
        fusers = 0
    layers += [[{"type": "fuser", **one, "samples": 2}] for _ in range(fusers - 1)]
    layers += [[{"type": "fuser", **one}] for _ in range(min(1, fusers))]
    return read_config(layers)


def named(config: Config) -> str:
    return digest_of(config.as_list())


def propose(
    ranked: Sequence[str],
    helpers: Sequence[str],
    told: Sequence[Told],
    *,
    seed: int,
    trials: int,
    welcome: Callable[[Config], bool],
) -> tuple[Params, Config] | None:
    """The next pipeline to try; None where none that is new was drawn in many tries. Depends on
    (seed, what was told) alone, so that whoever asks after a kill hears the same.

    Args:
        welcome: whether a pipeline is new, and not too dear.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    space = distributions(len(ranked), helpers)
    startup = min(STARTUP, max(2, trials // 3))
    for attempt in range(TRIES):
        draws = stable_int(seed, "pipeline", len(told), attempt) % 2**32
        # what repeats itself under the model is drawn at random
        sampler = (
            optuna.samplers.TPESampler(seed=draws, n_startup_trials=startup)
            if attempt < TRIES // 4
            else optuna.samplers.RandomSampler(seed=draws)
        )
        study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
        study.add_trials(
            [
                optuna.trial.create_trial(
                    params=one.params, distributions=space, values=[one.rate, one.calls]
                )
                for one in told
            ]
        )
        params = dict(study.ask(space).params)
        config = layers_of(params, ranked)
        if welcome(config):
            return params, config
    return None


def distributions(models: int, helpers: Sequence[str]) -> dict[str, Any]:
    from optuna.distributions import CategoricalDistribution, IntDistribution

    return {
        "models": IntDistribution(1, min(MOST_MODELS, models)),
        "samples": CategoricalDistribution(SAMPLES),
        "check": CategoricalDistribution(CHECKS),
        "critic": CategoricalDistribution((False, True)),
        "top_k": CategoricalDistribution(TOP_K),
        "fusers": CategoricalDistribution(FUSERS),
        "helper": CategoricalDistribution(tuple(helpers)),
    }


def alone(model: str, helper: str) -> Params:
    """The settings of one model that answers once."""
    return {
        "models": 1,
        "samples": 1,
        "check": "none",
        "critic": False,
        "top_k": 0,
        "fusers": 0,
        "helper": helper,
    }


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Places of (rate, calls) that no other beats in both, the highest rate first; of equal ones
    the first counts."""
    found = [
        place
        for place, (rate, calls) in enumerate(points)
        if not any(
            (other >= rate and cost <= calls and (other, cost) != (rate, calls))
            or ((other, cost) == (rate, calls) and number < place)
            for number, (other, cost) in enumerate(points)
        )
    ]
    return sorted(found, key=lambda place: (-points[place][0], points[place][1]))
