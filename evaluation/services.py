"""What is asked of evaluation: start one, go on with one that failed, ask a judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from annotation.models import Annotator, Judgment, Pair, Prompt
from annotation.services.judging import start_judging
from evaluation.contestants import contestants, outputs_there
from evaluation.drawn import in_drawn_order
from evaluation.engine.turns import turns_of
from evaluation.models import Evaluation, EvaluationJudge
from evaluation.plan import checked_plan
from evaluation.presets import BY_TURNS, PRESETS
from evaluation.prompts import checked_set, chosen_prompts, trained_on
from evaluation.questions import checked_questions
from evaluation.sampling import check_shapes, checked_sampling
from evaluation.titles import TITLES
from steelyard.accounts.models import User
from steelyard.lib.errors import UserError
from steelyard.lib.said import Said
from steelyard.projects.models import Modality, Project
from steelyard.registry.models import ModelFamily, ModelVersion
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
    prompt_set: Mapping[str, Any] | None = None,
    sampling: dict[str, Any] | None = None,
    seed: int = 0,
    same_seeds: bool | None = None,
    preset: str = "",
    questions: Sequence[str] = (),
    plan: Mapping[str, Any] | None = None,
    by: User,
) -> Evaluation:
    """Ask for outputs of every model to the prompts and for their comparison.

    Args:
        candidates: each is compared with the baseline on every prompt. A model that is known by
            imported outputs answers nothing: those that it has are compared.
        people: whether the pairs enter the labelling queue.
        judges: the AI judges and scorers that compare, each for itself; beside people or alone.
            Nobody need compare where pairs of these models have votes already, imported ones say.
        prompt_set: ``source`` (``held_out``, ``version``, ``set``), ``version`` or ``set`` (ids),
            ``category`` and ``limit``; all held-out prompts where nothing is said.
        sampling: ``max_new_tokens``, ``temperature`` and ``top_p`` for text, ``steps``,
            ``guidance`` and ``size`` for images, ``steps``, ``guidance``, ``frames``, ``fps``,
            ``width`` and ``height`` for clips; it goes before a model's own setting, and what is
            absent is the model's own, else a default.
        same_seeds: whether all models draw from the same seeds. None is true for texts and false
            for pictures and clips, where a pair of one seed shows any change, good or not, the same
            way nearly everywhere: win rates near 0 or 100 % that mean nothing.
        preset: the protocol that it follows, a key of :data:`evaluation.presets.PRESETS`; what
            its figures are then reckoned by.
        questions: names of aspects that have a win rate each, besides the overall verdict.
        plan: see :class:`evaluation.plan.Plan`; all pairs at once where nothing is said.

    Raises:
        UserError: a model is another project's or has no output to any of the prompts, there are
            no prompts or models were trained on all of them, nobody compares, a judge cannot be
            asked, nobody is asked a question, no prompt has the several turns that the preset is
            about, or a setting is unknown or out of bounds.
    """
    _check_models(project, baseline, candidates)
    if people or judges or not _have_votes(project, [baseline, *candidates]):
        check_panel(project, people, judges)
    if preset and preset not in PRESETS:
        raise UserError(
            _("preset must be one of %(names)s.") % {"names": ", ".join(PRESETS)}, field="preset"
        )
    asked = checked_questions(
        project, questions, people=people, judges=judges, by_turns=preset in BY_TURNS
    )
    chosen_sampling = checked_sampling(project, sampling or {})
    models = [baseline, *candidates]
    check_shapes(models, chosen_sampling)
    chosen = checked_set(project, dict(prompt_set or {}), seed)
    prompts = chosen_prompts(project, chosen, models)
    if not prompts:
        raise _no_prompts(chosen)
    if preset in BY_TURNS and all(turns_of(prompt.messages) == 1 for prompt in prompts):
        raise UserError(
            _(
                "%(preset)s asks prompts of several turns, and each of these has a single one. "
                "Choose a prompt set made of a file with “turns”, or no preset."
            )
            % {"preset": PRESETS[preset].title},
            code="single_turns",
            field="source",
        )
    left_out = trained_on(models, prompts)
    seen: set[str] = set().union(*left_out.values())
    if len(seen) == len(prompts):
        raise UserError(
            _("%(models)s were trained on all of these prompts. Choose others.")
            % {"models": ", ".join(sorted(left_out))},
            code="trained_on",
            field="source",
        )
    evaluation = Evaluation.objects.create(
        project=project,
        name=name,
        baseline=baseline,
        ask_people=people,
        prompt_set=chosen,
        sampling=chosen_sampling,
        seed=seed,
        same_seeds=usual_seeds(project) if same_seeds is None else same_seeds,
        preset=preset,
        questions=asked,
        plan=checked_plan(plan, ask_people=people, candidates=len(candidates)),
        counts={"trained_on": {model: len(keys) for model, keys in left_out.items()}},
        created_by=by,
    )
    evaluation.candidates.set(candidates)
    for judge in with_members(judges):
        EvaluationJudge.objects.create(evaluation=evaluation, judge=judge)
    _check_imported(evaluation, [one for one in prompts if one.key not in seen])
    evaluation.generation = _generate(evaluation, by)
    evaluation.save(update_fields=["generation"])
    return evaluation


def _generate(evaluation: Evaluation, by: User | None) -> Any:
    """Where no contestant can be asked, their outputs are put side by side and no model is loaded:
    such a run waits for no model's place."""
    asks = any(model.can_generate for model in contestants(evaluation))
    return start_run(
        project=evaluation.project,
        kind="generate" if asks else "pair_up",
        title=Said(TITLES, "title_outputs", name=evaluation.name),
        spec={"evaluation": evaluation.pk},
        by=by,
    )


