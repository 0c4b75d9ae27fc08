from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from steelyard.accounts.people import user_of
from steelyard.projects.policy import get_project, get_visible
from training.serializers import named
from training.sweeps.models import Sweep
from training.sweeps.querysets import SweepQuerySet
from training.sweeps.serializers import SweepDetailSerializer, SweepRequest, SweepSerializer
from training.sweeps.services import cancel_sweep, judges_of, pause_sweep, start_sweep


class SweepList(ListAPIView):
    """Sweeps of a project, and the way to start one."""

    serializer_class = SweepSerializer
    queryset = Sweep.objects.none()

    def get_queryset(self) -> SweepQuerySet:
        project = get_project(user_of(self.request), self.kwargs["project"])
        return Sweep.objects.filter(project=project).with_parts().with_counts()

    @extend_schema(request=SweepRequest, responses={201: SweepDetailSerializer})
    def post(self, request: Request, project: str) -> Response:
        found = get_project(user_of(request), project)
        body = SweepRequest(data=request.data)
        body.is_valid(raise_exception=True)
        asked = named(found, body.validated_data)
        asked["judge"] = judges_of(found).filter(name=asked["judge"]).first()
        sweep = start_sweep(project=found, by=user_of(request), **asked)
        return Response(_detail(request, project, sweep.pk), status=201)


class SweepDetail(APIView):
    """One sweep with its trials (tuning figures, do not quote) and its result by test seeds."""

    @extend_schema(responses=SweepDetailSerializer)
    def get(self, request: Request, project: str, pk: int) -> Response:
        return Response(_detail(request, project, pk))


class SweepPause(APIView):
    """Begin no more runs; those that run go on."""

    paused = True

    @extend_schema(request=None, responses=SweepDetailSerializer)
    def post(self, request: Request, project: str, pk: int) -> Response:
        pause_sweep(sweep=_sweep(request, project, pk), paused=self.paused)
        return Response(_detail(request, project, pk))


class SweepResume(SweepPause):
    """Go on after a pause."""

    paused = False


class SweepCancel(APIView):
    """End a sweep and its runs; what they have measured stays."""

    @extend_schema(request=None, responses=SweepDetailSerializer)
    def post(self, request: Request, project: str, pk: int) -> Response:
        cancel_sweep(sweep=_sweep(request, project, pk), by=user_of(request))
        return Response(_detail(request, project, pk))


def _sweep(request: Request, project: str, pk: int) -> Sweep:
    rows = Sweep.objects.with_parts().with_counts()
    return get_visible(rows, user_of(request), pk=pk, project__slug=project)


def _detail(request: Request, project: str, pk: int) -> dict[str, object]:
    return SweepDetailSerializer(_sweep(request, project, pk)).data
