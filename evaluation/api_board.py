from __future__ import annotations

from datetime import date, datetime
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation.forms.material import categories_of
from annotation.models import Annotator
from evaluation.board_votes import SOURCES, Options
from evaluation.categories import by_category
from evaluation.forms_board import end_of
from evaluation.headtohead import matrix
from evaluation.leaderboard import standings
from evaluation.models_board import PublishedBoard
from evaluation.serializers_board import (
    BoardRequest,
    LeaderboardCategorySerializer,
    LeaderboardPublishRequest,
    LeaderboardSerializer,
    MatrixSerializer,
    PublishedDetailSerializer,
    PublishedSerializer,
    board_as_json,
)
from evaluation.services_board import changes, publish_board, since
from steelyard.accounts.people import user_of
from steelyard.projects.models import Project
from steelyard.projects.policy import ADMINS, get_project, get_visible

_OPTIONS = [
    OpenApiParameter("by", str, enum=list(SOURCES), description="Whose votes."),
    OpenApiParameter("judge", str, description="Name of a judge: its votes alone."),
    OpenApiParameter("category", str, description="Only prompts of this category."),
    OpenApiParameter("until", str, description="Votes until a day's end, or before a moment."),
    OpenApiParameter("without", str, many=True, description="Annotators left out, by name."),
    OpenApiParameter("style", bool, description="Ratings at equal style."),
    OpenApiParameter("equal", bool, description="Every two models count equally."),
]


class Leaderboard(APIView):
    """Bradley–Terry ratings over a project's current votes between different models."""

    @extend_schema(parameters=_OPTIONS, responses=LeaderboardSerializer)
    def get(self, request: Request, project: str) -> Response:
        found = get_project(user_of(request), project)
        board = standings(found, _options(found, request))
        return Response(LeaderboardSerializer(board_as_json(board)).data)


class LeaderboardMatrix(APIView):
    """Who beat whom, and what the ratings expect of it."""

    @extend_schema(parameters=_OPTIONS, responses=MatrixSerializer)
    def get(self, request: Request, project: str) -> Response:
        found = get_project(user_of(request), project)
        rows = matrix(standings(found, _options(found, request)))
        cells = [
            {
                "model": row.model.name,
                "other": cell.other.name,
                "votes": cell.votes,
                "wins": cell.wins,
                "ties": cell.ties,
                "losses": cell.losses,
                "observed": cell.observed,
                "predicted": cell.predicted,
                "residual": cell.residual,
            }
            for row in rows
            for cell in row.cells
            if not cell.is_self and (cell.votes or cell.predicted is not None)
        ]
        body = {"models": [row.model.name for row in rows], "cells": cells}
        return Response(MatrixSerializer(body).data)


class LeaderboardCategories(APIView):
    """A leaderboard for each category of prompts."""

    @extend_schema(parameters=_OPTIONS, responses=LeaderboardCategorySerializer(many=True))
    def get(self, request: Request, project: str) -> Response:
        found = get_project(user_of(request), project)
        options = _options(found, request)
        if options.source == "combined" or options.style:
            raise serializers.ValidationError(
                {"by": ["Categories are those of people's or judges' votes, without style."]}
            )
        split = by_category(found, options)
        names = {model.pk: model.name for model in split.models}
        body = [
            {
                "category": one.name,
                "votes": one.votes,
                "prompts": one.prompts,
                "apart": one.apart,
                "standings": [
                    {
                        "model": names[pk],
                        "rank_lo": row.rank_lo,
                        "rank_hi": row.rank_hi,
                        "rating": row.rating,
                        "lo": row.lo,
                        "hi": row.hi,
                        "win_rate": row.win_rate,
                        "votes": row.votes,
                    }
                    for pk, row in one.rows.items()
                ],
            }
            for one in split.categories
        ]
        return Response(LeaderboardCategorySerializer(body, many=True).data)


class PublishedList(ListAPIView):
    """Published leaderboards of a project, the newest first, and the way to publish one."""

    serializer_class = PublishedSerializer
    queryset = PublishedBoard.objects.none()

    def get_queryset(self) -> Any:
        found = get_project(user_of(self.request), self.kwargs["project"])
        rows = PublishedBoard.objects.filter(project=found).select_related("project")
        return rows.defer("ballots", "result").order_by("-pk")

    @extend_schema(request=LeaderboardPublishRequest, responses={201: PublishedSerializer})
    def post(self, request: Request, project: str) -> Response:
        found = get_project(user_of(request), project, ADMINS)
        body = LeaderboardPublishRequest(data=request.data)
        body.is_valid(raise_exception=True)
        said = body.validated_data
        made = publish_board(
            project=found,
            options=_as_options(found, said),
            title=said["title"],
            note=said["note"],
            by=user_of(request),
        )
        return Response(PublishedSerializer(made).data, status=201)


class PublishedDetail(APIView):
    """A published leaderboard as it was, and what has become of its votes."""

    @extend_schema(
        parameters=[
            OpenApiParameter("recompute", bool, description="Also by the votes of today: now.")
        ],
        responses=PublishedDetailSerializer,
    )
    def get(self, request: Request, project: str, number: int) -> Response:
        rows = PublishedBoard.objects.select_related("project")
        found = get_visible(rows, user_of(request), number=number, project__slug=project)
        again = request.query_params.get("recompute", "").lower() in {"1", "true"}
        found.since = since(found)  # type: ignore[attr-defined]
        found.now = changes(found) if again else None  # type: ignore[attr-defined]
        return Response(PublishedDetailSerializer(found).data)


def _options(project: Project, request: Request) -> Options:
    asked = {name: request.query_params[name] for name in _PLAIN if name in request.query_params}
    said = BoardRequest(data={**asked, "without": request.query_params.getlist("without")})
    said.is_valid(raise_exception=True)
    return _as_options(project, said.validated_data)


_PLAIN = ("by", "judge", "category", "until", "style", "equal")


def _as_options(project: Project, said: dict[str, Any]) -> Options:
    judge = None
    if said["judge"]:
        judge = _named(project, said["judge"], "judge", kind="judge")
    by = said.get("by") or ("judges" if judge else "people")
    if judge and by not in {"judges", "combined"}:
        raise serializers.ValidationError({"judge": [f"No judge votes where by is {by!r}."]})
    if said["category"] and said["category"] not in categories_of(project):
        raise serializers.ValidationError(
            {"category": [f"No prompt of this project is of category {said['category']!r}."]}
        )
    if by == "combined" and (said["style"] or said["equal"]):
        raise serializers.ValidationError(
            {"by": ["Style and equal pairs are rules of people's or judges' votes alone."]}
        )
    return Options(
        source=by,
        judge=judge,
        category=said["category"],
        until=_moment(said["until"]),
        without=tuple(_named(project, name, "without") for name in said["without"]),
        style=said["style"],
        equal=said["equal"],
    )


def _moment(said: str) -> datetime | None:
    if not said:
        return None
    try:
        if len(said) == len("2026-01-31"):
            return end_of(date.fromisoformat(said))
        moment = datetime.fromisoformat(said)
    except ValueError as why:
        raise serializers.ValidationError(
            {"until": [f"{said!r} is neither a day such as 2026-01-31 nor a moment."]}
        ) from why
    return moment if moment.tzinfo else timezone.make_aware(moment)


def _named(project: Project, name: str, field: str, **said: Any) -> Annotator:
    found = Annotator.objects.filter(project=project, name=name, **said).first()
    if found is None:
        kind = said.get("kind", "annotator")
        raise serializers.ValidationError(
            {field: [f"No {kind} of this project is named {name!r}."]}
        )
    return found
