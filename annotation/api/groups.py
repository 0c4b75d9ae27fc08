"""Groups of annotators, and the pairs that are given to them alone."""

from __future__ import annotations

from typing import ClassVar

from django.db import transaction
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation.models import Group
from annotation.serializers.groups import (
    GroupChange,
    GroupRequest,
    GroupSerializer,
    PairsGivenSerializer,
    PairsRequest,
)
from annotation.serializers.names import model_named
from annotation.services import groups
from steelyard.accounts.people import user_of
from steelyard.projects.policy import ADMINS, get_project, get_visible
from steelyard.web.conditional import require_match


class GroupList(APIView):
    """Groups of annotators; they are few and come whole."""

    scopes: ClassVar = {"POST": "admin"}

    @extend_schema(responses=GroupSerializer(many=True))
    def get(self, request: Request, project: str) -> Response:
        found = get_project(user_of(request), project)
        return Response(GroupSerializer(groups.groups_of(found), many=True).data)

    @extend_schema(request=GroupRequest, responses={201: GroupSerializer})
    def post(self, request: Request, project: str) -> Response:
        """Make a group; for the project's admins."""
        found = get_project(user_of(request), project, ADMINS)
        body = GroupRequest(data=request.data)
        body.is_valid(raise_exception=True)
        group = groups.create_group(project=found, by=user_of(request), **body.validated_data)
        return Response(_shown(group), status=201)


class GroupDetail(APIView):
    """One group; for the project's admins."""

    scopes: ClassVar = {"PATCH": "admin", "DELETE": "admin"}

    @extend_schema(responses=GroupSerializer)
    def get(self, request: Request, project: str, pk: int) -> Response:
        return Response(_shown(_group(request, project, pk)))

    @extend_schema(request=GroupChange, responses=GroupSerializer)
    def patch(self, request: Request, project: str, pk: int) -> Response:
        """With If-Match, only where nobody has changed it meanwhile."""
        body = GroupChange(data=request.data)
        body.is_valid(raise_exception=True)
        with transaction.atomic():
            group = _locked(request, project, pk)
            groups.update_group(group=group, by=user_of(request), **body.validated_data)
        return Response(_shown(group))

    @extend_schema(responses={204: None})
    def delete(self, request: Request, project: str, pk: int) -> Response:
        """Its pairs are everybody's then. With If-Match, only where nobody has changed it
        meanwhile."""
        with transaction.atomic():
            groups.delete_group(group=_locked(request, project, pk), by=user_of(request))
        return Response(status=204)


class GroupPairs(APIView):
    """The pairs of a group; for the project's admins."""

    scopes: ClassVar = {"POST": "admin", "DELETE": "admin"}

    @extend_schema(request=PairsRequest, responses=PairsGivenSerializer)
    def post(self, request: Request, project: str, pk: int) -> Response:
        """Give pairs to the group, or count them first with ``only_count``."""
        group = _group(request, project, pk)
        body = PairsRequest(data=request.data)
        body.is_valid(raise_exception=True)
        said = dict(body.validated_data)
        only_count, priority = said.pop("only_count"), said.pop("priority")
        said["model"] = model_named(group.project, said["model"]) if said["model"] else None
        choice = groups.Choice(**said)
        if only_count:
            return Response({"pairs": choice.pairs(group.project).count()})
        n = groups.give_pairs(
            project=group.project,
            by=user_of(request),
            choice=choice,
            group=group,
            priority=priority,
        )
        return Response(PairsGivenSerializer({"pairs": n}).data)

    @extend_schema(responses={200: PairsGivenSerializer})
    def delete(self, request: Request, project: str, pk: int) -> Response:
        """Take its open pairs back: they are everybody's then."""
        group = _group(request, project, pk)
        choice = groups.Choice(whose=group)
        n = groups.give_pairs(project=group.project, by=user_of(request), choice=choice, group=None)
        return Response(PairsGivenSerializer({"pairs": n}).data)


def _group(request: Request, project: str, pk: int) -> Group:
    rows = Group.objects.select_related("project")
    return get_visible(rows, user_of(request), ADMINS, pk=pk, project__slug=project)


def _locked(request: Request, project: str, pk: int) -> Group:
    """The group as it is now and stays until the transaction ends, if that is what the caller
    knows."""
    group = _group(request, project, pk)
    Group.objects.select_for_update(no_key=True).get(pk=group.pk)
    require_match(request, _shown(group))
    return group


def _shown(group: Group) -> object:
    found = next(one for one in groups.groups_of(group.project) if one.pk == group.pk)
    return GroupSerializer(found).data
