from __future__ import annotations

from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation.serializers.names import annotator_named
from annotation.serializers.prelabels import PrelabellingRequest, PrelabellingSerializer
from annotation.services.prelabels import set_prelabelling, setting_of
from steelyard.accounts.people import user_of
from steelyard.projects.policy import ADMINS, get_project


class PrelabellingDetail(APIView):
    """Whether people see what a judge has said before they say it themselves."""

    scopes: ClassVar = {"PATCH": "admin"}

    @extend_schema(responses=PrelabellingSerializer)
    def get(self, request: Request, project: str) -> Response:
        setting = setting_of(get_project(user_of(request), project))
        return Response(PrelabellingSerializer(setting or {}).data)

    @extend_schema(request=PrelabellingRequest, responses=PrelabellingSerializer)
    def patch(self, request: Request, project: str) -> Response:
        """Show a judge's verdicts from now on, or nobody's; for the project's admins."""
        by = user_of(request)
        found = get_project(by, project, ADMINS)
        body = PrelabellingRequest(data=request.data)
        body.is_valid(raise_exception=True)
        said = body.validated_data
        judge = annotator_named(found, said["judge"], "judge") if said["judge"] else None
        setting = set_prelabelling(project=found, judge=judge, share=said["share"], by=by)
        return Response(PrelabellingSerializer(setting or {}).data)
