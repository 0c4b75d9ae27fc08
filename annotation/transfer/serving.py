"""Sending what a run has written: an export's files, whole or in part, and an import's errors."""

from __future__ import annotations

from pathlib import Path

from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.utils.http import quote_etag

from annotation.transfer.outgoing import mime_of
from steelyard.runs.models import Run
from steelyard.web.ranges import serve_file


def serve_export(request: HttpRequest, run: Run, name: str) -> HttpResponseBase:
    """One file of an export. The caller has authorised.

    Raises:
        Http404: the run has not made such a file.
    """
    said = {file["name"]: file for file in (run.result or {}).get("files", [])}
    path = run.dir.path / "files" / name
    # only a name that the run itself has told is a file's
    if run.state != "succeeded" or name not in said or not path.exists():
        raise Http404("This run has made no such file.")
    return _sent(request, path, said[name]["sha256"], name, mime_of(name), run)


def serve_errors(request: HttpRequest, run: Run) -> HttpResponseBase:
    """What was wrong in an import, a line each.

    Raises:
        Http404: nothing was.
    """
    path = run.dir.path / "errors.jsonl"
    if run.is_active or not path.exists():
        raise Http404("This import has no errors, or goes on.")
    etag = f"{run.uuid}-{path.stat().st_size}"
    return _sent(request, path, etag, f"import-{run.pk}-errors.jsonl", mime_of(path.name), run)


def _sent(
    request: HttpRequest, path: Path, etag: str, name: str, mime: str, run: Run
) -> HttpResponseBase:
    response = serve_file(
        request,
        path,
        size=path.stat().st_size,
        etag=quote_etag(etag),
        mime=mime,
        modified=run.finished_at,
    )
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Cache-Control"] = "private, no-cache"
    return response
