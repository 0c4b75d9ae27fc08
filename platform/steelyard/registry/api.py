from __future__ import annotations

from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from steelyard.accounts.people import user_of
from steelyard.projects.policy import get_project, get_visible
from steelyard.registry.downloads import download
from steelyard.registry.models import DatasetVersion, ModelVersion
from steelyard.registry.querysets import DatasetVersionQuerySet, ModelVersionQuerySet
from steelyard.registry.rows import Rows
from steelyard.registry.serializers import (
    DatasetVersionDetailSerializer,
    DatasetVersionSerializer,
    ModelRequest,
    ModelVersionSerializer,
    RowsSerializer,
)
from steelyard.registry.services import add_model
from steelyard.web.api import AnyType

MAX_ROWS = 500


class VersionList(ListAPIView):
    """Dataset versions of a project, the newest first."""

    serializer_class = DatasetVersionSerializer
    queryset = DatasetVersion.objects.none()

    def get_queryset(self) -> DatasetVersionQuerySet:
        project = get_project(user_of(self.request), self.kwargs["project"])
        return DatasetVersion.objects.filter(project=project).with_names()


class VersionDetail(APIView):
    """One dataset version with its manifest."""

    @extend_schema(responses=DatasetVersionDetailSerializer)
    def get(self, request: Request, project: str, pk: int) -> Response:
        return Response(DatasetVersionDetailSerializer(_version(request, project, pk)).data)


class VersionRows(APIView):
    """Some rows of a version."""

    @extend_schema(
        parameters=[
            OpenApiParameter("offset", int, description="The first row, from 0."),
            OpenApiParameter("limit", int, description=f"At most so many; 50, up to {MAX_ROWS}."),
        ],
        responses=RowsSerializer,
    )
    def get(self, request: Request, project: str, pk: int) -> Response:
        version = _version(request, project, pk)
        offset = _number(request, "offset", 0)
        limit = min(_number(request, "limit", 50), MAX_ROWS)
        rows = Rows(version)
        body = {"count": len(rows), "offset": offset, "rows": rows[offset : offset + limit]}
        return Response(RowsSerializer(body).data)


class VersionDownload(APIView):
    """All rows as one file: ``parquet`` or ``jsonl``. The ETag is the version's digest; of Parquet
    one may ask for ranges."""

    renderer_classes = [AnyType]

    @extend_schema(
        parameters=[
            OpenApiParameter(
                "form", str, OpenApiParameter.PATH, enum=["parquet", "jsonl"], description="Format."
            )
        ],
        responses={(200, "application/octet-stream"): OpenApiTypes.BINARY},
    )
    def get(self, request: Request, project: str, pk: int, form: str) -> HttpResponseBase:
        return download(request._request, _version(request, project, pk), form)


class ModelList(ListAPIView):
    """Model versions of a project, and the way to add one by hand."""

    serializer_class = ModelVersionSerializer
    queryset = ModelVersion.objects.none()

    def get_queryset(self) -> ModelVersionQuerySet:
        project = get_project(user_of(self.request), self.kwargs["project"])
        return ModelVersion.objects.filter(project=project).with_origin()

    @extend_schema(request=ModelRequest, responses={201: ModelVersionSerializer})
    def post(self, request: Request, project: str) -> Response:
        found = get_project(user_of(request), project)
        body = ModelRequest(data=request.data)
        body.is_valid(raise_exception=True)
        model = add_model(project=found, by=user_of(request), **body.validated_data)
        return Response(ModelVersionSerializer(model).data, status=201)


class ModelDetail(APIView):
    """One model version, with what made it."""

    @extend_schema(responses=ModelVersionSerializer)
    def get(self, request: Request, project: str, pk: int) -> Response:
        rows = ModelVersion.objects.with_origin()
        model = get_visible(rows, user_of(request), pk=pk, project__slug=project)
        return Response(ModelVersionSerializer(model).data)


def _version(request: Request, project: str, pk: int) -> DatasetVersion:
    rows = DatasetVersion.objects.with_names()
    return get_visible(rows, user_of(request), pk=pk, project__slug=project)


def _number(request: Request, name: str, default: int) -> int:
    """A parameter that the schema has as a whole number, so that it is one."""
    return max(0, int(request.query_params.get(name) or default))
