"""Prompts, outputs and pairs, and whole files of them."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation.models import Output, Pair, Prompt
from annotation.querysets import PairQuerySet, PromptQuerySet
from annotation.serializers.material import (
    ImportedSerializer,
    ImportRequest,
    OutputQuery,
    OutputRequest,
    OutputSerializer,
    PairQuery,
    PairRequest,
    PairSerializer,
    PromptQuery,
    PromptRequest,
    PromptSerializer,
    answer_of,
    known_of,
)
from annotation.serializers.names import model_named
from annotation.services.files import import_file
from annotation.services.material import create_output, create_pair, create_prompt
from steelyard.accounts.people import user_of
from steelyard.projects.policy import get_project, get_visible


class PromptList(ListAPIView):
    """Prompts of a project, and the way to add one."""

    serializer_class = PromptSerializer
    queryset = Prompt.objects.none()

    def get_queryset(self) -> PromptQuerySet:
        project = get_project(user_of(self.request), self.kwargs["project"])
        query = PromptQuery(data=self.request.query_params)
        query.is_valid(raise_exception=True)
        said = {key: value for key, value in query.validated_data.items() if value is not None}
        return Prompt.objects.filter(project=project, **said)

    @extend_schema(parameters=[PromptQuery])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    @extend_schema(request=PromptRequest, responses={200: PromptSerializer, 201: PromptSerializer})
    def post(self, request: Request, project: str) -> Response:
        """Add a prompt: 201 where it is new, 200 where it was there, known by its messages."""
        found = get_project(user_of(request), project)
        body = PromptRequest(data=request.data)
        body.is_valid(raise_exception=True)
        prompt, created = create_prompt(project=found, **body.validated_data)
        return Response(PromptSerializer(prompt).data, status=201 if created else 200)


class OutputList(ListAPIView):
    """Outputs of a project, and the way to add one."""

    serializer_class = OutputSerializer
    queryset = Output.objects.none()

    def get_queryset(self) -> QuerySet[Output]:
        project = get_project(user_of(self.request), self.kwargs["project"])
        query = OutputQuery(data=self.request.query_params)
        query.is_valid(raise_exception=True)
        said = dict(query.validated_data)
        if "model" in said:
            said["model"] = model_named(project, said["model"])
        return Output.objects.filter(project=project, **said).select_related("model", "asset")

    @extend_schema(parameters=[OutputQuery])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    @extend_schema(request=OutputRequest, responses={200: OutputSerializer, 201: OutputSerializer})
    def post(self, request: Request, project: str) -> Response:
        """Add an answer to a prompt: 201 where it is new, 200 where it was there."""
        found = get_project(user_of(request), project)
        body = OutputRequest(data=request.data)
        body.is_valid(raise_exception=True)
        rows = Prompt.objects.filter(project=found).select_related("project")
        prompt = get_visible(rows, user_of(request), pk=body.validated_data["prompt"])
        output, created = create_output(
            prompt=prompt, answer=answer_of(body.validated_data), by=user_of(request)
        )
        return Response(OutputSerializer(output).data, status=201 if created else 200)


class PairList(ListAPIView):
    """Pairs of a project with their outputs and models, and the way to add one."""

    serializer_class = PairSerializer
    queryset = Pair.objects.none()

    def get_queryset(self) -> PairQuerySet:
        project = get_project(user_of(self.request), self.kwargs["project"])
        query = PairQuery(data=self.request.query_params)
        query.is_valid(raise_exception=True)
        said = query.validated_data
        rows = Pair.objects.filter(project=project).with_content()
        if "model" in said:
            rows = rows.of_model(model_named(project, said["model"]))
        if "state" in said:
            rows = rows.open() if said["state"] == "open" else rows.complete()
        exact = {"category": "prompt__category", "origin": "origin"}
        return rows.filter(**{exact[key]: said[key] for key in exact if key in said})

    @extend_schema(parameters=[PairQuery])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    @extend_schema(request=PairRequest, responses={200: PairSerializer, 201: PairSerializer})
    def post(self, request: Request, project: str) -> Response:
        """Add a prompt with two answers as a pair to label.

        201 where the pair is new, 200 where it was there. For images and videos, and for what the
        prompt is about (`media`), upload the files with `POST assets` first. With `known` the
        right answer is kept; with `training` the pair is shown in the training round alone.
        """
        found = get_project(user_of(request), project)
        body = PairRequest(data=request.data)
        body.is_valid(raise_exception=True)
        said = dict(body.validated_data)
        said["known"] = known_of(said["known"])
        answers = answer_of(said.pop("first")), answer_of(said.pop("second"))
        pair, created = create_pair(project=found, answers=answers, by=user_of(request), **said)
        pair = Pair.objects.with_content().get(pk=pair.pk)
        return Response(PairSerializer(pair).data, status=201 if created else 200)


class Import(APIView):
    """Bring in a JSON Lines file, alone or in a .zip with its media; all of it or nothing."""

    @extend_schema(
        request={"multipart/form-data": ImportRequest, "application/json": ImportRequest},
        responses=ImportedSerializer,
    )
    def post(self, request: Request, project: str) -> Response:
        """Pairs (with any votes), sets to rank or held-out prompts, one JSON object a line.

        A line names a picture or video by the SHA-256 that `POST assets` answered, or by its file
        name where the upload is a .zip with the lines (one .jsonl) and the files. A wrong line is
        named with what would be right, and nothing is stored.
        """
        found = get_project(user_of(request), project)
        body = ImportRequest(data=request.data)
        body.is_valid(raise_exception=True)
        said = body.validated_data
        data = said["file"] if "file" in said else said["text"].encode()
        done = import_file(project=found, kind=said["kind"], data=data, by=user_of(request))
        return Response(ImportedSerializer(done).data)
