from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpResponseBase, StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from steelyard.accounts.people import user_of
from steelyard.projects.policy import get_project, get_visible
from steelyard.runs.files import serve_made
from steelyard.runs.models import MetricPoint, Run, RunState
from steelyard.runs.querysets import RunQuerySet
from steelyard.runs.queue import the_queue
from steelyard.runs.serializers import (
    LogLineSerializer,
    MetricPointSerializer,
    QueueSerializer,
    RunSerializer,
)
from steelyard.runs.services import cancel_run, pause_run, resume_run, retry_run
from steelyard.web.api import AnyType

MAX_LOG_LINES = 1000


class RunList(ListAPIView):
    """Runs of a project, the newest first."""

    serializer_class = RunSerializer
    queryset = Run.objects.none()

    @extend_schema(
        parameters=[
            OpenApiParameter(
                "kind", str, enum=list(settings.RUN_KINDS), description="Only runs of this kind."
            ),
            OpenApiParameter("state", str, enum=RunState.values, description="Only in this state."),
        ]
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    def get_queryset(self) -> RunQuerySet:
        project = get_project(user_of(self.request), self.kwargs["project"])
        rows = Run.objects.filter(project=project).select_related("created_by")
        for name in ("kind", "state"):
            if value := self.request.query_params.get(name):
                rows = rows.filter(**{name: value})
        return rows


class RunDetail(APIView):
    """One run: its state, how far it is, and what came of it."""

    @extend_schema(responses=RunSerializer)
    def get(self, request: Request, project: str, pk: int) -> Response:
        return Response(RunSerializer(_run(request, project, pk)).data)


class RunCancel(APIView):
    """Ask a run to stop."""

    @extend_schema(request=None, responses={202: RunSerializer})
    def post(self, request: Request, project: str, pk: int) -> Response:
        run = _run(request, project, pk)
        cancel_run(run=run, by=user_of(request))
        run.refresh_from_db()
        return Response(RunSerializer(run).data, status=202)


class RunPause(APIView):
    """Stop a training run after its next checkpoint, until it is resumed."""

    @extend_schema(request=None, responses={202: RunSerializer})
    def post(self, request: Request, project: str, pk: int) -> Response:
        run = _run(request, project, pk)
        pause_run(run=run, by=user_of(request))
        run.refresh_from_db()
        return Response(RunSerializer(run).data, status=202)


class RunResume(APIView):
    """Put a paused run back into the queue."""

    @extend_schema(request=None, responses={202: RunSerializer})
    def post(self, request: Request, project: str, pk: int) -> Response:
        run = _run(request, project, pk)
        resume_run(run=run, by=user_of(request))
        run.refresh_from_db()
        return Response(RunSerializer(run).data, status=202)


class RunRetry(APIView):
    """Try a failed run again: one that trains, from its last checkpoint; one that judges, explains
    or tunes a judge, after what it has found out. Keys and limits are those of now."""

    @extend_schema(request=None, responses={202: RunSerializer})
    def post(self, request: Request, project: str, pk: int) -> Response:
        run = _run(request, project, pk)
        retry_run(run=run, by=user_of(request))
        run.refresh_from_db()
        return Response(RunSerializer(run).data, status=202)


class RunQueue(APIView):
    """What is at work and what waits, with its place in the server's one queue."""

    @extend_schema(responses=QueueSerializer)
    def get(self, request: Request, project: str) -> Response:
        found = get_project(user_of(request), project)
        return Response(QueueSerializer(the_queue(found)).data)


class RunMetrics(ListAPIView):
    """All numbers of a run in pages; ``metrics.csv`` beside it has them in one file."""

    serializer_class = MetricPointSerializer
    queryset = MetricPoint.objects.none()

    @extend_schema(parameters=[OpenApiParameter("name", str, description="Only this metric.")])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    def get_queryset(self) -> QuerySet[MetricPoint]:
        run = _run(self.request, self.kwargs["project"], self.kwargs["pk"])
        rows = MetricPoint.objects.filter(run=run)
        name = self.request.query_params.get("name")
        return rows.filter(name=name) if name else rows


class RunMetricsFile(APIView):
    """All numbers of a run as CSV: step, name, value, time; an empty value was not a number."""

    @extend_schema(responses={(200, "text/csv"): OpenApiTypes.STR})
    def get(self, request: Request, project: str, pk: int) -> StreamingHttpResponse:
        run = _run(request, project, pk)
        response = StreamingHttpResponse(_lines(run), content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = f'attachment; filename="run-{run.pk}-metrics.csv"'
        return response


class RunMade(APIView):
    """A picture or clip that a run made: a sample of a training, an output of a generation. Ranges
    may be asked for."""

    renderer_classes = [AnyType]

    @extend_schema(responses={(200, "*/*"): OpenApiTypes.BINARY})
    def get(self, request: Request, project: str, pk: int, name: str) -> HttpResponseBase:
        return serve_made(request._request, _run(request, project, pk), name)


class RunLog(APIView):
    """The last lines of a run's log, the oldest first."""

    @extend_schema(
        parameters=[OpenApiParameter("limit", int, description="At most so many; 200.")],
        responses=LogLineSerializer(many=True),
    )
    def get(self, request: Request, project: str, pk: int) -> Response:
        run = _run(request, project, pk)
        count = min(max(0, int(request.query_params.get("limit", 200))), MAX_LOG_LINES)
        events = run.dir.last_events(count) if count else []
        return Response(LogLineSerializer(events, many=True).data)


class _Echo:
    """What csv writes to, only to have the line back."""

    def write(self, line: str) -> str:
        return line


def _lines(run: Run) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield writer.writerow(["step", "name", "value", "time"])
    rows = MetricPoint.objects.filter(run=run).order_by("step", "name")
    for row in rows.values_list("step", "name", "value", "time").iterator():
        yield writer.writerow(["" if cell is None else cell for cell in row])


def _run(request: Request, project: str, pk: int) -> Run:
    rows = Run.objects.select_related("project", "created_by")
    return get_visible(rows, user_of(request), pk=pk, project__slug=project)
