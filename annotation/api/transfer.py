"""Files of any format in, and versions out in any."""

from __future__ import annotations

from typing import Any

from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation.formats import FORMATS, get
from annotation.serializers.transfer import (
    ExportRequest,
    ExportSerializer,
    FileImportRequest,
    FileImportSerializer,
    FormatSerializer,
)
from annotation.services import transfer
from annotation.transfer.incoming import read_errors
from annotation.transfer.outgoing import Order
from annotation.transfer.serving import serve_errors, serve_export
from steelyard.accounts.people import user_of
from steelyard.projects.policy import get_project, get_visible
from steelyard.registry.models import DatasetVersion
from steelyard.runs.models import Run, RunState
from steelyard.web.api import PROBLEM_JSON, AnyType, problem

MAX_ERRORS = 100


class FormatList(APIView):
    """The formats that files come in and go out in."""

    beyond_project = True

    @extend_schema(responses=FormatSerializer(many=True))
    def get(self, request: Request) -> Response:
        rows = [
            {
                **vars(each),
                "reads": each.reads,
                "writes": each.writes,
                "cannot_carry": each.cannot,
                "options": [
                    {"name": one.name, "title": one.title, "choices": dict(one.choices)}
                    for one in each.options
                ],
            }
            for each in FORMATS.values()
        ]
        return Response(FormatSerializer(rows, many=True).data)


class FileImportList(APIView):
    """Bring in a file of any format."""

    parser_classes = [MultiPartParser]

    @extend_schema(
        request={"multipart/form-data": FileImportRequest},
        responses={200: FileImportSerializer, 202: FileImportSerializer},
    )
    def post(self, request: Request, project: str) -> Response:
        """200 with what came in; 202 with the run that brings a large file in.

        A small file that is refused is answered 400, with the same body beside the problem: `run`,
        what was read, and the first `faults`.
        """
        found = get_project(user_of(request), project)
        body = FileImportRequest(data=request.data)
        body.is_valid(raise_exception=True)
        said = dict(body.validated_data)
        file, background = said.pop("file"), said.pop("background")
        said["kind"] = said.pop("annotator_kind", "")
        by = user_of(request)
        upload = transfer.receive(project=found, name=file.name, data=file, by=by)
        try:
            run = transfer.start_import(
                project=found, upload=upload, said=said, by=by, background=background
            )
        finally:
            transfer.discard(upload)
        if run.state != RunState.FAILED:
            return Response(_import(run), status=202 if run.is_active else 200)
        answer = problem(
            status=400, code=run.error_code, message=run.error, field="file", **_import(run)
        )
        return Response(answer, status=400, content_type=PROBLEM_JSON)


class FileImportDetail(APIView):
    """One import: what came in and what did not."""

    @extend_schema(responses=FileImportSerializer)
    def get(self, request: Request, project: str, pk: int) -> Response:
        return Response(_import(_run(request, project, pk, "import")))


class FileImportErrors(APIView):
    """All that was wrong in a file, one JSON object a line."""

    renderer_classes = [AnyType]

    @extend_schema(responses={(200, "application/x-ndjson"): OpenApiTypes.BINARY})
    def get(self, request: Request, project: str, pk: int) -> HttpResponseBase:
        return serve_errors(request._request, _run(request, project, pk, "import"))


class ExportList(APIView):
    """Write a version in a format."""

    @extend_schema(request=ExportRequest, responses={201: ExportSerializer, 202: ExportSerializer})
    def post(self, request: Request, project: str, pk: int) -> Response:
        """201 with the files; 202 with the run that writes a large version, or one with media."""
        rows = DatasetVersion.objects.with_names().select_related("project")
        version = get_visible(rows, user_of(request), pk=pk, project__slug=project)
        body = ExportRequest(data=request.data)
        body.is_valid(raise_exception=True)
        said = dict(body.validated_data)
        background = said.pop("background")
        run = transfer.start_export(
            version=version, order=Order(**said), by=user_of(request), background=background
        )
        return Response(_export(run), status=202 if run.is_active else 201)


class ExportDetail(APIView):
    """One export: its files, and what was left out."""

    @extend_schema(responses=ExportSerializer)
    def get(self, request: Request, project: str, pk: int) -> Response:
        return Response(_export(_run(request, project, pk, "export")))


class ExportFile(APIView):
    """A file of an export, whole or in ranges; its ETag is its SHA-256."""

    renderer_classes = [AnyType]

    @extend_schema(responses={(200, "*/*"): OpenApiTypes.BINARY})
    def get(self, request: Request, project: str, pk: int, name: str) -> HttpResponseBase:
        return serve_export(request._request, _run(request, project, pk, "export"), name)


def _run(request: Request, project: str, pk: int, kind: str) -> Run:
    rows = Run.objects.select_related("project", "created_by")
    return get_visible(rows, user_of(request), pk=pk, project__slug=project, kind=kind)


def _import(run: Run) -> dict[str, Any]:
    body = {
        "run": run,
        **transfer.taken_of(run).as_dict(),
        **{key: run.spec["asked"][key] for key in ("format", "mode")},
        "mapping": run.spec["asked"].get("understood", {}),
        "faults": read_errors(transfer.errors_of(run), MAX_ERRORS),
    }
    return dict(FileImportSerializer(body).data)


def _export(run: Run) -> dict[str, Any]:
    order, said = run.spec["order"], run.result or {}
    format = get(order["format"])
    body = {
        "run": run,
        "records": 0,
        "rows": 0,
        "left_out": {},
        "written_without": {},
        "files": [],
        **order,
        "ties": format.ties,
        "cannot_carry": format.cannot,
        **{key: value for key, value in said.items() if key in ExportSerializer().fields},
    }
    return dict(ExportSerializer(body).data)
