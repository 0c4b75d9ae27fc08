"""What a sweep can aim at, and where each number comes from."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from steelyard.lib.errors import UserError

MINIMIZE, MAXIMIZE = "minimize", "maximize"
MOST_OBJECTIVES = 3


class Measure(NamedTuple):
    name: str
    label: str | Promise
    direction: str
    """The way that is usually better."""
    help: str | Promise
    source: str
    """metrics: the engine's last test; samples: answers written after training; run: the run."""
    scaled_by: frozenset[str] = frozenset()
    """Settings that change what the number means: trials that differ in them cannot be compared."""
    is_share: bool = False
    """From 0 to 1."""


_LOSS_SCALES = frozenset(
    {
        *("beta", "gamma", "loss_type", "label_smoothing", "ties", "tie_share", "ld_alpha"),
        *("soft_labels", "weight_by", "sft_weight", "sft_form", "rationale_weight", "alpha"),
        "ground_truth_weight",
    }
)
MEASURES = {
    one.name: one
    for one in [
        Measure(
            "test_reward_accuracy",
            _("Held-out accuracy"),
            MAXIMIZE,
            _("How often the chosen answer of a held-out pair gains more than the rejected one."),
            "metrics",
            is_share=True,
        ),
        Measure(
            "test_loss",
            _("Held-out loss"),
            MINIMIZE,
            _("The recipe's own loss on held-out pairs."),
            "metrics",
            _LOSS_SCALES,
        ),
        Measure(
            "test_reward_margin",
            _("Held-out margin"),
            MAXIMIZE,
            _("How much more the chosen answer gains than the rejected one, times beta."),
            "metrics",
            _LOSS_SCALES,
        ),
        Measure(
            "kl",
            _("Drift (KL a token)"),
            MINIMIZE,
            _("How far the model has moved from its base, in nats a token of its own answers."),
            "samples",
        ),
        Measure(
            "win_rate",
            _("Win rate against the base"),
            MAXIMIZE,
            _(
                "How often a judge finds an answer better than the base's to the same held-out "
                "prompt, asked in both orders; a tie is one half."
            ),
            "samples",
            is_share=True,
        ),
        Measure(
            "output_length",
            _("Length of answers"),
            MINIMIZE,
            _("Mean tokens of an answer to a held-out prompt, cut at the limit."),
            "samples",
        ),
        Measure(
            "hours",
            _("Hours"),
            MINIMIZE,
            _("Wall time of a run, from its start to its end."),
            "run",
        ),
    ]
}


def measures_of(recipe: str) -> list[Measure]:
    """What a sweep of this recipe can aim at: only models that write have answers to
    measure, and what learns from single answers has no rewards."""
    silent, plain = recipe.startswith("diffusion"), recipe in ("sft", "rebirth")
    return [
        one
        for one in MEASURES.values()
        if not (silent and one.source == "samples")
        and not (plain and one.name.startswith("test_reward"))
    ]


def checked_objectives(
    recipe: str, objectives: list[dict[str, str]], searched: set[str]
) -> list[dict[str, str]]:
    """The objectives with their directions.

    Args:
        searched: the settings that differ between trials.

    Raises:
        UserError: none or too many, an unknown or doubled measure, a direction that is none, or a
            measure that means something else in each trial.
    """
    known = {one.name: one for one in measures_of(recipe)}
    if not 1 <= len(objectives) <= MOST_OBJECTIVES:
        raise _wrong(
            gettext("A sweep has from 1 to %(most)s objectives.") % {"most": MOST_OBJECTIVES}
        )
    made: list[dict[str, str]] = []
    for objective in objectives:
        name = objective.get("measure", "")
        if name not in known:
            raise _wrong(
                gettext("There is no measure “%(name)s” here. There are: %(known)s.")
                % {"name": name, "known": ", ".join(known)}
            )
        direction = objective.get("direction") or known[name].direction
        if direction not in (MINIMIZE, MAXIMIZE):
            raise _wrong(
                gettext("A direction is %(one)s or %(other)s; got “%(given)s”.")
                % {"one": MINIMIZE, "other": MAXIMIZE, "given": direction}
            )
        if any(one["measure"] == name for one in made):
            raise _wrong(gettext("%(name)s is named twice.") % {"name": name})
        if mixed := known[name].scaled_by & searched:
            raise _wrong(
                gettext(
                    "%(name)s means something else for each %(setting)s, so its trials cannot be "
                    "compared. Fix that setting, or aim at test_reward_accuracy."
                )
                % {"name": name, "setting": min(mixed)},
                code="incomparable",
            )
        made.append({"measure": name, "direction": direction})
    return made


def read_measures(names: list[str], result: dict[str, Any], hours: float) -> dict[str, float]:
    """The numbers of a run that has succeeded.

    Raises:
        UserError: the run measured none of that name.
    """
    found = {**(result.get("metrics") or {}), **(result.get("samples") or {}), "hours": hours}
    missing = [name for name in names if not isinstance(found.get(name), int | float)]
    if missing:
        raise UserError(
            gettext("The run ended without %(missing)s. Has the dataset version rows to test?")
            % {"missing": ", ".join(missing)},
            code="not_measured",
        )
    return {name: float(found[name]) for name in names}


def _wrong(message: str, code: str = "bad_objective") -> UserError:
    return UserError(message, code=code, field="objectives")
