"""How pipelines came to outputs, and the search for pipelines."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation.models import Output
from annotation.serializers.names import annotator_named, model_named
from evaluation.models import PromptSet
from evaluation.serializers_pipelines import (
    KeepPipelineRequest,
    RecordSerializer,
    SearchRequest,
    SearchSerializer,
)
from evaluation.services_pipelines import KIND, found_by, keep_found, start_search
from steelyard.accounts.people import user_of
from steelyard.projects.policy import get_project, get_visible
from steelyard.registry.api_layered import PipelineSerializer
from steelyard.runs.models import Run
from steelyard.runs.serializers import RunSerializer


class OutputRecordDetail(APIView):
    """The record of an output that a pipeline made."""

    @extend_schema(responses=RecordSerializer)
    def get(self, request: Request, project: str, pk: int) -> Response:
        rows = Output.objects.filter(record__isnull=False).select_related("record")
        output = get_visible(rows, user_of(request), pk=pk, project__slug=project)
        return Response(RecordSerializer(output.record).data)


class PipelineSearches(APIView):
    """The searches for pipelines of a project, and the way to start one."""

    @extend_schema(responses=RunSerializer(many=True))
    def get(self, request: Request, project: str) -> Response:
        found = get_project(user_of(request), project)
        rows = Run.objects.filter(project=found, kind=KIND).select_related("project")
        return Response(RunSerializer(rows, many=True).data)

    @extend_schema(request=SearchRequest, responses={201: RunSerializer})
    def post(self, request: Request, project: str) -> Response:
        """Start the run. What it finds becomes a model only where somebody keeps it."""
        user = user_of(request)
        found = get_project(user, project)
        body = SearchRequest(data=request.data)
        body.is_valid(raise_exception=True)
        said = dict(body.validated_data)
        for name in ("generators", "helpers"):
            said[name] = [model_named(found, one, name) for one in said[name]]
        said["baseline"] = model_named(found, said["baseline"], "baseline")
        said["judge"] = annotator_named(found, said["judge"], "judge")
        if (number := said.pop("prompt_set", None)) is not None:
            chosen = get_visible(PromptSet, user, pk=number, project=found)
            said["prompt_set"] = {"source": "set", "set": chosen.pk}
        run = start_search(project=found, by=user, **said)
        return Response(RunSerializer(run).data, status=201)


class PipelineSearchDetail(APIView):
    """One search: what was tried, and how the best do on fresh prompts."""

    @extend_schema(responses=SearchSerializer)
    def get(self, request: Request, project: str, pk: int) -> Response:
        return Response(SearchSerializer(found_by(_search(request, project, pk))).data)


class PipelineSearchKeep(APIView):
    """Pipelines of a search become models."""

    @extend_schema(
        request=KeepPipelineRequest, responses={200: PipelineSerializer, 201: PipelineSerializer}
    )
    def post(self, request: Request, project: str, pk: int) -> Response:
        """Make one a model; one that was kept before is answered as it is, with 200."""
        run = _search(request, project, pk)
        body = KeepPipelineRequest(data=request.data)
        body.is_valid(raise_exception=True)
        model, made = keep_found(run=run, by=user_of(request), **body.validated_data)
        return Response(PipelineSerializer(model).data, status=201 if made else 200)


def _search(request: Request, project: str, pk: int) -> Run:
    return get_visible(Run, user_of(request), pk=pk, project__slug=project, kind=KIND)
