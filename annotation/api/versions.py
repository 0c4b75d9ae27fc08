from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation.recipe import Recipe
from annotation.serializers.versions import PreviewSerializer, PublishRequest, RecipeSerializer
from annotation.services.versions import (
    checked,
    is_large,
    preview,
    publish_version,
    start_freeze,
)
from steelyard.accounts.people import user_of
from steelyard.projects.policy import get_project
from steelyard.registry.serializers import DatasetVersionSerializer
from steelyard.runs.serializers import RunSerializer


class Preview(APIView):
    """What a recipe would freeze at this moment."""

    @extend_schema(parameters=[RecipeSerializer], responses=PreviewSerializer)
    def get(self, request: Request, project: str) -> Response:
        found = get_project(user_of(request), project)
        query = RecipeSerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        seen = preview(project=found, recipe=checked(found, query.as_recipe()))
        names = ("category", "train", "test")
        body = {
            "counts": seen.counts,
            "categories": [dict(zip(names, row, strict=True)) for row in seen.categories],
            "passed_over": seen.passed_over,
            "withdrawals": seen.recipe.withdrawals,
            "leaks": seen.leaks,
            "similar_unknown": seen.similar_unknown,
            "warning": seen.warning,
            "about": seen.about,
            "problem": seen.problem.as_dict() if seen.problem else None,
        }
        return Response(PreviewSerializer(body).data)


class Publish(APIView):
    """Freeze the votes under a recipe as the next version of a dataset."""

    @extend_schema(
        request=PublishRequest, responses={201: DatasetVersionSerializer, 202: RunSerializer}
    )
    def post(self, request: Request, project: str) -> Response:
        """201 with the version; 202 with the run that freezes it, where it takes long or
        ``background`` asks for one. 409 where the same votes and recipe have made a version
        already."""
        found = get_project(user_of(request), project)
        body = PublishRequest(data=request.data)
        body.is_valid(raise_exception=True)
        said = body.validated_data
        asked: dict[str, Any] = {
            "project": found,
            "dataset_name": said["dataset"],
            "recipe": Recipe.from_dict(said["recipe"]),
            "note": said["note"],
            "by": user_of(request),
        }
        background = is_large(found) if said["background"] is None else said["background"]
        if background:
            return Response(RunSerializer(start_freeze(**asked)).data, status=202)
        version = publish_version(**asked)
        return Response(DatasetVersionSerializer(version).data, status=201)
