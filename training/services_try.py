"""Asking a model one thing, to see what it answers: a run of its own."""

from __future__ import annotations

from django.utils.translation import gettext as _

from steelyard.accounts.models import User
from steelyard.lib.errors import UserError
from steelyard.lib.said import Said
from steelyard.registry.models import ModelFamily, ModelVersion
from steelyard.runs.models import Run
from steelyard.runs.services import start_run
from training.titles import TITLES

LONGEST = 8000


def can_try(model: ModelVersion) -> bool:
    return model.family in {
        ModelFamily.CAUSAL_LM,
        ModelFamily.VISION_LANGUAGE,
        ModelFamily.ENDPOINT,
    }


def start_try(*, model: ModelVersion, prompt: str, beside_base: bool, by: User | None) -> Run:
    """Queue a run in which the model answers a prompt, and its base beside it.

    Raises:
        UserError: the model writes no text, or there is no prompt.
    """
    prompt = prompt.strip()
    if not can_try(model):
        raise UserError(_("%(name)s writes no text.") % {"name": model.name}, field="model")
    if not prompt or len(prompt) > LONGEST:
        raise UserError(
            _("Write a prompt of at most %(most)s characters.") % {"most": LONGEST}, field="prompt"
        )
    base = model.base if beside_base and model.base and can_try(model.base) else None
    return start_run(
        project=model.project,
        kind="try",
        title=Said(TITLES, "title_try", name=model.name),
        spec={"model": model.pk, "base": base.pk if base else None, "prompt": prompt},
        by=by,
    )
