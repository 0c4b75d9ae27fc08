"""Sending a stored file, whole or in part: a browser seeks in a video by asking for ranges."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse

from steelyard.assets.models import Asset
from steelyard.assets.services import blob_path

_CHUNK = 256 * 1024
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def serve(request: HttpRequest, asset: Asset) -> HttpResponseBase:
    """The file as RFC 9110 has it: 200, 206 for one range, 304, or 416. The caller has authorised.

    Several ranges at once, a unit other than bytes and a range that cannot be read are answered
    with the whole file, as the standard allows.
    """
    path = blob_path(asset.sha256)
    if not path.exists():
        raise Http404("The file is gone from the store.")
    etag = f'"{asset.sha256}"'
    if etag in _tags(request.headers.get("If-None-Match", "")):
        return _labelled(HttpResponse(status=304), asset, etag)
    span = _span(request, etag, asset.size)
    if span is None:
        return _body(request, asset, path, 0, asset.size, status=200)
    first, end = span
    if first >= end:
        response = _labelled(HttpResponse(status=416), asset, etag)
        response["Content-Range"] = f"bytes */{asset.size}"
        return response
    response = _body(request, asset, path, first, end, status=206)
    response["Content-Range"] = f"bytes {first}-{end - 1}/{asset.size}"
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
    request: HttpRequest, asset: Asset, path: Path, first: int, end: int, *, status: int
) -> HttpResponseBase:
    # packed already, and a compressed part would be no part of the file
    request.META.pop("HTTP_ACCEPT_ENCODING", None)
    response: HttpResponseBase
    if request.method == "HEAD":
        response = HttpResponse(status=status)
    else:
        response = StreamingHttpResponse(_read(path, first, end), status=status)
    response["Content-Length"] = str(end - first)
    return _labelled(response, asset, f'"{asset.sha256}"')


def _labelled(response: HttpResponseBase, asset: Asset, etag: str) -> HttpResponseBase:
    response["Content-Type"] = asset.mime
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
