"""AI judges: making one, and asking it to judge."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from annotation.models import Annotator, Pair
from annotation.querysets import PairQuerySet
from annotation.services.asking import start_asking
from annotation.services.scoring import scorable, start_scoring
from steelyard.accounts.models import User
from steelyard.lib.errors import UserError
from steelyard.projects.models import Modality, Project
from steelyard.registry.models import ModelVersion
from steelyard.runs.models import Run

WHICH = {
    "unjudged": gettext_lazy("All pairs that it has not judged yet"),
    "unlabelled": gettext_lazy("Of these, only pairs that no person has judged"),
    "labelled": gettext_lazy("Of these, only pairs that people have judged"),
}
PROMPTS = {
    "": gettext_lazy("all"),
    "training": gettext_lazy("those that versions may contain"),
    "held_out": gettext_lazy("those that are held out"),
}
DEFAULT_CRITERIA = (
    "Which answer helps more the person who asked? Correct beats wrong; of two correct answers, "
    "prefer the one that does what was asked, clearly and without padding."
)
MAX_NEW_TOKENS = 4096


@transaction.atomic
def create_judge(
    *,
    project: Project,
    name: str,
    model: ModelVersion,
    criteria: str,
    sampling: dict[str, Any] | None = None,
) -> Annotator:
    """Make an annotator of a model and what it is told to look for.

    Args:
        sampling: ``temperature`` and ``max_new_tokens``.

    Raises:
        UserError: the model cannot judge here, the name is taken, or the sampling is out of
            bounds.
    """
    name = " ".join(name.split())
    if not name or len(name) > 150:
        raise UserError(_("A judge needs a name of at most 150 characters."), field="name")
    if not criteria.strip():
        raise UserError(_("Say what the judge is to look for."), field="criteria")
    _check_model(project, model)
    values = {"temperature": 0.0, "max_new_tokens": 256, **(sampling or {})}
    _check_sampling(values)
    judge, created = Annotator.objects.get_or_create(
        project=project,
        name=name,
        defaults={
            "kind": Annotator.Kind.JUDGE,
            "model": model,
            "criteria": criteria.strip(),
            "sampling": values,
        },
    )
    if not created:
        raise UserError(
            _("An annotator of this project is called “%(name)s” already; choose another name.")
            % {"name": name},
            code="name_taken",
            status=409,
            field="name",
        )
    return judge


@transaction.atomic
def start_judging(*, judge: Annotator, pairs: Iterable[Pair], by: User | None) -> Run:
    """Start a run in which the judge compares each pair in both orders.

    Its verdicts come in as judgments while the run goes on; they take no place of a person's. A
    scorer is started as :func:`.scoring.start_scoring` does.
    Pairs that the judge has judged already are left out, and those that are taken out, are for
    training or have a prompt with media.

    Raises:
        UserError: the annotator is no judge that can be asked, or nothing is left for it.
    """
    if judge.kind == Annotator.Kind.JUDGE and judge.scorer:
        return start_scoring(judge=judge, pairs=pairs, by=by)
    if judge.kind != Annotator.Kind.JUDGE or judge.model is None:
        raise UserError(
            _("%(judge)s has no model to ask; its votes came from a file.") % {"judge": judge.name},
            code="not_a_judge",
        )
    _check_model(judge.project, judge.model)
    return start_asking(
        judge=judge,
        pairs=pairs,
        open_pairs=_judgeable(judge),
        kind="judge",
        verb="judges",
        by=by,
    )


def pairs_for(
    *, judge: Annotator, which: str, category: str = "", prompts: str = "", limit: int = 0
) -> list[Pair]:
    """The pairs that a choice on the page means, oldest first.

    Args:
        which: a key of :data:`WHICH`.
        prompts: a key of :data:`PROMPTS`.
        limit: at most so many; 0 for all.
    """
    pairs = pairs_left(judge, which)
    if category:
        pairs = pairs.filter(prompt__category=category)
    if prompts:
        pairs = pairs.filter(prompt__held_out=prompts == "held_out")
    return list(pairs.only("pk")[:limit] if limit else pairs.only("pk"))


def pairs_left(judge: Annotator, which: str) -> PairQuerySet:
    """All that ``which`` speaks of, oldest first."""
    if which not in WHICH:
        raise UserError(
            _("which is %(which)s; it must be one of %(names)s.")
            % {"which": f"{which!r}", "names": ", ".join(WHICH)},
            field="which",
        )
    pairs = _judgeable(judge).order_by("pk")
    if which == "unlabelled":
        return pairs.filter(judged=0)
    return pairs.filter(judged__gt=0) if which == "labelled" else pairs


def _judgeable(judge: Annotator) -> PairQuerySet:
    """Judges read text: what a prompt's picture shows, they would have to guess."""
    if judge.scorer:
        return scorable(judge)
    return Pair.objects.filter(
        project=judge.project_id, closed=False, is_training=False, prompt__media=[]
    ).not_seen_by(judge)


def _check_model(project: Project, model: ModelVersion) -> None:
    if model.project_id != project.pk:
        raise UserError(
            _("%(model)s belongs to another project.") % {"model": model.name}, field="model"
        )
    if project.modality != Modality.TEXT:
        raise UserError(
            _(
                "AI judges read text; this project is of another kind (%(modality)s). Let "
                "people judge it."
            )
            % {"modality": project.get_modality_display().lower()},
            code="wrong_modality",
        )
    if not model.can_generate or model.modality != Modality.TEXT:
        raise UserError(
            _(
                "%(model)s cannot write: it is known by imported outputs only. Choose a "
                "language model or an endpoint."
            )
            % {"model": model.name},
            code="cannot_generate",
            field="model",
        )


def _check_sampling(values: dict[str, Any]) -> None:
    if unknown := set(values) - {"temperature", "max_new_tokens"}:
        raise UserError(
            _("A judge's sampling has no %(unknown)s.") % {"unknown": f"{sorted(unknown)[0]!r}"},
            field="sampling",
        )
    temperature, tokens = values["temperature"], values["max_new_tokens"]
    if type(temperature) not in {int, float} or not 0 <= temperature <= 2:
        raise UserError(_("temperature must be a number, 0 to 2."), field="temperature")
    if type(tokens) is not int or not 1 <= tokens <= MAX_NEW_TOKENS:
        raise UserError(
            _("max_new_tokens must be a whole number, 1 to %(max_new_tokens)s.")
            % {"max_new_tokens": MAX_NEW_TOKENS},
            field="max_new_tokens",
        )
