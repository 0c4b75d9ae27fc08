from __future__ import annotations

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation.models import Annotator, Withdrawal
from annotation.serializers.withdrawals import (
    WithdrawalDetailSerializer,
    WithdrawalRequest,
    WithdrawalSerializer,
)
from annotation.services.withdrawals import KINDS, lift, reach, withdraw
from steelyard.accounts.people import user_of
from steelyard.lib.errors import UserError
from steelyard.projects.models import Project
from steelyard.projects.policy import get_project, get_visible
from steelyard.runs.models import Run


class WithdrawalList(ListAPIView):
    """Votes that are withdrawn, the newest withdrawal first, and the way to withdraw some."""

    serializer_class = WithdrawalSerializer
    queryset = Withdrawal.objects.none()

    def get_queryset(self) -> QuerySet[Withdrawal]:
        project = get_project(user_of(self.request), self.kwargs["project"])
        rows = Withdrawal.objects.filter(project=project)
        return rows.select_related("annotator", "created_by")

    @extend_schema(
        request=WithdrawalRequest, responses={200: WithdrawalSerializer, 201: WithdrawalSerializer}
    )
    def post(self, request: Request, project: str) -> Response:
        """Versions that are there stay as they are; later ones leave the votes out. 200 where the
        same withdrawal was there, which is in force with the new reason."""
        found = get_project(user_of(request), project)
        body = WithdrawalRequest(data=request.data)
        body.is_valid(raise_exception=True)
        said = dict(body.validated_data)
        before = set(Withdrawal.objects.filter(project=found).values_list("pk", flat=True))
        made = withdraw(
            project=found,
            annotator=_annotator(found, said.pop("annotator")),
            run=_run(found, said.pop("run")),
            by=user_of(request),
            **said,
        )
        return Response(WithdrawalSerializer(made).data, status=200 if made.pk in before else 201)


class WithdrawalDetail(APIView):
    """One withdrawal, with the versions, runs and models that its votes are in."""

    @extend_schema(responses=WithdrawalDetailSerializer)
    def get(self, request: Request, project: str, pk: int) -> Response:
        found = _withdrawal(request, project, pk)
        found.reach = reach(found, user_of(request))  # type: ignore[attr-defined]
        return Response(WithdrawalDetailSerializer(found).data)


class WithdrawalLift(APIView):
    """Let the votes count again in versions frozen from now on."""

    @extend_schema(request=None, responses=WithdrawalSerializer)
    def post(self, request: Request, project: str, pk: int) -> Response:
        found = _withdrawal(request, project, pk)
        lift(withdrawal=found, by=user_of(request))
        found.refresh_from_db()
        return Response(WithdrawalSerializer(found).data)


def _withdrawal(request: Request, project: str, pk: int) -> Withdrawal:
    rows = Withdrawal.objects.select_related("project", "annotator", "created_by")
    return get_visible(rows, user_of(request), pk=pk, project__slug=project)


def _annotator(project: Project, name: str) -> Annotator | None:
    if not name:
        return None
    found = Annotator.objects.filter(project=project, name=name).first()
    if found is None:
        raise UserError(f"This project has no annotator “{name}”.", field="annotator")
    return found


def _run(project: Project, pk: int | None) -> Run | None:
    if pk is None:
        return None
    found = Run.objects.filter(project=project, kind__in=KINDS, pk=pk).first()
    if found is None:
        raise UserError(f"This project has no judging run {pk}.", field="run")
    return found
