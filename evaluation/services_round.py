"""A round of new pairs: models answer the prompts that may be trained on, and the answers come back
into the labelling queue. What is judged there makes the version that the next model learns from."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from evaluation.prompts import chosen_prompts
from evaluation.services import check_model, checked_sampling
from steelyard.accounts.models import User
from steelyard.lib.errors import UserError
from steelyard.projects.models import Modality, Project
from steelyard.registry.models import ModelVersion
from steelyard.runs.models import Run
from steelyard.runs.services import start_run


@transaction.atomic
def start_round(
    *,
    project: Project,
    model: ModelVersion,
    opponent: ModelVersion | None = None,
    category: str = "",
    limit: int = 0,
    sampling: dict[str, Any] | None = None,
    seed: int | None = None,
    by: User,
) -> Run:
    """Ask for answers to prompts that are not held out, and for their pairs in the queue.

    Args:
        model: whose answers are judged; usually the one that the last round made.
        opponent: whose answers stand beside them; None pairs two answers of the model itself.
        limit: at most so many prompts; 0 for all.
        sampling: as of :func:`evaluation.services.start_evaluation`.
        seed: decides the answers, and which prompts where there is a limit; another one each round
            where nothing is said.

    Raises:
        UserError: a model cannot generate, no such prompts are there, a sampling setting is unknown
            or out of bounds, or one model would write the same answer twice.
    """
    if opponent == model:
        opponent = None
    models = [model] if opponent is None else [model, opponent]
    for field, one in zip(("model", "opponent"), models, strict=False):
        check_model(project, one, field=field)
    chosen = checked_sampling(project, sampling or {})
    own = {**chosen, **model.options.get("sampling", {})}
    if opponent is None and project.modality == Modality.TEXT and not own["temperature"]:
        raise UserError(
            _(
                "At temperature 0 a model writes the same answer twice. Choose one above 0, or "
                "another model beside it."
            ),
            code="no_pairs",
            field="temperature",
        )
    seed = next_seed(project) if seed is None else seed
    prompt_set = {"category": category, "limit": limit, "held_out": False, "seed": seed}
    if not chosen_prompts(project, prompt_set, models):
        raise UserError(
            _("There is no prompt to answer that is not held out. Bring some in under Import."),
            code="no_prompts",
            field="category",
        )
    spec = {
        "model": model.pk,
        "opponent": opponent and opponent.pk,
        "prompt_set": prompt_set,
        "sampling": chosen,
        "seed": seed,
    }
    title = f"New pairs of {model.name}" + (f" and {opponent.name}" if opponent else "")
    return start_run(project=project, kind="round", title=title, spec=spec, by=by)


def next_seed(project: Project) -> int:
    """One that no round of the project had, unless it was chosen by hand: with the same seed a
    model writes the same answers again."""
    return Run.objects.filter(project=project, kind="round").count() + 1
