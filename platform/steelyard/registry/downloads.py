"""A version as a file, streamed; a client that has it already is told so."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from django.http import Http404, HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response
from django.utils.http import quote_etag
from django.utils.translation import gettext as _

from steelyard.lib.errors import UserError
from steelyard.registry.cards import croissant, licences, readme
from steelyard.registry.models import DatasetVersion
from steelyard.registry.rows import Rows, file_name, jsonl
from steelyard.web.ranges import serve_file

_CHUNK = 1 << 20
TYPES = {
    "parquet": "application/vnd.apache.parquet",
    "jsonl": "application/x-ndjson",
    "zip": "application/zip",
}
"""``zip`` is a folder that the hub's libraries read: the files, card and metadata."""


def download(request: HttpRequest, version: DatasetVersion, form: str) -> HttpResponseBase:
    """The version in one of the forms above, with its digest as the ETag.

    Raises:
        Http404: no such form.
        UserError: the rows are not on this server's disk.
    """
    if form not in TYPES:
        raise Http404("A version is downloaded as parquet, jsonl or zip.")
    _check_there(version)
    # the card in the folder names licences, which are no part of the version
    several = "-".join(licences(version).values()) if version.recipe.get("projects") else ""
    folder = f"{version.digest}-zip{several or version.project.license}"
    etag = quote_etag(folder if form == "zip" else version.digest)
    if form == "parquet" and len(version.files) == 1:
        return _file(request, version, version.parquet, etag, file_name(version, form))
    unchanged = get_conditional_response(request, etag=etag)
    if unchanged is not None:
        return unchanged
    response = _body(version, form)
    response["ETag"] = etag
    # asked again each time: who may see it can change, what it holds cannot
    response["Cache-Control"] = "private, no-cache"
    return response


def download_file(request: HttpRequest, version: DatasetVersion, name: str) -> HttpResponseBase:
    """One of the version's Parquet files as it lies on the disk.

    Raises:
        Http404: the version has no file of that name.
        UserError: it is not on this server's disk.
    """
    path = next((path for path in version.files if path.name == name), None)
    if path is None:
        raise Http404("This version has no such file.")
    _check_there(version)
    return _file(request, version, path, quote_etag(path.stem), path.name)


def _check_there(version: DatasetVersion) -> None:
    if version.lost:
        raise UserError(
            _(
                "The rows of %(version)s are not on this server's disk. Restore the data folder "
                "from its backup."
            )
            % {"version": version},
            code="version_lost",
            status=410,
        )


def _file(
    request: HttpRequest, version: DatasetVersion, path: Path, etag: str, name: str
) -> HttpResponseBase:
    """A Parquet file, of which a reader may ask for the parts that it wants."""
    response = serve_file(
        request,
        path,
        size=path.stat().st_size,
        etag=etag,
        mime=TYPES["parquet"],
        modified=version.created_at,
    )
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Cache-Control"] = "private, no-cache"
    return response


def _body(version: DatasetVersion, form: str) -> StreamingHttpResponse:
    made = {"parquet": _merged, "jsonl": jsonl, "zip": zipped}[form]
    response = StreamingHttpResponse(made(version), content_type=TYPES[form])
    response["Content-Disposition"] = f'attachment; filename="{file_name(version, form)}"'
    return response


def _merged(version: DatasetVersion) -> Iterator[bytes]:
    """The files of a large version as one, a row group after another."""
    sink = _Sink()
    schema = pq.read_schema(version.parquet)
    with pq.ParquetWriter(sink, schema, compression="zstd") as writer:
        for batch in Rows(version).batches():
            writer.write_batch(batch)
            yield sink.taken()
    yield sink.taken()


def zipped(version: DatasetVersion) -> Iterator[bytes]:
    """A folder as a ZIP, whose files lie in it as they are: Parquet is packed already."""
    sink = _Sink()
    beside = {
        "README.md": readme(version).encode(),
        "croissant.json": json.dumps(croissant(version), indent=2, ensure_ascii=False).encode(),
        "manifest.json": (version.dir / "manifest.json").read_bytes(),
    }
    when = version.created_at.timetuple()[:6]
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        for name, content in beside.items():
            archive.writestr(zipfile.ZipInfo(name, when), content)
            yield sink.taken()
        for path in version.files:
            entry = zipfile.ZipInfo(f"data/{path.name}", when)
            with archive.open(entry, "w", force_zip64=True) as target, path.open("rb") as source:
                while chunk := source.read(_CHUNK):
                    target.write(chunk)
                    yield sink.taken()
    yield sink.taken()


class _Sink(io.RawIOBase):
    """What writers of files write into, taken out as it comes."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        self._size += len(self._parts[-1])
        return len(self._parts[-1])

    def tell(self) -> int:
        return self._size

    def writable(self) -> bool:
        return True

    def taken(self) -> bytes:
        found, self._parts = b"".join(self._parts), []
        return found
