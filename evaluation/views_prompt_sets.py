from __future__ import annotations

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from annotation.models import Prompt
from evaluation.forms_prompt_sets import PromptSetForm
from evaluation.gamed import MODELS, PUBLISHED, give_gamed, take_gamed
from evaluation.models import GamedFile, PromptSet
from evaluation.prompt_sets import EXAMPLE, delete_set, evaluations_on
from steelyard.accounts.people import user_of
from steelyard.lib.errors import UserError
from steelyard.projects.models import Modality
from steelyard.projects.policy import ADMINS, get_project, get_visible, role_in
from steelyard.registry.models import DatasetVersion

PER_PAGE = 50


def prompt_set_list(request: HttpRequest, project: str) -> HttpResponse:
    found = get_project(user_of(request), project)
    sets = PromptSet.objects.filter(project=found).annotate(size=Count("items"))
    sets = sets.order_by("-created_at", "-pk")
    context = {
        "project": found,
        "page": Paginator(sets, PER_PAGE).get_page(request.GET.get("page")),
    }
    return render(request, "evaluation/prompt_sets.html", context)


def prompt_set_new(request: HttpRequest, project: str) -> HttpResponse:
    found = get_project(user_of(request), project)
    form = PromptSetForm(
        request.POST or None, request.FILES or None, project=found, initial=request.GET.dict()
    )
    if request.method == "POST" and form.is_valid():
        try:
            return redirect(form.make(project=found, by=user_of(request)))
        except UserError as error:
            form.add_error(error.field if error.field in form.fields else None, error.message)
    context = {"project": found, "form": form, "example": EXAMPLE}
    return render(request, "evaluation/prompt_set_new.html", context)


def prompt_set_detail(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    rows = PromptSet.objects.select_related("project", "created_by")
    found = get_visible(rows, user_of(request), pk=pk, project__slug=project)
    items = found.items.select_related("prompt")
    counted = Prompt.objects.filter(prompt_sets=found).order_by().values_list("category")
    category = request.GET.get("category")
    if category is not None:
        items = items.filter(prompt__category=category)
    context = {
        "project": found.project,
        "set": found,
        "size": found.items.count(),
        "version": DatasetVersion.objects.filter(pk=found.made_from.get("version")).first(),
        "categories": counted.annotate(n=Count("pk")).order_by("-n", "category"),
        "category": category,
        "evaluations": evaluations_on(found).select_related("project"),
        "page": Paginator(items, PER_PAGE).get_page(request.GET.get("page")),
        "gamed": GamedFile.objects.filter(prompt_set=found).select_related("created_by").first(),
        "published": PUBLISHED,
        "is_admin": role_in(user_of(request), found.project) in ADMINS,
        "least_models": MODELS,
        "is_text": found.project.modality == Modality.TEXT,
    }
    return render(request, "evaluation/prompt_set.html", context)


@require_POST
def prompt_set_gamed_rows(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """Keep AlpacaEval's file for the set, or take it away."""
    rows = PromptSet.objects.select_related("project")
    found = get_visible(rows, user_of(request), ADMINS, pk=pk, project__slug=project)
    if "take" in request.POST:
        take_gamed(prompt_set=found, by=user_of(request))
        messages.success(request, _("The file of gamed rows is gone."))
        return redirect(found)
    file = request.FILES.get("file")
    try:
        if file is None:
            raise UserError(_("Choose the file first."), field="file")
        kept = give_gamed(
            prompt_set=found, data=file.read(), filename=file.name or "", by=user_of(request)
        )
    except UserError as error:
        messages.error(request, error.message)
        return redirect(found)
    words = _("%(name)s is kept: win rates at equal length are now as AlpacaEval defines them.")
    messages.success(request, words % {"name": kept.name})
    return redirect(found)


@require_POST
def prompt_set_delete(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    found = get_visible(PromptSet, user_of(request), pk=pk, project__slug=project)
    try:
        delete_set(prompt_set=found)
    except UserError as error:
        messages.error(request, error.message)
        return redirect(found)
    messages.success(request, _("The set is gone; its prompts stay."))
    return redirect("evaluation:prompt-set-list", project)
