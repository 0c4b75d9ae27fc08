"""How pipelines came to outputs, and the search for pipelines."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation.models import Output
from steelyard.accounts.people import user_of
from steelyard.projects.policy import get_visible


class RecordSerializer(serializers.Serializer):
    """Who said what before an output of a pipeline was there."""

    output = serializers.IntegerField(source="output_id")
    turns = serializers.ListField(
        child=serializers.DictField(),
        help_text="A turn of the prompt each: text, calls, tokens_in, tokens_out, and layers with "
        "said (model, text, what was read), before and kept (numbers of candidates).",
    )


class OutputRecordDetail(APIView):
    """The record of an output that a pipeline made."""

    @extend_schema(responses=RecordSerializer)
    def get(self, request: Request, project: str, pk: int) -> Response:
        rows = Output.objects.filter(record__isnull=False).select_related("record")
        output = get_visible(rows, user_of(request), pk=pk, project__slug=project)
        return Response(RecordSerializer(output.record).data)
