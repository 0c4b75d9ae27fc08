"""Sets to be put in order: bringing them in, ranking them, and the rankings for staff."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation.models import OutputSet, Ranking
from annotation.querysets import OutputSetQuerySet, RankingQuerySet
from annotation.serializers.material import answer_of
from annotation.serializers.names import annotator_named
from annotation.serializers.ranking import (
    OrderRequest,
    RankedSerializer,
    RankingQuery,
    RankingRequest,
    RankingSerializer,
    SetLeaseSerializer,
    SetQuery,
    SetRequest,
    SetSerializer,
)
from annotation.serializers.shown import NextQuery
from annotation.services.queue import annotator_in
from annotation.services.ranking import Order, amend_ranking, record_ranking
from annotation.services.ranking_queue import next_set, why_no_set
from annotation.services.sets import create_set, set_of
from steelyard.accounts.people import user_of
from steelyard.projects.policy import get_project


class SetList(ListAPIView):
    """Sets of answers to be put in order, the newest first, and the way to add one."""

    serializer_class = SetSerializer
    queryset = OutputSet.objects.none()

    def get_queryset(self) -> OutputSetQuerySet:
        project = get_project(user_of(self.request), self.kwargs["project"])
        query = SetQuery(data=self.request.query_params)
        query.is_valid(raise_exception=True)
        said = query.validated_data
        rows = OutputSet.objects.filter(project=project).prefetch_related("outputs")
        if "state" in said:
            rows = rows.open() if said["state"] == "open" else rows.complete()
        exact = {"category": "prompt__category", "prompt": "prompt"}
        return rows.filter(**{exact[key]: said[key] for key in exact if key in said})

    @extend_schema(parameters=[SetQuery])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    @extend_schema(request=SetRequest, responses={200: SetSerializer, 201: SetSerializer})
    def post(self, request: Request, project: str) -> Response:
        """Add a prompt with 2 to 9 answers as a set to rank.

        201 where the set is new, 200 where it was there. For images and videos, and for what the
        prompt is about (`media`), upload the files with `POST assets` first. The project's label
        scheme must have the task `ranking`.
        """
        found = get_project(user_of(request), project)
        body = SetRequest(data=request.data)
        body.is_valid(raise_exception=True)
        said = dict(body.validated_data)
        answers = [answer_of(answer) for answer in said.pop("answers")]
        made, created = create_set(project=found, answers=answers, by=user_of(request), **said)
        return Response(SetSerializer(made).data, status=201 if created else 200)


class SetNext(APIView):
    """The next set for you."""

    scopes: ClassVar = {"GET": "label"}

    @extend_schema(parameters=[NextQuery], responses={200: SetLeaseSerializer, 204: None})
    def get(self, request: Request, project: str) -> Response:
        """Lease a set, or get the one that you hold already, its lease renewed.

        204 where there is none for you now; the header `Steelyard-Nothing` says why: `paused`,
        `person_paused`, `training`, `cap`, `day_cap`, `with_others` or `done`. To fetch ahead, name
        in `holding` what you have.
        """
        annotator = annotator_in(user=user_of(request), slug=project)
        query = NextQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        lease = next_set(annotator=annotator, **query.validated_data)
        if lease is None:
            return Response(status=204, headers={"Steelyard-Nothing": why_no_set(annotator)})
        return Response(SetLeaseSerializer(lease).data)


class RankingList(ListAPIView):
    """Rankings of a project, the newest first, and the way to hand in your own."""

    scopes: ClassVar = {"POST": "label"}
    serializer_class = RankingSerializer
    queryset = Ranking.objects.none()

    def get_queryset(self) -> RankingQuerySet:
        project = get_project(user_of(self.request), self.kwargs["project"])
        query = RankingQuery(data=self.request.query_params)
        query.is_valid(raise_exception=True)
        said = query.validated_data
        rows = Ranking.objects.filter(project=project)
        rows = rows if said["all"] else rows.current()
        if "annotator" in said:
            rows = rows.filter(annotator=annotator_named(project, said["annotator"]))
        if "set" in said:
            rows = rows.filter(output_set=said["set"])
        return rows.select_related("annotator", "supersedes")

    @extend_schema(parameters=[RankingQuery])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    @extend_schema(request=RankingRequest, responses={200: RankedSerializer, 201: RankedSerializer})
    def post(self, request: Request, project: str) -> Response:
        """Record your order of a set that `sets/next` gave you.

        It is stored as a judgment of each two of its outputs too. 201 where it is new, 200 where
        the same UUID had brought it before, 409 where it is no longer wanted: the set is ranked
        already, was never yours, or others completed it.
        """
        annotator = annotator_in(user=user_of(request), slug=project)
        body = RankingRequest(data=request.data)
        body.is_valid(raise_exception=True)
        said = dict(body.validated_data)
        output_set = set_of(annotator.project, said.pop("set"))
        ranking, created = record_ranking(
            annotator=annotator, output_set=output_set, order=Order(**said)
        )
        return Response(RankedSerializer(ranking).data, status=201 if created else 200)


class RankingAmend(APIView):
    """Another order of yours of a set that you have ranked."""

    scopes: ClassVar = {"POST": "label"}

    @extend_schema(request=OrderRequest, responses={200: RankedSerializer, 201: RankedSerializer})
    def post(self, request: Request, project: str, uuid: UUID) -> Response:
        """Replace a ranking by another one, and its judgments with it; the first is kept as
        superseded.

        No lease is needed. 201 where it is new, 200 where the same new UUID had brought it before,
        409 where the ranking has been replaced already, or where a skip is to become a ranking and
        others have completed the set.
        """
        annotator = annotator_in(user=user_of(request), slug=project)
        mine = Ranking.objects.filter(annotator=annotator).select_related("output_set__prompt")
        ranking = mine.filter(uuid=uuid).first()
        if ranking is None:
            raise Http404("No such ranking of yours.")
        body = OrderRequest(data=request.data)
        body.is_valid(raise_exception=True)
        amended, created = amend_ranking(
            annotator=annotator, ranking=ranking, order=Order(**body.validated_data)
        )
        return Response(RankedSerializer(amended).data, status=201 if created else 200)
