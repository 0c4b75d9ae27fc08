"""Outputs made on request: models answer prompts, and where it is wanted the answers come in pairs
into the labelling queue. What is judged there makes the version that the next model learns from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from annotation.models import Prompt
from annotation.services.material import add_prompt
from evaluation.prompts import chosen_prompts
from evaluation.sampling import check_shapes, checked_sampling, sampling_used
from evaluation.services import check_model, usual_seeds
from evaluation.titles import TITLES
from steelyard.accounts.models import User
from steelyard.lib.errors import UserError
from steelyard.lib.said import Said, together
from steelyard.projects.models import Modality, Project
from steelyard.registry.models import DatasetVersion, ModelVersion
from steelyard.runs.models import Run
from steelyard.runs.services import start_run

PAIRINGS = ("models", "seeds", "none")
MOST_SAMPLES = 64
MOST_TYPED = 1000
LONGEST = 8000


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
    by: User | None,
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
        UserError: as :func:`start_generation`.
    """
    alone = opponent is None or opponent == model
    return start_generation(
        project=project,
        models=[model] if alone or opponent is None else [model, opponent],
        prompt_set={"held_out": False, "category": category, "limit": limit},
        samples=2 if alone else 1,
        pairing="seeds" if alone else "models",
        sampling=sampling,
        seed=seed,
        title="title_new_pairs",
        by=by,
    )


@transaction.atomic
def start_generation(
    *,
    project: Project,
    models: Sequence[ModelVersion],
    prompt_set: dict[str, Any] | None = None,
    prompts: Sequence[str] = (),
    samples: int = 1,
    pairing: str = "models",
    same_seeds: bool | None = None,
    sampling: dict[str, Any] | None = None,
    seed: int | None = None,
    title: str = "title_generate",
    by: User | None,
) -> Run:
    """Ask models for outputs of prompts, some to each.

    Args:
        prompt_set: as of :func:`evaluation.prompts.chosen_prompts`; those that are not held out
            where nothing is said.
        prompts: words of prompts instead; what is not in the project yet is added, not held out.
        samples: outputs of each model to each prompt, each of another seed.
        pairing: ``models`` puts each two models' outputs to a prompt into the labelling queue as a
            pair, ``seeds`` each output beside the model's next one, ``none`` only makes them.
        same_seeds: whether models draw from the same seeds; None is as for evaluations.
        sampling: as of :func:`evaluation.services.start_evaluation`.
        seed: decides the outputs, and which prompts where there is a limit; another one each time
            where nothing is said.
        title: the code of what it is called.

    Raises:
        UserError: a model cannot generate, there are no such prompts, what is asked for makes no
            pair, or a setting is unknown or out of bounds.
    """
    models = list(dict.fromkeys(models))
    if not models:
        raise UserError(_("Choose at least one model."), field="models")
    for one in models:
        check_model(project, one, field="models")
    chosen = checked_sampling(project, sampling or {})
    check_shapes(models, chosen)
    _check_pairing(project, models, samples, pairing, chosen)
    seed = next_seed(project) if seed is None else seed
    known = _typed(project, prompts) if prompts else _checked_set(project, prompt_set or {}, seed)
    if not chosen_prompts(project, known, models):
        raise UserError(
            _("There is no such prompt to answer. Bring some in under Import, or type them."),
            code="no_prompts",
            field="category",
        )
    spec = {
        "models": [model.pk for model in models],
        "prompt_set": known,
        "samples": samples,
        "pairing": pairing,
        "same_seeds": usual_seeds(project) if same_seeds is None else same_seeds,
        "sampling": chosen,
        "seed": seed,
    }
    called = Said(TITLES, title, models=together([model.name for model in models], "and"))
    return start_run(project=project, kind="round", title=called, spec=spec, by=by)


def next_seed(project: Project) -> int:
    """One that no round of the project had, unless it was chosen by hand: with the same seed a
    model writes the same answers again."""
    return Run.objects.filter(project=project, kind="round").count() + 1


def _check_pairing(
    project: Project,
    models: Sequence[ModelVersion],
    samples: int,
    pairing: str,
    sampling: dict[str, Any],
) -> None:
    if pairing not in PAIRINGS:
        raise UserError(
            _("pairing must be one of %(names)s.") % {"names": ", ".join(PAIRINGS)},
            field="pairing",
        )
    if not 1 <= samples <= MOST_SAMPLES:
        raise UserError(
            _("samples must be a whole number, 1 to %(most)s.") % {"most": MOST_SAMPLES},
            field="samples",
        )
    if pairing == "models" and len(models) < 2:
        raise UserError(
            _(
                "Pairs between models need two of them. Choose another model, or pairs between "
                "the seeds of one."
            ),
            code="no_pairs",
            field="pairing",
        )
    if pairing == "seeds" and samples < 2:
        raise UserError(
            _("Pairs between seeds need at least 2 outputs to each prompt."),
            code="no_pairs",
            field="samples",
        )
    for model in models if samples > 1 and project.modality == Modality.TEXT else ():
        if not sampling_used(model, sampling)["temperature"]:
            raise UserError(
                _(
                    "At temperature 0 a model writes the same answer twice. Choose one above 0, or "
                    "another model beside it."
                ),
                code="no_pairs",
                field="temperature",
            )


def _checked_set(project: Project, asked: dict[str, Any], seed: int) -> dict[str, Any]:
    """With all that it may leave out."""
    known: dict[str, Any] = {
        "category": asked.get("category") or "",
        "limit": asked.get("limit") or 0,
        "held_out": bool(asked.get("held_out")),
        "seed": seed,
    }
    if version := asked.get("version"):
        found = DatasetVersion.objects.filter(project=project, pk=version).first()
        if found is None:
            raise UserError(
                _("This project has no dataset version of that number."),
                code="unknown_version",
                field="version",
            )
        if found.lost:
            raise UserError(
                _("The rows of %(version)s are not on this server's disk.") % {"version": found},
                code="version_lost",
                field="version",
            )
        known["version"] = found.pk
    return known


def _typed(project: Project, words: Sequence[str]) -> dict[str, Any]:
    """The prompts of these words, those added that are not there."""
    told = list(dict.fromkeys(line.strip() for line in words if line.strip()))
    if not told:
        raise UserError(
            _("Type at least one prompt, one a line."), code="no_prompts", field="prompts"
        )
    if len(told) > MOST_TYPED or any(len(line) > LONGEST for line in told):
        raise UserError(
            _(
                "At most %(most)s prompts at a time, each of at most %(longest)s characters. "
                "Bring more in as a file under Import."
            )
            % {"most": MOST_TYPED, "longest": LONGEST},
            code="too_many_prompts",
            field="prompts",
        )
    added: list[Prompt] = [
        add_prompt(project=project, messages=[{"role": "user", "content": line}]) for line in told
    ]
    return {"keys": [prompt.key for prompt in added]}