@transaction.atomic
def resume_evaluation(*, evaluation: Evaluation, by: User) -> Evaluation:
    """Generate what is missing after the outputs could not be made; those that were are kept.

    Raises:
        UserError: it has not failed.
    """
    failed = Evaluation.objects.filter(pk=evaluation.pk, state=Evaluation.State.FAILED)
    if not failed.update(state=Evaluation.State.GENERATING, error=""):
        raise UserError(
            _("Only an evaluation that failed can go on."), code="not_failed", status=409
        )
    evaluation.refresh_from_db()
    evaluation.generation = _generate(evaluation, by)
    evaluation.save(update_fields=["generation"])
    return evaluation


@transaction.atomic
def ask_judge(*, evaluation: Evaluation, judge: Annotator, by: User) -> EvaluationJudge:
    """Ask a judge about the comparisons that it has not judged: one that failed, or a new one.

    Raises:
        UserError: it cannot be asked, is at work already, or nothing is left for it.
    """
    check_panel(evaluation.project, False, [judge])
    # two requests at once ask it once
    evaluation = Evaluation.objects.select_for_update(of=("self",)).get(pk=evaluation.pk)
    if evaluation.state == Evaluation.State.FAILED:
        raise UserError(_("There are no outputs to compare."), code="no_outputs", status=409)
    seat, _new = EvaluationJudge.objects.get_or_create(evaluation=evaluation, judge=judge)
    if judge.is_jury:
        _ask_jurors(evaluation, judge, by)
        return seat
    if evaluation.state == Evaluation.State.GENERATING:
        return seat  # it is asked when the outputs are there
    if seat.is_active:
        raise UserError(
            _("%(judge)s is at work on it.") % {"judge": judge.name},
            code="judge_at_work",
            status=409,
        )
    seat.run = start_judging(
        judge=judge, pairs=pairs_for(seat), by=by, by_turns=evaluation.preset in BY_TURNS
    )
    seat.save(update_fields=["run"])
    refused = evaluation.counts.get("refused", {})
    if refused.pop(judge.name, ""):
        evaluation.save(update_fields=["counts"])
    return seat


def with_members(judges: Sequence[Annotator]) -> list[Annotator]:
    """The judges, and for each jury those of its members that can be asked: these have seats of
    their own, and the jury's votes are made of theirs."""
    found = list(judges)
    for jury in judges:
        if jury.is_jury:
            found += [one for one in jury.members.all() if one.can_be_asked]
    return list(dict.fromkeys(found))


