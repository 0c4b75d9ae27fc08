"""A version as a file, streamed; a client that has it already is told so."""

from __future__ import annotations

from django.http import FileResponse, Http404, HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response
from django.utils.http import quote_etag
from django.utils.translation import gettext as _

from steelyard.lib.errors import UserError
from steelyard.registry.models import DatasetVersion
from steelyard.registry.rows import file_name, jsonl
from steelyard.web.ranges import serve_file

TYPES = {"parquet": "application/vnd.apache.parquet", "jsonl": "application/x-ndjson"}


def download(request: HttpRequest, version: DatasetVersion, form: str) -> HttpResponseBase:
    """The version in one of the forms above, with its digest as the ETag.

    Raises:
        Http404: no such form.
        UserError: the rows are not on this server's disk.
    """
    if form not in TYPES:
        raise Http404("A version is downloaded as parquet or jsonl.")
    if not version.parquet.exists():
        raise UserError(
            _(
                "The rows of %(version)s are not on this server's disk. Restore the data folder "
                "from its backup."
            )
            % {"version": version},
            code="version_lost",
            status=410,
        )
    etag = quote_etag(version.digest)
    if form == "parquet" and len(version.files) == 1:
        return _file(request, version, etag)
    unchanged = get_conditional_response(request, etag=etag)
    if unchanged is not None:
        return unchanged
    response = _body(version, form)
    response["ETag"] = etag
    # asked again each time: who may see it can change, what it holds cannot
    response["Cache-Control"] = "private, no-cache"
    return response


def _file(request: HttpRequest, version: DatasetVersion, etag: str) -> HttpResponseBase:
    """The Parquet file, of which a reader may ask for the parts that it wants."""
    path = version.parquet
    response = serve_file(
        request,
        path,
        size=path.stat().st_size,
        etag=etag,
        mime=TYPES["parquet"],
        modified=version.created_at,
    )
    name = file_name(version, "parquet")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Cache-Control"] = "private, no-cache"
    return response


def _body(version: DatasetVersion, form: str) -> StreamingHttpResponse:
    name = file_name(version, form)
    if form == "parquet":
        return FileResponse(
            version.parquet.open("rb"),
            as_attachment=True,
            filename=name,
            content_type=TYPES[form],
        )
    response = StreamingHttpResponse(jsonl(version), content_type=TYPES[form])
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
