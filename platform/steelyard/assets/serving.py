"""Sending a stored file, whole or in part: a browser seeks in a video by asking for ranges."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse

from steelyard.assets.blobs import blob_path

_CHUNK = 256 * 1024
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


class Stored(Protocol):
    """An asset or a rendition: what the store has under a SHA-256."""

    sha256: str
    mime: str
    size: int


def serve(request: HttpRequest, file: Stored) -> HttpResponseBase:
    """The file as RFC 9110 has it: 200, 206 for one range, 304, or 416. The caller has authorised.

    Several ranges at once, a unit other than bytes and a range that cannot be read are answered
    with the whole file, as the standard allows.
    """
    path = blob_path(file.sha256)
    if not path.exists():
        raise Http404("The file is gone from the store.")
    etag = f'"{file.sha256}"'
    if etag in _tags(request.headers.get("If-None-Match", "")):
        return _labelled(HttpResponse(status=304), file, etag)
    span = _span(request, etag, file.size)
    if span is None:
        return _body(request, file, path, 0, file.size, status=200)
    first, end = span
    if first >= end:
        response = _labelled(HttpResponse(status=416), file, etag)
        response["Content-Range"] = f"bytes */{file.size}"
        return response
    response = _body(request, file, path, first, end, status=206)
    response["Content-Range"] = f"bytes {first}-{end - 1}/{file.size}"
    return response


def _span(request: HttpRequest, etag: str, size: int) -> tuple[int, int] | None:
    """First byte and the one after the last; None for the whole file; first ≥ end for none."""
    if request.method != "GET" or request.headers.get("If-Range", etag) != etag:
        return None
    match = _RANGE.fullmatch(request.headers.get("Range", "").replace(" ", ""))
    if match is None or not any(match.groups()):
        return None
    first, last = match.groups()
    if not first:  # the last so many bytes
        return (max(0, size - int(last)), size) if int(last) else (size, size)
    if last and int(last) < int(first):
        return None
    return int(first), min(size, int(last) + 1) if last else size


def _body(
    request: HttpRequest, file: Stored, path: Path, first: int, end: int, *, status: int
) -> HttpResponseBase:
    # packed already, and a compressed part would be no part of the file
    request.META.pop("HTTP_ACCEPT_ENCODING", None)
    response: HttpResponseBase
    if request.method == "HEAD":
        response = HttpResponse(status=status)
    else:
        response = StreamingHttpResponse(_read(path, first, end), status=status)
    response["Content-Length"] = str(end - first)
    return _labelled(response, file, f'"{file.sha256}"')


def _labelled(response: HttpResponseBase, file: Stored, etag: str) -> HttpResponseBase:
    response["Content-Type"] = file.mime
    response["ETag"] = etag
    response["Accept-Ranges"] = "bytes"
    response["Cache-Control"] = "private, max-age=31536000, immutable"
    response["X-Content-Type-Options"] = "nosniff"
    response["Cross-Origin-Resource-Policy"] = "same-origin"
    return response


def _tags(header: str) -> list[str]:
    return [tag.strip().removeprefix("W/") for tag in header.split(",")]


def _read(path: Path, first: int, end: int) -> Iterator[bytes]:
    with path.open("rb") as stream:
        stream.seek(first)
        left = end - first
        while left > 0 and (chunk := stream.read(min(_CHUNK, left))):
            left -= len(chunk)
            yield chunk
