from __future__ import annotations

from typing import ClassVar

from django.db.models import Count, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from evaluation.gamed import give_gamed, take_gamed
from evaluation.models import PromptSet
from evaluation.prompt_sets import delete_set, make_set, set_from_file
from evaluation.serializers_prompt_sets import (
    GamedRowsRequest,
    NamedSetDetailSerializer,
    NamedSetSerializer,
    PromptSetRequest,
)
from steelyard.accounts.people import user_of
from steelyard.projects.policy import ADMINS, get_project, get_visible


class PromptSetList(ListAPIView):
    """Prompt sets of a project, and the way to make one."""

    serializer_class = NamedSetSerializer
    queryset = PromptSet.objects.none()

    def get_queryset(self) -> QuerySet[PromptSet]:
        project = get_project(user_of(self.request), self.kwargs["project"])
        return _sized().filter(project=project)

    @extend_schema(request=PromptSetRequest, responses={201: NamedSetDetailSerializer})
    def post(self, request: Request, project: str) -> Response:
        found = get_project(user_of(request), project)
        body = PromptSetRequest(data=request.data)
        body.is_valid(raise_exception=True)
        data = dict(body.validated_data)
        lines = data.pop("lines", None)
        if lines is None:
            made = make_set(project=found, by=user_of(request), **data)
        else:
            made = set_from_file(
                project=found,
                name=data["name"],
                note=data["note"],
                data=lines.encode(),
                filename="lines.jsonl",
                by=user_of(request),
            )
        return Response(NamedSetDetailSerializer(_sized().get(pk=made.pk)).data, status=201)


class PromptSetDetail(APIView):
    """One prompt set with its prompts' keys."""

    @extend_schema(responses=NamedSetDetailSerializer)
    def get(self, request: Request, project: str, pk: int) -> Response:
        found = get_visible(_sized(), user_of(request), pk=pk, project__slug=project)
        return Response(NamedSetDetailSerializer(found).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, project: str, pk: int) -> Response:
        rows = PromptSet.objects.all()
        delete_set(prompt_set=get_visible(rows, user_of(request), pk=pk, project__slug=project))
        return Response(status=204)


class PromptSetGamedRows(APIView):
    """AlpacaEval's file of gamed rows for a set, for the project's admins."""

    scopes: ClassVar = {"PUT": "admin", "DELETE": "admin"}

    @extend_schema(request=GamedRowsRequest, responses=NamedSetDetailSerializer)
    def put(self, request: Request, project: str, pk: int) -> Response:
        found = get_visible(_sized(), user_of(request), ADMINS, pk=pk, project__slug=project)
        body = GamedRowsRequest(data=request.data)
        body.is_valid(raise_exception=True)
        said = body.validated_data
        give_gamed(
            prompt_set=found,
            data=said["lines"].encode(),
            filename=said["name"],
            by=user_of(request),
        )
        return Response(NamedSetDetailSerializer(found).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, project: str, pk: int) -> Response:
        found = get_visible(_sized(), user_of(request), ADMINS, pk=pk, project__slug=project)
        take_gamed(prompt_set=found, by=user_of(request))
        return Response(status=204)


def _sized() -> QuerySet[PromptSet]:
    return PromptSet.objects.annotate(size=Count("items"))
