"""Files of any format: what one is and how it is read; and versions written in any format."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from annotation.formats import FORMATS
from annotation.forms.transfer import ExportForm, ReadForm, format_choices
from annotation.services import transfer
from annotation.transfer.incoming import read_errors
from annotation.transfer.serving import serve_errors, serve_export
from steelyard.accounts.people import user_of
from steelyard.lib.errors import UserError
from steelyard.projects.policy import get_project, get_visible
from steelyard.registry.models import DatasetVersion
from steelyard.runs.models import Run

SHOWN_ERRORS = 20
_CELL = 200


@require_POST
def import_upload(request: HttpRequest, project: str) -> HttpResponse:
    """Keep the file; the next page says what it looks like."""
    found = get_project(user_of(request), project)
    given = request.FILES.get("file")
    if given is None or not given.name:
        raise UserError(_("Choose a file."), code="no_file", field="file")
    upload = transfer.receive(project=found, name=given.name, data=given, by=user_of(request))
    return redirect("annotation:import-file", found.slug, upload.uuid)


def import_file(request: HttpRequest, project: str, uuid: UUID) -> HttpResponse:
    """The first rows of a file that was sent, what it is guessed to be, and the way to read it."""
    found = get_project(user_of(request), project)
    upload = transfer.upload_of(project=found, uuid=uuid)
    try:
        seen = transfer.look(upload.path, upload.name)
    except UserError:
        transfer.discard(upload)
        raise
    form = ReadForm(request.POST or None, project=found, seen=seen)
    if request.method == "POST" and form.is_valid():
        try:
            run = transfer.start_import(
                project=found, upload=upload, said=form.as_request(), by=user_of(request)
            )
        except UserError as error:
            form.add_error(error.field if error.field in form.fields else None, error.message)
        else:
            return redirect(run)
    context = {
        "project": found,
        "upload": upload,
        "seen": seen,
        "rows": [[_shown(row.values.get(name)) for name in seen.columns] for row in seen.rows],
        "form": form,
    }
    return render(request, "annotation/import_file.html", context)


def import_of_run(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """A fragment for the run's page: what came in and what did not."""
    run = _run(request, project, pk, "import")
    context = {
        "project": run.project,
        "run": run,
        "asked": run.spec["asked"],
        "format": FORMATS[run.spec["asked"]["format"]].title,
        "taken": transfer.taken_of(run),
        "errors": read_errors(transfer.errors_of(run), SHOWN_ERRORS),
    }
    return render(request, "annotation/import_file.html#of-run", context)


def import_errors(request: HttpRequest, project: str, pk: int) -> HttpResponseBase:
    return serve_errors(request, _run(request, project, pk, "import"))


def export_new(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """GET shows a format's choices (the format is in the URL); POST writes the version."""
    rows = DatasetVersion.objects.with_names().select_related("project")
    version = get_visible(rows, user_of(request), pk=pk, project__slug=project)
    known = format_choices(version)
    name = request.GET.get("format", "")
    format = next((each for each in known if each.name == name), known[0])
    form = ExportForm(request.POST or None, version=version, format=format)
    if request.method == "POST" and form.is_valid():
        try:
            run = transfer.start_export(version=version, order=form.as_order(), by=user_of(request))
        except UserError as error:
            form.add_error(error.field if error.field in form.fields else None, error.message)
        else:
            return redirect(run)
    context = {
        "project": version.project,
        "version": version,
        "formats": known,
        "format": format,
        "form": form,
    }
    return render(request, "annotation/export_new.html", context)


def export_of_run(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """A fragment for the run's page: the files, and what was left out."""
    run = _run(request, project, pk, "export")
    said: dict[str, Any] = run.result if run.state == "succeeded" and run.result else {}
    context = {"project": run.project, "run": run, "said": said}
    return render(request, "annotation/export_new.html#of-run", context)


def export_file(request: HttpRequest, project: str, pk: int, name: str) -> HttpResponseBase:
    return serve_export(request, _run(request, project, pk, "export"), name)


def _run(request: HttpRequest, project: str, pk: int, kind: str) -> Run:
    rows = Run.objects.select_related("project")
    return get_visible(rows, user_of(request), pk=pk, project__slug=project, kind=kind)


def _shown(value: Any) -> str:
    """A cell as a line of text."""
    if value is None:
        return ""
    if isinstance(value, bytes) or (isinstance(value, dict) and "bytes" in value):
        return "…"
    text = value if isinstance(value, str) else str(value)
    return text if len(text) <= _CELL else f"{text[:_CELL]}…"
