"""The round of sets with known orders before the real work, and those orders."""

from __future__ import annotations

from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation.models import OutputSet, RankingLease
from annotation.serializers.training_sets import (
    KnownOrderRequest,
    KnownOrderSerializer,
    OrderFeedbackSerializer,
    SetAnswerRequest,
    TrainingSetSerializer,
)
from annotation.services.known_orders import forget_known_order, set_known_order
from annotation.services.queue import annotator_in
from annotation.services.sets import set_of
from annotation.services.training_of_sets import (
    answer_set,
    next_training_set,
    shown_in_training,
    status,
)
from steelyard.accounts.people import user_of
from steelyard.projects.policy import get_visible


class TrainingSetNext(APIView):
    """The next set of your training round."""

    scopes: ClassVar = {"GET": "label"}

    @extend_schema(responses={200: TrainingSetSerializer, 204: None})
    def get(self, request: Request, project: str) -> Response:
        """204 where no training is needed, or no longer: go on with `sets/next`."""
        annotator = annotator_in(user=user_of(request), slug=project)
        due = next_training_set(annotator)
        if due is None:
            return Response(status=204)
        # a lease in form alone: training sets are nobody's, and nothing is stored
        lease = RankingLease(
            project=annotator.project,
            output_set=due,
            annotator=annotator,
            shown=shown_in_training(annotator, due),
        )
        return Response(TrainingSetSerializer(lease, context={"at": status(annotator)}).data)


class TrainingSetAnswers(APIView):
    """Your orders in the training round; none of them is a ranking."""

    scopes: ClassVar = {"POST": "label"}

    @extend_schema(request=SetAnswerRequest, responses=OrderFeedbackSerializer)
    def post(self, request: Request, project: str) -> Response:
        """Put the set that `training/sets/next` gave you in order and learn what is as known.

        Sent again, it is the same answer. 409 where the set is not the next one of the round.
        """
        annotator = annotator_in(user=user_of(request), slug=project)
        body = SetAnswerRequest(data=request.data)
        body.is_valid(raise_exception=True)
        said = dict(body.validated_data)
        output_set = set_of(annotator.project, said.pop("set"))
        feedback = answer_set(annotator=annotator, output_set=output_set, **said)
        return Response(OrderFeedbackSerializer(feedback).data)


class SetKnownOrder(APIView):
    """The right order of a set, which keeps it for the training round."""

    @extend_schema(responses=KnownOrderSerializer)
    def get(self, request: Request, project: str, pk: int) -> Response:
        """The order, without tiers where none is known."""
        return Response(KnownOrderSerializer(self._set(request, project, pk)).data)

    @extend_schema(request=KnownOrderRequest, responses=KnownOrderSerializer)
    def put(self, request: Request, project: str, pk: int) -> Response:
        """Say the right order. A, B and C in the reason are the set's `outputs` as `GET sets` lists
        them (or as `shown` has them), and annotators are shown them so. 409 where people have
        ranked the set already."""
        found = self._set(request, project, pk)
        body = KnownOrderRequest(data=request.data)
        body.is_valid(raise_exception=True)
        known = set_known_order(output_set=found, by=user_of(request), **body.validated_data)
        return Response(KnownOrderSerializer(known).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, project: str, pk: int) -> Response:
        """Take the set out of the training round: it is to be ranked like any other."""
        forget_known_order(output_set=self._set(request, project, pk), by=user_of(request))
        return Response(status=204)

    def _set(self, request: Request, project: str, pk: int) -> OutputSet:
        return get_visible(OutputSet, user_of(request), pk=pk, project__slug=project)
