from __future__ import annotations

from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from steelyard.accounts.people import user_of
from steelyard.lib.errors import UserError
from steelyard.projects.policy import get_visible
from steelyard.registry.cards import croissant, readme
from steelyard.registry.comparing import KINDS, compare
from steelyard.registry.downloads import download_file
from steelyard.registry.models import DatasetVersion
from steelyard.registry.serializers import (
    CardSerializer,
    DiffSerializer,
    NoteRequest,
    NoteSerializer,
    StatisticsSerializer,
    TagRequest,
    TagSerializer,
)
from steelyard.registry.statistics import statistics
from steelyard.registry.tagging import add_note, remove_tag, set_tag
from steelyard.web.api import AnyType

MAX_ROWS = 200


class VersionDiff(APIView):
    """What a version differs in from another of the project: counts, and some of the rows."""

    @extend_schema(
        parameters=[
            OpenApiParameter("from", int, required=True, description="The other version's id."),
            OpenApiParameter(
                "kind",
                str,
                enum=KINDS,
                description="Which rows are given; ``relabelled`` ones have another verdict, "
                "``changed`` ones the same but other votes, agreement, strength, weight or split.",
            ),
            OpenApiParameter("offset", int, description="The first of them, from 0."),
            OpenApiParameter("limit", int, description=f"At most so many; 50, up to {MAX_ROWS}."),
        ],
        responses=DiffSerializer,
    )
    def get(self, request: Request, project: str, pk: int) -> Response:
        new = there(request, project, pk)
        said = request.query_params
        if not said.get("from", "").isdecimal():
            raise UserError(_("Say which version to compare with, by its id."), field="from")
        old = there(request, project, int(said["from"]))
        kind = said.get("kind") or "added"
        offset = max(0, int(said.get("offset") or 0))
        limit = min(max(0, int(said.get("limit") or 50)), MAX_ROWS)
        found = compare(old, new)
        rows = found.rows(kind, offset, offset + limit)
        body = {"counts": found.counts, "kind": kind, "offset": offset, "rows": rows}
        return Response(DiffSerializer(body).data)


class VersionStatistics(APIView):
    """What a version's rows are like."""

    @extend_schema(responses=StatisticsSerializer)
    def get(self, request: Request, project: str, pk: int) -> Response:
        return Response(statistics(there(request, project, pk)))


class VersionCard(APIView):
    """A dataset card as the Hugging Face hub reads it, and Croissant metadata."""

    @extend_schema(responses=CardSerializer)
    def get(self, request: Request, project: str, pk: int) -> Response:
        version = there(request, project, pk)
        url = request.build_absolute_uri(version.get_absolute_url())
        return Response({"readme": readme(version), "croissant": croissant(version, url)})


class VersionFile(APIView):
    """One of a version's Parquet files, by its name in the manifest; ranges may be asked for."""

    renderer_classes = [AnyType]

    @extend_schema(responses={(200, "application/vnd.apache.parquet"): OpenApiTypes.BINARY})
    def get(self, request: Request, project: str, pk: int, name: str) -> HttpResponseBase:
        return download_file(request._request, get_version(request, project, pk), name)


class VersionTags(APIView):
    """The names that a version has."""

    @extend_schema(responses=TagSerializer(many=True), operation_id="version_tags_list")
    def get(self, request: Request, project: str, pk: int) -> Response:
        rows = get_version(request, project, pk).tags.select_related("moved_by")
        return Response(TagSerializer(rows, many=True).data)

    @extend_schema(request=TagRequest, responses={201: TagSerializer})
    def post(self, request: Request, project: str, pk: int) -> Response:
        """A tag that another version of the dataset has is moved to this one."""
        body = TagRequest(data=request.data)
        version = get_version(request, project, pk)
        body.is_valid(raise_exception=True)
        tag = set_tag(version=version, by=user_of(request), **body.validated_data)
        return Response(TagSerializer(tag).data, status=201)


class VersionTag(APIView):
    """One name of a version."""

    @extend_schema(responses={204: None})
    def delete(self, request: Request, project: str, pk: int, name: str) -> Response:
        remove_tag(version=get_version(request, project, pk), name=name, by=user_of(request))
        return Response(status=204)


class VersionNotes(APIView):
    """What people have found out about a version."""

    @extend_schema(responses=NoteSerializer(many=True), operation_id="version_notes_list")
    def get(self, request: Request, project: str, pk: int) -> Response:
        rows = get_version(request, project, pk).notes.select_related("created_by")
        return Response(NoteSerializer(rows, many=True).data)

    @extend_schema(request=NoteRequest, responses={201: NoteSerializer})
    def post(self, request: Request, project: str, pk: int) -> Response:
        body = NoteRequest(data=request.data)
        version = get_version(request, project, pk)
        body.is_valid(raise_exception=True)
        note = add_note(version=version, by=user_of(request), **body.validated_data)
        return Response(NoteSerializer(note).data, status=201)


def get_version(request: Request, project: str, pk: int) -> DatasetVersion:
    rows = DatasetVersion.objects.with_names()
    return get_visible(rows, user_of(request), pk=pk, project__slug=project)


def there(request: Request, project: str, pk: int) -> DatasetVersion:
    """A version whose files are on this server's disk.

    Raises:
        UserError: they are not.
    """
    version = get_version(request, project, pk)
    if version.lost:
        raise UserError(
            f"The rows of {version} are not on this server's disk. Restore the data folder from "
            "its backup.",
            code="version_lost",
            status=410,
        )
    return version
