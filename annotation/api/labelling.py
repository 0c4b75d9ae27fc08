"""The two calls that annotators live on, their progress, and the votes for staff."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation.models import Judgment
from annotation.querysets import JudgmentQuerySet
from annotation.serializers.labelling import (
    JudgmentQuery,
    JudgmentRequest,
    JudgmentSerializer,
    RecordedSerializer,
    VerdictRequest,
)
from annotation.serializers.names import annotator_named, model_named
from annotation.serializers.shown import (
    HeldSerializer,
    LeaseSerializer,
    NextQuery,
    ProgressSerializer,
    RenewRequest,
)
from annotation.services.prelabels import told_with
from annotation.services.queue import (
    annotator_for,
    annotator_in,
    next_pair,
    progress_of,
    renew,
    why_nothing,
)
from annotation.services.verdicts import Verdict, amend_judgment, record_numbered
from steelyard.accounts.models import User
from steelyard.accounts.people import user_of
from steelyard.projects.models import Project
from steelyard.projects.policy import ANY_ROLE, get_project
from steelyard.web.api import read_by, shown_by


class Next(APIView):
    """The next pair for you."""

    scopes: ClassVar = {"GET": "label"}

    @extend_schema(parameters=[NextQuery], responses={200: LeaseSerializer, 204: None})
    def get(self, request: Request, project: str) -> Response:
        """Lease a pair, or get the one that you hold already, its lease renewed.

        204 where there is none for you now; the header `Steelyard-Nothing` says why: `paused`,
        `person_paused`, `cap`, `day_cap`, `with_others`, `done` or `training`. Hand the verdict in
        with `POST judgments` before `expires_at`; later it is still taken if nobody else has
        completed the pair. To fetch ahead, name in `holding` what you have.
        """
        annotator = annotator_in(user=user_of(request), slug=project)
        lease = next_pair(annotator=annotator, **read_by(NextQuery, request.query_params))
        if lease is None:
            return Response(status=204, headers={"Steelyard-Nothing": why_nothing(annotator)})
        lease.told = told_with(lease)
        return Response(shown_by(LeaseSerializer, lease))


class Renew(APIView):
    """Your leases."""

    scopes: ClassVar = {"POST": "label"}

    @extend_schema(request=RenewRequest, responses=HeldSerializer)
    def post(self, request: Request, project: str) -> Response:
        """Keep pairs for as long again, also one whose lease ran out while nobody else took it."""
        annotator = annotator_in(user=user_of(request), slug=project)
        body = RenewRequest(data=request.data)
        body.is_valid(raise_exception=True)
        return Response({"held": renew(annotator=annotator, **body.validated_data)})


class Progress(APIView):
    """How far you are."""

    scopes: ClassVar = {"GET": "label"}

    @extend_schema(responses=ProgressSerializer)
    def get(self, request: Request, project: str) -> Response:
        return Response(progress_of(annotator_in(user=user_of(request), slug=project)))


class JudgmentList(ListAPIView):
    """Judgments of a project, the newest first, and the way to hand in your own."""

    scopes: ClassVar = {"POST": "label"}
    serializer_class = JudgmentSerializer
    queryset = Judgment.objects.none()

    def get_queryset(self) -> JudgmentQuerySet:
        project = get_project(user_of(self.request), self.kwargs["project"])
        query = JudgmentQuery(data=self.request.query_params)
        query.is_valid(raise_exception=True)
        rows = Judgment.objects.filter(project=project)
        chosen = rows.chosen(**_by_name(project, query.validated_data))
        return chosen.with_content().select_related("correction", "supersedes")

    @extend_schema(parameters=[JudgmentQuery])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    @extend_schema(
        request=JudgmentRequest, responses={200: RecordedSerializer, 201: RecordedSerializer}
    )
    def post(self, request: Request, project: str) -> Response:
        """Record your verdict on a pair that `next` gave you.

        201 where it is new, 200 where the same UUID had brought it before, 409 where it is no
        longer wanted: the pair is judged already, was never yours, or others completed it.
        """
        annotator = annotator_in(user=user_of(request), slug=project)
        said = read_by(JudgmentRequest, request.data)
        judgment, created = record_numbered(
            annotator=annotator, pair=said.pop("pair"), verdict=Verdict(**said)
        )
        body = shown_by(RecordedSerializer, judgment)
        return Response(body, status=201 if created else 200)


class JudgmentsMine(ListAPIView):
    """Your own verdicts that stand, the newest first."""

    scopes: ClassVar = {"GET": ("read", "label")}
    serializer_class = RecordedSerializer
    queryset = Judgment.objects.none()

    def get_queryset(self) -> JudgmentQuerySet:
        user = user_of(self.request)
        project = get_project(user, self.kwargs["project"], ANY_ROLE)
        return _own(user, project).current().select_related("correction", "supersedes")


class JudgmentAmend(APIView):
    """Another verdict of yours on a pair that you have judged."""

    scopes: ClassVar = {"POST": "label"}

    @extend_schema(
        request=VerdictRequest, responses={200: RecordedSerializer, 201: RecordedSerializer}
    )
    def post(self, request: Request, project: str, uuid: UUID) -> Response:
        """Replace a verdict by another one; the first is kept as superseded.

        No lease is needed. 201 where it is new, 200 where the same new UUID had brought it before,
        409 where the verdict has been replaced already, or where a skip is to become a verdict and
        others have completed the pair.
        """
        user = user_of(request)
        found = get_project(user, project, ANY_ROLE)
        judgment = _own(user, found).select_related("pair", "correction").filter(uuid=uuid).first()
        if judgment is None:
            raise Http404("No such verdict of yours.")
        body = VerdictRequest(data=request.data)
        body.is_valid(raise_exception=True)
        amended, created = amend_judgment(
            annotator=annotator_for(user=user, project=found),
            judgment=judgment,
            verdict=Verdict(**body.validated_data),
        )
        return Response(RecordedSerializer(amended).data, status=201 if created else 200)


def _own(user: User, project: Project) -> JudgmentQuerySet:
    """Those that the person gave themselves; a judge is nobody's."""
    return Judgment.objects.filter(project=project, annotator__user=user)


def _by_name(project: Project, said: dict[str, Any]) -> dict[str, Any]:
    said = dict(said)
    said["superseded"] = said.pop("all")
    if "annotator" in said:
        said["annotator"] = annotator_named(project, said["annotator"])
    if "model" in said:
        said["model"] = model_named(project, said["model"])
    return said
