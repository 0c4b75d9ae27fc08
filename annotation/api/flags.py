"""What annotators say is wrong with a pair or a set, and what the project's staff decides."""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation.models import Flag, OutputSet, Pair
from annotation.serializers.flags import (
    FlagQuery,
    FlagRequest,
    FlagSerializer,
    RaisedSerializer,
    ResolveRequest,
)
from annotation.services.flags import raise_flag, resolve
from annotation.services.queue import annotator_for
from steelyard.accounts.people import user_of
from steelyard.projects.policy import ADMINS, ANY_ROLE, get_project, get_visible

Flagged = TypeVar("Flagged", Pair, OutputSet)


class PairFlags(APIView):
    """Tell the owner that something is wrong with a pair."""

    scopes: ClassVar = {"POST": "label"}

    @extend_schema(request=FlagRequest, responses={200: RaisedSerializer, 201: RaisedSerializer})
    def post(self, request: Request, project: str, pk: int) -> Response:
        """Flag a pair that was given to you.

        201 where it is new, 200 where you have flagged the pair for this reason before.
        """
        return _raised(request, project, pk, Pair)


class SetFlags(APIView):
    """Tell the owner that something is wrong with a set to rank."""

    scopes: ClassVar = {"POST": "label"}

    @extend_schema(request=FlagRequest, responses={200: RaisedSerializer, 201: RaisedSerializer})
    def post(self, request: Request, project: str, pk: int) -> Response:
        """Flag a set that was given to you.

        201 where it is new, 200 where you have flagged the set for this reason before.
        """
        return _raised(request, project, pk, OutputSet)


def _raised(request: Request, project: str, pk: int, model: type[Flagged]) -> Response:
    user = user_of(request)
    found = get_project(user, project, ANY_ROLE)
    of = get_visible(model, user, ANY_ROLE, project=found, pk=pk)
    body = FlagRequest(data=request.data)
    body.is_valid(raise_exception=True)
    annotator = annotator_for(user=user, project=found)
    flag, created = raise_flag(annotator=annotator, of=of, **body.validated_data)
    return Response(RaisedSerializer(flag).data, status=201 if created else 200)


class FlagList(ListAPIView):
    """Flags of a project, the newest first; for its staff."""

    serializer_class = FlagSerializer
    queryset = Flag.objects.none()

    def get_queryset(self) -> QuerySet[Flag]:
        project = get_project(user_of(self.request), self.kwargs["project"])
        query = FlagQuery(data=self.request.query_params)
        query.is_valid(raise_exception=True)
        rows = Flag.objects.filter(project=project, **query.validated_data)
        return rows.select_related("annotator", "resolved_by")

    @extend_schema(parameters=[FlagQuery])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class FlagResolve(APIView):
    """Decide on a flagged pair or set; for the project's admins."""

    @extend_schema(request=ResolveRequest, responses=FlagSerializer)
    def post(self, request: Request, project: str, pk: int) -> Response:
        """Take it out of the queue, or keep it; all its open flags are decided with this one.

        Deciding again replaces the first decision.
        """
        user = user_of(request)
        flag = get_visible(Flag, user, ADMINS, project__slug=project, pk=pk)
        body = ResolveRequest(data=request.data)
        body.is_valid(raise_exception=True)
        return Response(FlagSerializer(resolve(flag=flag, by=user, **body.validated_data)).data)
