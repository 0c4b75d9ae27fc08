"""Sending a file, whole or in part, as RFC 9110 has it: a browser seeks in a video by asking for
ranges, a reader of Parquet asks for the columns that it wants."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.http import http_date

_CHUNK = 256 * 1024
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def serve_file(
    request: HttpRequest,
    path: Path,
    *,
    size: int,
    etag: str,
    mime: str,
    modified: datetime | None = None,
) -> HttpResponseBase:
    """200, 206 for one range, 304, or 416. The caller has authorised, and knows the file is there.

    Several ranges at once, a unit other than bytes and a range that cannot be read are answered
    with the whole file, as the standard allows.

    Args:
        etag: strong, with its quotes.
        modified: since when the file is as it is.
    """
    headers = {"Content-Type": mime, "ETag": etag, "Accept-Ranges": "bytes"}
    headers["X-Content-Type-Options"] = "nosniff"
    if modified:
        headers["Last-Modified"] = http_date(int(modified.timestamp()))
    if _has_it(request, etag, modified):
        return HttpResponse(status=304, headers=headers)
    span = _span(request, etag, size, headers.get("Last-Modified"))
    if span is None:
        return _body(request, path, 0, size, 200, headers)
    first, end = span
    if first >= end:
        return HttpResponse(status=416, headers={**headers, "Content-Range": f"bytes */{size}"})
    headers["Content-Range"] = f"bytes {first}-{end - 1}/{size}"
    return _body(request, path, first, end, 206, headers)


def _has_it(request: HttpRequest, etag: str, modified: datetime | None) -> bool:
    """Whether the caller says that it has the file as it is; what it says by ETag counts first."""
    if said := request.headers.get("If-None-Match"):
        tags = [tag.strip().removeprefix("W/") for tag in said.split(",")]
        return etag in tags or "*" in tags
    try:
        since = parsedate_to_datetime(request.headers.get("If-Modified-Since", ""))
        return modified is not None and int(modified.timestamp()) <= since.timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return False


def _span(
    request: HttpRequest, etag: str, size: int, modified: str | None
) -> tuple[int, int] | None:
    """First byte and the one after the last; None for the whole file; first ≥ end for none."""
    same = request.headers.get("If-Range", etag) in {etag, modified}
    if request.method != "GET" or not same:
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
    request: HttpRequest, path: Path, first: int, end: int, status: int, headers: dict[str, str]
) -> HttpResponseBase:
    # packed already, and a compressed part would be no part of the file
    request.META.pop("HTTP_ACCEPT_ENCODING", None)
    headers = {**headers, "Content-Length": str(end - first)}
    if request.method == "HEAD":
        return HttpResponse(status=status, headers=headers)
    return StreamingHttpResponse(_read(path, first, end), status=status, headers=headers)


def _read(path: Path, first: int, end: int) -> Iterator[bytes]:
    with path.open("rb") as stream:
        stream.seek(first)
        left = end - first
        while left > 0 and (chunk := stream.read(min(_CHUNK, left))):
            left -= len(chunk)
            yield chunk
