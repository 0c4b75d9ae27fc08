from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation.models import Annotator
from annotation.serializers.juries import JuryRequest, JurySerializer
from annotation.services.juries import create_jury
from steelyard.accounts.people import user_of
from steelyard.projects.policy import get_project


class JuryList(APIView):
    """Judges made of judges, with what each member weighs; and the way to make one."""

    @extend_schema(responses=JurySerializer(many=True))
    def get(self, request: Request, project: str) -> Response:
        found = get_project(user_of(request), project)
        rows = Annotator.objects.filter(project=found, is_jury=True)
        return Response(JurySerializer(rows, many=True).data)

    @extend_schema(request=JuryRequest, responses={201: JurySerializer})
    def post(self, request: Request, project: str) -> Response:
        """Make a jury. What its members have said becomes its votes at once, and what they say
        later does as it comes."""
        found = get_project(user_of(request), project)
        body = JuryRequest(data=request.data)
        body.is_valid(raise_exception=True)
        said = dict(body.validated_data)
        names = said.pop("members")
        judges = Annotator.objects.filter(project=found, kind="judge", name__in=names)
        by_name = {judge.name: judge for judge in judges}
        if missing := [name for name in names if name not in by_name]:
            raise ValidationError({"members": f"There is no judge called “{missing[0]}”."})
        jury = create_jury(project=found, members=[by_name[name] for name in names], **said)
        return Response(JurySerializer(jury).data, status=201)
