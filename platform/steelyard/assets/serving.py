"""Sending a stored file, whole or in part."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from django.http import Http404, HttpRequest, HttpResponseBase

from steelyard.assets.blobs import blob_path
from steelyard.web.ranges import serve_file


class Stored(Protocol):
    """An asset or a rendition: what the store has under a SHA-256."""

    sha256: str
    mime: str
    size: int
    created_at: datetime


def serve(request: HttpRequest, file: Stored) -> HttpResponseBase:
    """The file, for good: another content has another SHA-256. The caller has authorised."""
    path = blob_path(file.sha256)
    if not path.exists():
        raise Http404("The file is gone from the store.")
    response = serve_file(
        request,
        path,
        size=file.size,
        etag=f'"{file.sha256}"',
        mime=file.mime,
        modified=file.created_at,
    )
    response["Cache-Control"] = "private, max-age=31536000, immutable"
    response["Cross-Origin-Resource-Policy"] = "same-origin"
    return response
