"""The round of pairs with known answers before the real work."""

from __future__ import annotations

from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation.models import Assignment
from annotation.serializers.shown import ShownPairSerializer
from annotation.serializers.training import (
    TrainingAnswerRequest,
    TrainingFeedbackSerializer,
    TrainingPairSerializer,
    TrainingStatusSerializer,
)
from annotation.services.queue import annotator_for
from annotation.services.training_round import answer, next_training, status, swapped
from annotation.services.verdicts import pair_of
from steelyard.accounts.people import user_of
from steelyard.projects.policy import ANY_ROLE, get_project


class TrainingNext(APIView):
    """The next pair of your training round."""

    scopes: ClassVar = {"GET": "label"}

    @extend_schema(responses={200: TrainingPairSerializer, 204: None})
    def get(self, request: Request, project: str) -> Response:
        """204 where no training is needed, or no longer: go on with `next`."""
        found = get_project(user_of(request), project, ANY_ROLE)
        annotator = annotator_for(user=user_of(request), project=found)
        pair = next_training(annotator)
        if pair is None:
            return Response(status=204)
        # a lease in form alone: training pairs are nobody's, and nothing is stored
        shown = Assignment(
            project=found,
            pair=pair,
            annotator=annotator,
            swapped=swapped(annotator, pair),
        )
        where = TrainingStatusSerializer(status(annotator)).data
        return Response({**ShownPairSerializer(shown).data, "training": where})


class TrainingAnswers(APIView):
    """Your answers in the training round; none of them is a judgment."""

    scopes: ClassVar = {"POST": "label"}

    @extend_schema(request=TrainingAnswerRequest, responses=TrainingFeedbackSerializer)
    def post(self, request: Request, project: str) -> Response:
        """Answer the pair that `training/next` gave you and learn whether it is right.

        Sent again, it is the same answer. 409 where the pair is not the next one of the round.
        """
        found = get_project(user_of(request), project, ANY_ROLE)
        body = TrainingAnswerRequest(data=request.data)
        body.is_valid(raise_exception=True)
        said = dict(body.validated_data)
        feedback = answer(
            annotator=annotator_for(user=user_of(request), project=found),
            pair=pair_of(found, said.pop("pair")),
            **said,
        )
        return Response(TrainingFeedbackSerializer(feedback).data)