def _ask_jurors(evaluation: Evaluation, jury: Annotator, by: User) -> None:
    """Each that is not at work already and has something left.

    Raises:
        UserError: that is none of them.
    """
    asked, refused = 0, None
    for judge in with_members([jury])[1:]:
        try:
            with transaction.atomic():
                ask_judge(evaluation=evaluation, judge=judge, by=by)
        except UserError as error:
            refused = error
        else:
            asked += 1
    if refused and not asked:
        raise refused


def pairs_for(seat: EvaluationJudge) -> list[Pair]:
    """What a judge can still be asked about, in the order drawn; two identical outputs are nobody's
    work."""
    comparisons = seat.evaluation.comparisons.against_baseline().with_sides()
    pairs = [row.pair_id for row in comparisons if not row.is_identical]
    rows = Pair.objects.filter(pk__in=pairs).not_seen_by(seat.judge)
    return in_drawn_order(seat.evaluation, rows)


def _no_prompts(chosen: dict[str, Any]) -> UserError:
    category = chosen["category"]
    if chosen["source"] != "held_out":
        return UserError(
            _("It has no prompts that these models can be asked%(category)s.")
            % {"category": _(" of category “%(name)s”") % {"name": category} if category else ""},
            code="no_prompts",
            field="category" if category else chosen["source"],
        )
    missing = (
        _("This project has no held-out prompts of category “%(category)s”.")
        if category
        else _("This project has no held-out prompts.")
    )
    advice = _(
        "Add some under Import → Held-out prompts; they are kept out of every dataset version."
    )
    return UserError(
        f"{missing % {'category': category}} {advice}", code="no_prompts", field="category"
    )


def _check_models(
    project: Project, baseline: ModelVersion, candidates: Sequence[ModelVersion]
) -> None:
    if not candidates:
        raise UserError(_("Choose at least one model to evaluate."), field="candidates")
    for model in [baseline, *candidates]:
        if model.family == ModelFamily.IMPORTED:
            _check_own(project, model, field="candidates")
        else:
            check_model(project, model, field="candidates")
    if baseline in candidates:
        raise UserError(
            _("%(baseline)s is the baseline and cannot be compared with itself.")
            % {"baseline": baseline.name},
            field="candidates",
        )


def _check_imported(evaluation: Evaluation, prompts: Sequence[Prompt]) -> None:
    models = contestants(evaluation)
    imported = [model for model in models if model.family == ModelFamily.IMPORTED]
    for name, own in outputs_there(evaluation, imported, prompts).items():
        if not own:
            raise UserError(
                _(
                    "%(model)s is known by imported outputs only, and has none to any of these "
                    "prompts."
                )
                % {"model": name},
                code="no_outputs",
                field="candidates",
            )


def _check_own(project: Project, model: ModelVersion, *, field: str) -> None:
    if model.project_id != project.pk:
        raise UserError(
            _("%(model)s belongs to another project.") % {"model": model.name}, field=field
        )


def check_model(project: Project, model: ModelVersion, *, field: str) -> None:
    """
    Raises:
        UserError: it is another project's, or cannot answer.
    """
    _check_own(project, model, field=field)
    if not model.can_generate:
        raise UserError(
            (
                _("%(model)s is known by imported outputs only and cannot answer new prompts.")
                if model.family == ModelFamily.IMPORTED
                else _("%(model)s makes no outputs of this project's kind.")
            )
            % {"model": model.name},
            code="cannot_generate",
            field=field,
        )


def _have_votes(project: Project, models: Sequence[ModelVersion]) -> bool:
    """Whether anybody has voted on a pair of two of them."""
    votes = Judgment.objects.decisive().standing(project).filter(project=project)
    sides = {"pair__output_a__model__in": models, "pair__output_b__model__in": models}
    return votes.filter(**sides).exists()


def check_panel(project: Project, people: bool, judges: Sequence[Annotator]) -> None:
    """
    Raises:
        UserError: nobody compares, or a judge is another project's or cannot be asked.
    """
    if not people and not judges:
        raise UserError(
            _(
                "Say who compares: people, at least one AI judge or scorer, or both. Nobody need "
                "be asked where these models’ outputs have votes already; here they have none."
            ),
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
