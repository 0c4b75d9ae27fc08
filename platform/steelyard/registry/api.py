from __future__ import annotations

import re
from typing import Any

from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from steelyard.accounts.people import user_of
from steelyard.lib.errors import UserError
from steelyard.projects.policy import get_project, get_visible
from steelyard.registry.api_of_version import there
from steelyard.registry.downloads import TYPES, download
from steelyard.registry.model_files import files_of, serve_model_file
from steelyard.registry.models import DatasetVersion, ModelVersion
from steelyard.registry.querysets import DatasetVersionQuerySet, ModelVersionQuerySet
from steelyard.registry.revised import with_revisions
from steelyard.registry.searching import OUTCOMES, RowFilter, choices, search
from steelyard.registry.serializers import (
    DatasetVersionDetailSerializer,
    DatasetVersionSerializer,
    ModelFileSerializer,
    ModelRequest,
    ModelVersionSerializer,
    RevisedRequest,
    RowsSerializer,
    VersionQuery,
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
        query = VersionQuery(data=self.request.query_params)
        query.is_valid(raise_exception=True)
        rows = DatasetVersion.objects.filter(project=project).chosen(**query.validated_data)
        return rows.with_names().prefetch_related("tags")

    @extend_schema(parameters=[VersionQuery])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class VersionDetail(APIView):
    """One dataset version with its manifest."""

    @extend_schema(responses=DatasetVersionDetailSerializer)
    def get(self, request: Request, project: str, pk: int) -> Response:
        return Response(DatasetVersionDetailSerializer(_version(request, project, pk)).data)


class VersionRows(APIView):
    """Some rows of a version, all or those that meet a filter."""

    @extend_schema(
        parameters=[
            OpenApiParameter("offset", int, description="The first row, from 0."),
            OpenApiParameter("limit", int, description=f"At most so many; 50, up to {MAX_ROWS}."),
            OpenApiParameter(
                "q",
                str,
                description="Words that are all in the prompt, the answers and the rationales; "
                "those in quotes stand together.",
            ),
            OpenApiParameter("split", str, enum=["train", "test"]),
            OpenApiParameter("category", str),
            OpenApiParameter("model", str, description="On either side."),
            OpenApiParameter("outcome", str, enum=OUTCOMES),
            OpenApiParameter("agreement", float, description="At most so much, 0 to 1."),
        ],
        responses=RowsSerializer,
    )
    def get(self, request: Request, project: str, pk: int) -> Response:
        version = there(request, project, pk)
        offset = _number(request, "offset", 0)
        limit = min(_number(request, "limit", 50), MAX_ROWS)
        rows = search(version, _filter(request, version))
        body = {"count": len(rows), "offset": offset, "rows": rows[offset : offset + limit]}
        return Response(RowsSerializer(body).data)


class VersionDownload(APIView):
    """All rows as one file: ``parquet``, ``jsonl``, or ``zip``: the Parquet files in a folder
    with their card, as the hub's libraries read it. The ETag is the version's digest; of Parquet
    one may ask for ranges."""

    renderer_classes = [AnyType]

    @extend_schema(
        parameters=[
            OpenApiParameter(
                "form",
                str,
                OpenApiParameter.PATH,
                enum=["parquet", "jsonl", "zip"],
                description="Format.",
            )
        ],
        responses={(200, kind): OpenApiTypes.BINARY for kind in TYPES.values()},
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


class ModelRevised(APIView):
    """A model that has learnt to improve its answers, with a number of revisions."""

    @extend_schema(request=RevisedRequest, responses={201: ModelVersionSerializer})
    def post(self, request: Request, project: str, pk: int) -> Response:
        """The model that answers and revises so many times; asked for again, the same one."""
        model = get_visible(
            ModelVersion.objects.with_origin(), user_of(request), pk=pk, project__slug=project
        )
        body = RevisedRequest(data=request.data)
        body.is_valid(raise_exception=True)
        made = with_revisions(model=model, by=user_of(request), **body.validated_data)
        return Response(ModelVersionSerializer(made).data, status=201)


class ModelFiles(APIView):
    """The files of a model that was made here: card, config, weights in safetensors."""

    @extend_schema(responses=ModelFileSerializer(many=True))
    def get(self, request: Request, project: str, pk: int) -> Response:
        model = get_visible(ModelVersion, user_of(request), pk=pk, project__slug=project)
        return Response(ModelFileSerializer(files_of(model), many=True).data)


class ModelDownload(APIView):
    """One of a model's files, of which one may ask for ranges."""

    renderer_classes = [AnyType]

    @extend_schema(responses={(200, "*/*"): OpenApiTypes.BINARY})
    def get(self, request: Request, project: str, pk: int, name: str) -> HttpResponseBase:
        model = get_visible(ModelVersion, user_of(request), pk=pk, project__slug=project)
        return serve_model_file(request._request, model, name)


def _version(request: Request, project: str, pk: int) -> DatasetVersion:
    rows = DatasetVersion.objects.with_names()
    return get_visible(rows, user_of(request), pk=pk, project__slug=project)


def _number(request: Request, name: str, default: int) -> int:
    """A parameter that the schema has as a whole number, so that it is one."""
    return max(0, int(request.query_params.get(name) or default))


def _filter(request: Request, version: DatasetVersion) -> RowFilter:
    """
    Raises:
        UserError: the agreement is no number from 0 to 1, or no row has the category or model.
    """
    said = request.query_params
    agreement = said.get("agreement", "")
    if agreement and not re.fullmatch(r"0(\.\d+)?|1(\.0+)?", agreement):
        raise UserError("It must be a number, 0 to 1, such as 0.5.", field="agreement")
    known = choices(version) if said.get("category") or said.get("model") else {}
    for name, names in (("category", "categories"), ("model", "models")):
        if (value := said.get(name)) and value not in known[names]:
            words = ", ".join(one for one in known[names] if one) or "none"
            raise UserError(
                f"No row has the {name} “{value}”; there are {words}.",
                code=f"no_such_{name}",
                field=name,
            )
    return RowFilter(
        q=said.get("q", ""),
        split=said.get("split", ""),
        category=said.get("category"),
        model=said.get("model", ""),
        outcome=said.get("outcome", ""),
        agreement=float(agreement) if agreement else None,
    )
