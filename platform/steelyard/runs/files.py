"""Pictures and clips in a run's folder: what it made, for people of the project to look at."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.http import Http404, HttpRequest, HttpResponseBase
from django.urls import reverse
from django.views.decorators.http import require_safe

from steelyard.accounts.people import user_of
from steelyard.projects.policy import get_visible
from steelyard.runs.models import Run
from steelyard.web.ranges import serve_file

_MADE = re.compile(r"(?:samples|media)/[\w-]+\.(png|jpg|mp4)")
_MIME = {"png": "image/png", "jpg": "image/jpeg", "mp4": "video/mp4"}
_PNG = b"\x89PNG\r\n\x1a\n"


@require_safe
def run_file(request: HttpRequest, project: str, pk: int, name: str) -> HttpResponseBase:
    """A picture or clip that a run made."""
    rows = Run.objects.select_related("project")
    run = get_visible(rows, user_of(request), pk=pk, project__slug=project)
    return serve_made(request, run, name)


def serve_made(request: HttpRequest, run: Run, name: str) -> HttpResponseBase:
    """What the run was given lies there without an ending, and is not served.

    Raises:
        Http404: the run made no file of that name.
    """
    known = _MADE.fullmatch(name)
    path = run.dir.path / name
    if known is None or not path.is_file():
        raise Http404("The run made no such file.")
    about = path.stat()
    response = serve_file(
        request,
        path,
        size=about.st_size,
        etag=f'"{run.uuid}-{about.st_mtime_ns}"',
        mime=_MIME[known[1]],
        modified=datetime.fromtimestamp(about.st_mtime, UTC),
    )
    response["Cache-Control"] = "private, max-age=86400"
    response["Cross-Origin-Resource-Policy"] = "same-origin"
    return response


def shot_of(run: Run, name: Any) -> Mapping[str, Any] | None:
    """What a page needs to show a file of a run: ``url``, ``poster`` (of clips, empty where there
    is none), ``is_clip``, ``width`` and ``height`` of pictures; None where it is not there."""
    if not isinstance(name, str) or not _MADE.fullmatch(name):
        return None
    path = run.dir.path / name
    if not path.is_file():
        return None
    poster = Path(name).with_suffix(".jpg")
    clip = path.suffix == ".mp4"
    has_poster = clip and (run.dir.path / poster).is_file()
    width, height = (None, None) if clip else _size_of(path)
    return {
        "url": _url(run, name),
        "poster": _url(run, str(poster)) if has_poster else "",
        "is_clip": clip,
        "width": width,
        "height": height,
    }


def address_of(run: Run, name: Any) -> str | None:
    """Where the API has a file of a run; None where it is not there."""
    if not isinstance(name, str) or not _MADE.fullmatch(name):
        return None
    if not (run.dir.path / name).is_file():
        return None
    return reverse("api:run-made", args=[run.project.slug, run.pk, name])


def _url(run: Run, name: str) -> str:
    return reverse("runs:run-file", args=[run.project.slug, run.pk, name])


def _size_of(path: Path) -> tuple[int, int] | tuple[None, None]:
    """Width and height of a PNG, by its first bytes."""
    with path.open("rb") as stream:
        head = stream.read(24)
    if len(head) < 24 or not head.startswith(_PNG):
        return None, None
    return int.from_bytes(head[16:20]), int.from_bytes(head[20:24])
