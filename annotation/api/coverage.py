"""How far the labelling is, who does it, and what the owner settles for them."""

from __future__ import annotations

from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation.models import Annotator
from annotation.serializers.coverage import (
    LabellingSerializer,
    PausedSerializer,
    PauseRequest,
    PersonRequest,
    ReleasedSerializer,
    SettledSerializer,
)
from annotation.services import overview, people
from steelyard.accounts.people import user_of
from steelyard.projects.policy import ADMINS, get_project, get_visible
from steelyard.projects.services import set_paused


class Labelling(APIView):
    """Coverage and people, for the project's researchers and admins."""

    @extend_schema(responses=LabellingSerializer)
    def get(self, request: Request, project: str) -> Response:
        found = get_project(user_of(request), project)
        counted, done = overview.coverage(found), overview.throughput(found)
        body = {
            "paused": found.paused,
            "counted_at": counted.at,
            "total": counted.value.total,
            "by_verdicts": [
                {"judged": judged, "wanted": wanted, "pairs": n}
                for (judged, wanted), n in counted.value.by_verdicts.items()
            ],
            "by_category": [
                {"category": name, **vars(tally), "share": tally.share}
                for name, tally in counted.value.by_category.items()
            ],
            "today": done.value.today,
            "fortnight": done.value.fortnight,
            "at_work": overview.at_work(found),
            "people": overview.people(found).value,
            "flagged": overview.flagged(found).count(),
            "flagged_sets": overview.flagged_sets(found).count(),
        }
        return Response(LabellingSerializer(body).data)


class LabellingPause(APIView):
    """Stop handing out pairs, or go on; for the project's admins."""

    scopes: ClassVar = {"POST": "admin"}

    @extend_schema(request=PauseRequest, responses=PausedSerializer)
    def post(self, request: Request, project: str) -> Response:
        found = get_project(user_of(request), project, ADMINS)
        body = PauseRequest(data=request.data)
        body.is_valid(raise_exception=True)
        set_paused(project=found, by=user_of(request), paused=body.validated_data["paused"])
        return Response(PausedSerializer(found).data)


class AnnotatorDetail(APIView):
    """What is settled for one person; for the project's admins."""

    scopes: ClassVar = {"PATCH": "admin"}

    @extend_schema(request=PersonRequest, responses=SettledSerializer)
    def patch(self, request: Request, project: str, pk: int) -> Response:
        annotator = _annotator(request, project, pk)
        body = PersonRequest(data=request.data)
        body.is_valid(raise_exception=True)
        people.set_person(annotator=annotator, by=user_of(request), **body.validated_data)
        return Response(SettledSerializer(annotator).data)


class AnnotatorRelease(APIView):
    """Take the pairs back that a person holds, so that others get them."""

    scopes: ClassVar = {"POST": "admin"}

    @extend_schema(request=None, responses=ReleasedSerializer)
    def post(self, request: Request, project: str, pk: int) -> Response:
        annotator = _annotator(request, project, pk)
        n = people.take_back(annotator=annotator, by=user_of(request))
        return Response(ReleasedSerializer({"released": n}).data)


def _annotator(request: Request, project: str, pk: int) -> Annotator:
    rows = Annotator.objects.select_related("project")
    return get_visible(rows, user_of(request), ADMINS, pk=pk, project__slug=project)
