from __future__ import annotations

from typing import Any, ClassVar

from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.generics import ListAPIView
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from steelyard.accounts.people import user_of
from steelyard.assets.models import Asset, Rendition
from steelyard.assets.querysets import AssetQuerySet
from steelyard.assets.serializers import AssetSerializer, AssetUpload
from steelyard.assets.services import store_upload
from steelyard.assets.serving import serve
from steelyard.assets.uploads import MediaOnly
from steelyard.projects.policy import ANY_ROLE, get_project, get_visible
from steelyard.web.api import AnyType


class AssetList(ListAPIView):
    """Pictures and videos of a project, and the way to bring one in."""

    serializer_class = AssetSerializer
    parser_classes = [MultiPartParser]
    queryset = Asset.objects.none()

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        request.upload_handlers = [MediaOnly(request), *request.upload_handlers]
        return super().initialize_request(request, *args, **kwargs)

    def get_queryset(self) -> AssetQuerySet:
        project = get_project(user_of(self.request), self.kwargs["project"])
        return Asset.objects.filter(project=project).select_related("project").with_renditions()

    @extend_schema(request=AssetUpload, responses={201: AssetSerializer})
    def post(self, request: Request, project: str) -> Response:
        """Keep a file. The same file again is the same asset.

        It is kept without metadata (EXIF, text, encoder settings), so that nobody who compares
        it learns what made it; `sha256` is that of the kept file.
        """
        found = get_project(user_of(request), project)
        body = AssetUpload(data=request.data)
        body.is_valid(raise_exception=True)
        asset = store_upload(project=found, data=body.validated_data["file"])
        return Response(AssetSerializer(asset).data, status=201)


class AssetDetail(APIView):
    """What is known of one file."""

    @extend_schema(responses=AssetSerializer)
    def get(self, request: Request, project: str, sha256: str) -> Response:
        rows = Asset.objects.select_related("project").with_renditions()
        asset = get_visible(rows, user_of(request), project__slug=project, sha256=sha256)
        return Response(AssetSerializer(asset).data)


class AssetBytes(APIView):
    """A file's bytes for a caller with a token; one range at a time."""

    scopes: ClassVar = {"GET": ("read", "label")}
    renderer_classes = [AnyType]

    @extend_schema(responses={(200, "*/*"): OpenApiTypes.BINARY, (206, "*/*"): OpenApiTypes.BINARY})
    def get(self, request: Request, project: str, sha256: str) -> HttpResponseBase:
        asset = get_visible(Asset, user_of(request), ANY_ROLE, project__slug=project, sha256=sha256)
        return serve(request._request, asset)


class RenditionBytes(APIView):
    """A copy for looking at, for a caller with a token; one range at a time."""

    scopes: ClassVar = {"GET": ("read", "label")}
    renderer_classes = [AnyType]

    @extend_schema(responses={(200, "*/*"): OpenApiTypes.BINARY, (206, "*/*"): OpenApiTypes.BINARY})
    def get(self, request: Request, project: str, sha256: str, kind: str) -> HttpResponseBase:
        """`kind` is `preview` (of a large picture), `poster` or `proxy` (of a video)."""
        asset = get_visible(Asset, user_of(request), ANY_ROLE, project__slug=project, sha256=sha256)
        return serve(request._request, get_object_or_404(Rendition, asset=asset, kind=kind))
