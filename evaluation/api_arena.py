"""The API of those who run arenas; whoever visits one does so on its page."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from evaluation.arena import LONGEST_PROMPT, MOST_TURNS, change_arena, open_arena, standing_of
from evaluation.models_arena import Arena
from evaluation.serializers import models_named
from steelyard.accounts.people import user_of
from steelyard.projects.policy import ADMINS, get_project, get_visible
from steelyard.web.api import StrictSerializer


class ArenaRequest(StrictSerializer):
    """What ``POST arenas`` takes."""

    name = serializers.CharField(max_length=200)
    contestants = serializers.ListField(
        child=serializers.CharField(),
        min_length=2,
        help_text="Names of model versions that can answer.",
    )
    access = serializers.ChoiceField(choices=Arena.Access.choices, default=Arena.Access.LINK)
    sampling = serializers.DictField(required=False, default=dict, help_text="As of evaluations.")
    longest_prompt = serializers.IntegerField(
        default=4000, min_value=1, max_value=LONGEST_PROMPT, help_text="Characters of a question."
    )
    most_turns = serializers.IntegerField(
        default=5, min_value=1, max_value=MOST_TURNS, help_text="Questions in one conversation."
    )
    seed = serializers.IntegerField(default=0, min_value=0, max_value=2**31 - 1)


class ArenaChange(StrictSerializer):
    """What ``PATCH arenas/{id}`` takes; what is left out stays."""

    is_open = serializers.BooleanField(required=False)
    contestants = serializers.ListField(child=serializers.CharField(), min_length=2, required=False)
    new_link = serializers.BooleanField(
        required=False, default=False, help_text="The old address leads nowhere then."
    )


class ArenaSerializer(serializers.ModelSerializer):
    contestants = serializers.ListField(child=serializers.CharField(), source="names")
    path = serializers.CharField(help_text="Where people are invited to, on this server.")

    class Meta:
        model = Arena
        fields = [
            "id",
            "name",
            "contestants",
            "access",
            "is_open",
            "path",
            "sampling",
            "longest_prompt",
            "most_turns",
            "seed",
            "created_at",
        ]


class ContestantSerializer(serializers.Serializer):
    model = serializers.CharField(source="model.name")
    battles = serializers.IntegerField()
    votes = serializers.IntegerField()
    failed = serializers.IntegerField(help_text="Questions that it did not answer.")


class VoterSerializer(serializers.Serializer):
    """How one person votes; the most suspicious come first."""

    annotator = serializers.CharField(source="annotator.name")
    is_guest = serializers.BooleanField()
    votes = serializers.IntegerField()
    withdrawn = serializers.IntegerField()
    flagged = serializers.SerializerMethodField()
    log_e = serializers.SerializerMethodField(
        help_text="Logarithm of the e-value against voting as the others do; null where no vote "
        "had a winner."
    )

    def get_flagged(self, voter: Any) -> bool:
        return voter.row is not None and voter.row.flagged

    @extend_schema_field(serializers.FloatField(allow_null=True))
    def get_log_e(self, voter: Any) -> float | None:
        return voter.row.log_e if voter.row else None


class ArenaDetailSerializer(ArenaSerializer):
    """With how it stands."""

    battles = serializers.IntegerField(source="standing.battles")
    votes = serializers.IntegerField(source="standing.votes")
    rated = serializers.IntegerField(
        source="standing.rated", help_text="Votes that leaderboards count."
    )
    not_blind = serializers.IntegerField(
        source="standing.not_blind",
        help_text="Votes left out because an answer gave away who wrote it.",
    )
    withdrawn = serializers.IntegerField(source="standing.withdrawn")
    standings = ContestantSerializer(source="standing.contestants", many=True)
    voters = VoterSerializer(source="standing.voters", many=True)

    class Meta(ArenaSerializer.Meta):
        fields = [
            *ArenaSerializer.Meta.fields,
            "battles",
            "votes",
            "rated",
            "not_blind",
            "withdrawn",
            "standings",
            "voters",
        ]


class ArenaList(ListAPIView):
    """Arenas of a project, and the way to open one."""

    scopes: ClassVar = {"POST": "admin"}
    serializer_class = ArenaSerializer
    queryset = Arena.objects.none()

    def get_queryset(self) -> Any:
        project = get_project(user_of(self.request), self.kwargs["project"])
        return Arena.objects.filter(project=project).prefetch_related("contestants")

    @extend_schema(request=ArenaRequest, responses={201: ArenaSerializer})
    def post(self, request: Request, project: str) -> Response:
        found = get_project(user_of(request), project, ADMINS)
        body = ArenaRequest(data=request.data)
        body.is_valid(raise_exception=True)
        data = dict(body.validated_data)
        data["contestants"] = models_named(found, data["contestants"], field="contestants")
        arena = open_arena(project=found, by=user_of(request), **data)
        return Response(ArenaSerializer(arena).data, status=201)


class ArenaDetail(APIView):
    """One arena with its contestants and voters; opened, closed or given another link."""

    scopes: ClassVar = {"PATCH": "admin"}

    @extend_schema(responses=ArenaDetailSerializer)
    def get(self, request: Request, project: str, pk: int) -> Response:
        rows = Arena.objects.select_related("project")
        return _detail(get_visible(rows, user_of(request), pk=pk, project__slug=project))

    @extend_schema(request=ArenaChange, responses=ArenaDetailSerializer)
    def patch(self, request: Request, project: str, pk: int) -> Response:
        rows = Arena.objects.select_related("project")
        arena = get_visible(rows, user_of(request), ADMINS, pk=pk, project__slug=project)
        body = ArenaChange(data=request.data)
        body.is_valid(raise_exception=True)
        data = dict(body.validated_data)
        if "contestants" in data:
            named = data["contestants"]
            data["contestants"] = models_named(arena.project, named, field="contestants")
        return _detail(change_arena(arena=arena, by=user_of(request), **data))


def _detail(arena: Arena) -> Response:
    arena.standing = standing_of(arena)  # type: ignore[attr-defined]
    return Response(ArenaDetailSerializer(arena).data)
