from __future__ import annotations

from typing import Any

from django.core.paginator import Paginator
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from annotation.models import Output, Prompt
from evaluation import insight
from evaluation.features import CONTROL_WORDS
from evaluation.forms import EvaluationForm
from evaluation.forms_outputs import RoundForm
from evaluation.media_style import media_style
from evaluation.models import Evaluation
from evaluation.presets import PRESETS, presets_for
from evaluation.prompts import source_of
from evaluation.sampling import sampling_used
from evaluation.services import start_evaluation
from evaluation.services_round import next_seed, start_round
from evaluation.standings import withdrawn_votes
from steelyard.accounts.people import user_of
from steelyard.lib.errors import UserError
from steelyard.projects.models import Role
from steelyard.projects.policy import get_project, get_visible, role_in
from steelyard.registry.models import ModelVersion

PER_PAGE = 25
PER_PART = 10


def evaluation_list(request: HttpRequest, project: str) -> HttpResponse:
    found = get_project(user_of(request), project)
    rows = Evaluation.objects.filter(project=found).with_progress().with_parts()
    rows = rows.order_by("-created_at", "-pk")
    page = Paginator(rows, PER_PAGE).get_page(request.GET.get("page"))
    return render(request, "evaluation/evaluations.html", {"project": found, "page": page})


def evaluation_new(request: HttpRequest, project: str) -> HttpResponse:
    found = get_project(user_of(request), project)
    presets = presets_for(found.modality)
    preset = presets.get(request.POST.get("preset") or request.GET.get("preset") or "")
    aspects = found.scheme["aspects"]
    initial = {**request.GET.dict(), "candidates": request.GET.getlist("model")}
    form = EvaluationForm(
        request.POST or None,
        project=found,
        initial=initial | (preset.initial(aspects) if preset else {}),
    )
    if request.method == "POST" and form.is_valid():
        try:
            evaluation = start_evaluation(project=found, by=user_of(request), **form.as_request())
        except UserError as error:
            form.add_error(error.field if error.field in form.fields else None, error.message)
        else:
            return redirect(evaluation)
    held_out = Prompt.objects.filter(project=found, held_out=True).count()
    context = {
        "project": found,
        "form": form,
        "held_out": held_out,
        "presets": presets,
        "preset": preset,
        "lacks": preset.lacks(aspects) if preset else [],
    }
    return render(request, "evaluation/evaluation_new.html", context)


def round_new(request: HttpRequest, project: str) -> HttpResponse:
    """Let a model answer prompts that may be trained on, and put the pairs into the queue."""
    found = get_project(user_of(request), project)
    initial = {"seed": next_seed(found), **request.GET.dict()}
    form = RoundForm(request.POST or None, project=found, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            return redirect(start_round(project=found, by=user_of(request), **form.as_request()))
        except UserError as error:
            form.add_error(error.field if error.field in form.fields else None, error.message)
    prompts = Prompt.objects.filter(project=found, held_out=False).count()
    context = {"project": found, "form": form, "prompts": prompts}
    return render(request, "evaluation/round_new.html", context)


def evaluation_detail(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    rows = Evaluation.objects.with_progress().with_parts()
    evaluation = get_visible(rows, user_of(request), pk=pk, project__slug=project)
    fragment = bool(request.htmx)  # type: ignore[attr-defined]
    found = insight.page(evaluation, request.GET, whole=not fragment)
    comparisons = evaluation.comparisons.with_sides().with_votes(evaluation.project)
    comparisons = comparisons.order_by("pk")
    if found["chosen"] is not None:
        comparisons = comparisons.filter(candidate=found["chosen"])
    closer = found.get("closer")
    context = found | {
        "media": closer and media_style(evaluation, closer.candidate.pk, closer.source),
        "control_words": CONTROL_WORDS,
        "project": evaluation.project,
        "evaluation": evaluation,
        "withdrawn": withdrawn_votes(evaluation),
        "samplings": samplings_of(evaluation, found["candidates"]),
        "page": Paginator(comparisons, PER_PART).get_page(request.GET.get("page")),
        "working": evaluation.is_working,
        "may_stop": role_in(user_of(request), evaluation.project) == Role.ADMIN,
        "source": source_of(evaluation.project, evaluation.prompt_set),
        "protocol": PRESETS.get(evaluation.preset),
    }
    part = "#standing" if fragment else ""
    return render(request, f"evaluation/evaluation.html{part}", context)


def samplings_of(
    evaluation: Evaluation, candidates: list[ModelVersion]
) -> list[tuple[ModelVersion, dict[str, Any] | None]]:
    """How each model really answers; None of one that was not asked, since its outputs are from a
    file."""
    models = [evaluation.baseline, *candidates]
    return [(m, sampling_used(m, evaluation.sampling) if m.can_generate else None) for m in models]


def evaluations_for_model(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """A fragment for the model's page."""
    found = get_project(user_of(request), project)
    rows = Evaluation.objects.filter(project=found, candidates=pk).with_parts()
    context = {"project": found, "evaluations": rows, "model_pk": pk}
    return render(request, "evaluation/evaluations.html#brief", context)


def rankings_for_version(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """A fragment for the version's page: where the models that were trained on it are ranked."""
    found = get_project(user_of(request), project)
    models = ModelVersion.objects.filter(project=found, trained_on=pk)
    rows = Evaluation.objects.filter(project=found)
    compared = rows.filter(Q(candidates__in=models) | Q(baseline__in=models)).distinct()
    ranked = models.filter(outputs__in=Output.objects.filter(project=found)).distinct()
    context = {"project": found, "evaluations": compared.with_parts(), "ranked": ranked}
    return render(request, "evaluation/evaluations.html#of-version", context)
