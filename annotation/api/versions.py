from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation.freezing.drawn import drawn_from
from annotation.recipe import Recipe
from annotation.serializers.versions import PreviewSerializer, PublishRequest, RecipeSerializer
from annotation.services.joining import joined
from annotation.services.versions import (
    checked,
    is_large,
    preview,
    publish_version,
    start_freeze,
)
from steelyard.accounts.people import project_of, user_of
from steelyard.lib.errors import UserError
from steelyard.projects.models import Project
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
        recipe = _joined(request, found, query.as_recipe())
        seen = preview(project=found, recipe=checked(found, recipe))
        names = ("category", "train", "test")
        body = {
            "counts": seen.counts,
            "categories": [dict(zip(names, row, strict=True)) for row in seen.categories],
            "passed_over": seen.passed_over,
            "projects": [
                dict(zip(("project", "train", "test", "votes"), row, strict=True))
                for row in seen.projects
            ],
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
        already; 403 where the recipe draws from a project whose owner the person is not."""
        found = get_project(user_of(request), project)
        body = PublishRequest(data=request.data)
        body.is_valid(raise_exception=True)
        said = body.validated_data
        asked: dict[str, Any] = {
            "project": found,
            "dataset_name": said["dataset"],
            "recipe": _joined(request, found, Recipe.from_dict(said["recipe"])),
            "note": said["note"],
            "by": user_of(request),
        }
        background = said["background"]
        if background is None:
            background = is_large(*drawn_from(found, asked["recipe"]))
        if background:
            return Response(RunSerializer(start_freeze(**asked)).data, status=202)
        version = publish_version(**asked)
        return Response(DatasetVersionSerializer(version).data, status=201)


def _joined(request: Request, project: Project, recipe: Recipe) -> Recipe:
    """
    Raises:
        UserError: not all of its projects are the person's to draw from, or the token's.
    """
    # before anybody looks whose they are, which a token of one project does not learn
    if project_of(request) is not None and set(recipe.projects) - {project.slug}:
        raise UserError(
            f"This token opens the project {project.slug} alone.",
            code="project_token",
            status=403,
            field="projects",
        )
    return joined(project=project, recipe=recipe, by=user_of(request))
