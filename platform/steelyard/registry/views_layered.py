"""The page on which a pipeline is written, checked and added."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from steelyard.accounts.people import user_of
from steelyard.inference.pipelines.config import KEYS
from steelyard.lib.errors import UserError
from steelyard.projects.models import Project
from steelyard.projects.policy import get_project
from steelyard.registry.forms_layered import PipelineForm, as_text
from steelyard.registry.layered import (
    TITLES,
    add_pipeline,
    checked,
    examples,
    in_words,
    members_of,
)
from steelyard.registry.models import ModelFamily, ModelVersion


def pipeline_new(request: HttpRequest, project: str) -> HttpResponse:
    """Sent with ``check``, the layers are shown in words and nothing is kept."""
    found = get_project(user_of(request), project)
    names = list(members_of(found))
    ready = examples(names) if names else {}
    form = PipelineForm(request.POST or None, initial=_initial(request, found, ready))
    config = None
    if request.method == "POST" and form.is_valid():
        said = form.cleaned_data
        try:
            config, _members = checked(found, said["layers"], said["name"])
            if "check" not in request.POST:
                return redirect(add_pipeline(project=found, by=user_of(request), **said))
        except UserError as error:
            form.add_error(error.field if error.field in form.fields else None, error.message)
    context = {
        "project": found,
        "form": form,
        "names": names,
        "examples": [(key, title) for key, (title, _layers) in ready.items()],
        "layers": in_words(config) if config else None,
        "calls": config.calls if config else 0,
        "types": [(kind, TITLES[kind], sorted(KEYS[kind] - {"type", "model"})) for kind in KEYS],
    }
    return render(request, "registry/pipeline_new.html", context)


def _initial(request: HttpRequest, project: Project, ready: dict[str, Any]) -> dict[str, str]:
    """The example that is asked for, the pipeline to begin from, or the first example."""
    if (number := request.GET.get("from", "")).isdecimal():
        rows = ModelVersion.objects.filter(project=project, family=ModelFamily.PIPELINE)
        if model := rows.filter(pk=int(number) % 2**63).first():
            return {"layers": as_text(model.options["layers"])}
    key = request.GET.get("example", "")
    if not ready:
        return {}
    title, layers = ready.get(key) or next(iter(ready.values()))
    return (
        {"name": title, "layers": as_text(layers)} if key in ready else {"layers": as_text(layers)}
    )
