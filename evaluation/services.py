"""What is asked of evaluation: start one, read its standings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from annotation.models import Annotator
from evaluation.models import Evaluation, EvaluationJudge
from evaluation.prompts import chosen_prompts
from evaluation.sampling import check_shapes, checked_sampling
from steelyard.accounts.models import User
from steelyard.lib.errors import UserError
from steelyard.projects.models import Modality, Project
from steelyard.registry.models import ModelVersion
from steelyard.runs.services import start_run


@transaction.atomic
def start_evaluation(
    *,
    project: Project,
    name: str,
    baseline: ModelVersion,
    candidates: Sequence[ModelVersion],
    people: bool = True,
    judges: Sequence[Annotator] = (),
    category: str = "",
    limit: int = 0,
    sampling: dict[str, Any] | None = None,
    seed: int = 0,
    same_seeds: bool | None = None,
    by: User,
) -> Evaluation:
    """Ask for outputs of every model on the held-out prompts and for their comparison.

    Args:
        candidates: each is compared with the baseline on every prompt.
        people: whether the pairs enter the labelling queue.
        judges: the AI judges and scorers that compare, each for itself; beside people or alone.
        limit: at most so many prompts; 0 for all.
        sampling: ``max_new_tokens``, ``temperature`` and ``top_p`` for text, ``steps``,
            ``guidance`` and ``size`` for images, ``steps``, ``guidance``, ``frames``, ``fps``,
            ``width`` and ``height`` for clips; it goes before a model's own setting, and what is
            absent is the model's own, else a default.
        same_seeds: whether all models draw from the same seeds. None is true for texts and false
            for pictures and clips, where a pair of one seed shows any change, good or not, the same
            way nearly everywhere: win rates near 0 or 100 % that mean nothing.

    Raises:
        UserError: a model cannot generate, the prompt set is empty, nobody compares, a judge cannot
            be asked, or a sampling setting is unknown or out of bounds.
    """
    _check_models(project, baseline, candidates)
    check_panel(project, people, judges)
    chosen_sampling = checked_sampling(project, sampling or {})
    check_shapes([baseline, *candidates], chosen_sampling)
    prompt_set = {"category": category, "limit": limit}
    if not chosen_prompts(project, prompt_set, [baseline, *candidates]):
        missing = (
            _("This project has no held-out prompts of category “%(category)s”.")
            if category
            else _("This project has no held-out prompts.")
        )
        advice = _(
            "Add some under Import → Held-out prompts; they are kept out of every dataset version."
        )
        raise UserError(
            f"{missing % {'category': category}} {advice}",
            code="no_prompts",
            field="category",
        )
    evaluation = Evaluation.objects.create(
        project=project,
        name=name,
        baseline=baseline,
        ask_people=people,
        prompt_set=prompt_set,
        sampling=chosen_sampling,
        seed=seed,
        same_seeds=usual_seeds(project) if same_seeds is None else same_seeds,
        created_by=by,
    )
    evaluation.candidates.set(candidates)
    for judge in judges:
        EvaluationJudge.objects.create(evaluation=evaluation, judge=judge)
    evaluation.generation = start_run(
        project=project,
        kind="generate",
        title=f"Outputs for {name}",
        spec={"evaluation": evaluation.pk},
        by=by,
    )
    evaluation.save(update_fields=["generation"])
    return evaluation


def _check_models(
    project: Project, baseline: ModelVersion, candidates: Sequence[ModelVersion]
) -> None:
    if not candidates:
        raise UserError(_("Choose at least one model to evaluate."), field="candidates")
    for model in [baseline, *candidates]:
        check_model(project, model, field="candidates")
    if baseline in candidates:
        raise UserError(
            _("%(baseline)s is the baseline and cannot be compared with itself.")
            % {"baseline": baseline.name},
            field="candidates",
        )


def check_model(project: Project, model: ModelVersion, *, field: str) -> None:
    """
    Raises:
        UserError: it is another project's, or cannot answer.
    """
    if model.project_id != project.pk:
        raise UserError(
            _("%(model)s belongs to another project.") % {"model": model.name}, field=field
        )
    if not model.can_generate:
        raise UserError(
            _(
                "%(model)s is known by imported outputs only and cannot answer new prompts. "
                "Its imported votes are on the leaderboard."
            )
            % {"model": model.name},
            code="cannot_generate",
            field=field,
        )


def check_panel(project: Project, people: bool, judges: Sequence[Annotator]) -> None:
    """
    Raises:
        UserError: nobody compares, or a judge is another project's or cannot be asked.
    """
    if not people and not judges:
        raise UserError(
            _("Say who compares: people, at least one AI judge or scorer, or both."),
            field="judges",
        )
    for judge in judges:
        if judge.project_id != project.pk:
            raise UserError(
                _("%(judge)s is another project's.") % {"judge": judge.name}, field="judges"
            )
        if not judge.can_be_asked:
            raise UserError(
                _(
                    "%(judge)s has no model to ask; its votes came from a file. Choose a judge "
                    "that was made here."
                )
                % {"judge": judge.name},
                code="not_a_judge",
                field="judges",
            )


def usual_seeds(project: Project) -> bool:
    """Whether models that are compared draw from the same seeds where nobody says otherwise."""
    return project.modality == Modality.TEXT
