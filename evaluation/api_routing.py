from __future__ import annotations

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation.models import Annotator
from evaluation.models import Evaluation, Routed, Routing
from evaluation.serializers_routing import RoutedSerializer, RoutingRequest, RoutingSerializer
from evaluation.services_routing import route
from steelyard.accounts.people import user_of
from steelyard.projects.policy import get_project, get_visible


class RoutingList(APIView):
    """Draws of pairs for people by how unsure judges are."""

    @extend_schema(responses=RoutingSerializer(many=True))
    def get(self, request: Request, project: str) -> Response:
        found = get_project(user_of(request), project)
        rows = Routing.objects.filter(project=found).prefetch_related("judges")
        return Response(RoutingSerializer(rows, many=True).data)

    @extend_schema(request=RoutingRequest, responses={201: RoutingSerializer})
    def post(self, request: Request, project: str) -> Response:
        """Draw pairs; those that are drawn come into the labelling queue, the others leave it."""
        user = user_of(request)
        found = get_project(user, project)
        body = RoutingRequest(data=request.data)
        body.is_valid(raise_exception=True)
        said = dict(body.validated_data)
        names = said.pop("judges")
        judges = list(Annotator.objects.filter(project=found, kind="judge", name__in=names))
        if missing := set(names) - {judge.name for judge in judges}:
            raise ValidationError({"judges": f"There is no judge called “{min(missing)}”."})
        number = said.pop("evaluation", None)
        evaluation = (
            get_visible(Evaluation, user, pk=number, project=found) if number is not None else None
        )
        made = route(project=found, judges=judges, evaluation=evaluation, by=user, **said)
        return Response(RoutingSerializer(made).data, status=201)


class RoutedList(ListAPIView):
    """Each pair that a draw decided on, with its probability."""

    serializer_class = RoutedSerializer
    queryset = Routed.objects.none()

    def get_queryset(self) -> QuerySet[Routed]:
        routing = get_visible(
            Routing,
            user_of(self.request),
            pk=self.kwargs["pk"],
            project__slug=self.kwargs["project"],
        )
        return Routed.objects.filter(routing=routing)
