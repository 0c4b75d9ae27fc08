from __future__ import annotations

from typing import ClassVar

from django.db import transaction
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import PermissionDenied
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from steelyard.accounts.people import project_of, user_of
from steelyard.projects import services
from steelyard.projects.models import Membership, Project
from steelyard.projects.policy import ADMINS, ANY_ROLE, STAFF, get_project, get_visible
from steelyard.projects.querysets import ProjectQuerySet
from steelyard.projects.serializers import (
    MemberRequest,
    MembershipSerializer,
    MeSerializer,
    ProjectRequest,
    ProjectSerializer,
    ProjectSettings,
)
from steelyard.web.conditional import require_match
from steelyard.web.scopes import ANY


class Me(APIView):
    """Who the token or the session belongs to."""

    beyond_project = True
    scopes: ClassVar = {"GET": ANY}

    @extend_schema(responses=MeSerializer)
    def get(self, request: Request) -> Response:
        user = user_of(request)
        rows = user.memberships.select_related("project").order_by("project__slug")
        if only := project_of(request):
            rows = rows.filter(project=only)
        body = {
            "username": user.username,
            "is_superuser": user.is_superuser,
            "memberships": list(rows),
        }
        return Response(MeSerializer(body).data)


class ProjectList(ListAPIView):
    """Projects that you have a role in; a site admin sees all."""

    scopes: ClassVar = {"GET": ("read", "label"), "POST": "admin"}
    beyond_project = True
    serializer_class = ProjectSerializer
    queryset = Project.objects.none()

    def get_queryset(self) -> ProjectQuerySet:
        rows = Project.objects.visible_to(user_of(self.request))
        only = project_of(self.request)
        return rows.filter(pk=only) if only else rows

    @extend_schema(request=ProjectRequest, responses={201: ProjectSerializer})
    def post(self, request: Request) -> Response:
        """Make a project; for site admins."""
        if not user_of(request).is_superuser or project_of(request):
            raise PermissionDenied("Only a site admin makes projects.")
        body = ProjectRequest(data=request.data)
        body.is_valid(raise_exception=True)
        project = services.create_project(by=user_of(request), **body.validated_data)
        return Response(ProjectSerializer(project).data, status=201)


class ProjectDetail(APIView):
    """One project with its settings."""

    scopes: ClassVar = {"GET": ("read", "label"), "PATCH": "admin"}

    @extend_schema(responses=ProjectSerializer)
    def get(self, request: Request, project: str) -> Response:
        found = get_project(user_of(request), project, ANY_ROLE)
        return Response(ProjectSerializer(found).data)

    @extend_schema(request=ProjectSettings, responses=ProjectSerializer)
    def patch(self, request: Request, project: str) -> Response:
        """Change settings; for the project's admins. A part of ``label_scheme`` that is left out
        stays as it is. With If-Match, only where nobody has changed it meanwhile."""
        get_project(user_of(request), project, ADMINS)
        body = ProjectSettings(data=request.data, partial=True)
        body.is_valid(raise_exception=True)
        values = dict(body.validated_data)
        with transaction.atomic():
            found = Project.objects.select_for_update(no_key=True).get(slug=project)
            require_match(request, ProjectSerializer(found).data)
            if "label_scheme" in values:
                values["label_scheme"] = {**found.label_scheme, **values["label_scheme"]}
            services.update_project(project=found, by=user_of(request), **values)
        return Response(ProjectSerializer(found).data)


class MemberList(ListAPIView):
    """Who is in a project; for its researchers and admins."""

    scopes: ClassVar = {"POST": "admin"}
    serializer_class = MembershipSerializer
    queryset = Membership.objects.none()

    def get_queryset(self) -> QuerySet[Membership]:
        project = get_project(user_of(self.request), self.kwargs["project"], STAFF)
        return project.memberships.select_related("user")

    @extend_schema(request=MemberRequest, responses={201: MembershipSerializer})
    def post(self, request: Request, project: str) -> Response:
        """Add somebody who has an account; for admins."""
        found = get_project(user_of(request), project, ADMINS)
        body = MemberRequest(data=request.data)
        body.is_valid(raise_exception=True)
        member = services.add_member(project=found, by=user_of(request), **body.validated_data)
        return Response(MembershipSerializer(member).data, status=201)


class MemberDetail(APIView):
    """One membership; for the project's admins."""

    scopes: ClassVar = {"PATCH": "admin", "DELETE": "admin"}

    @extend_schema(request=MembershipSerializer, responses=MembershipSerializer)
    def patch(self, request: Request, project: str, pk: int) -> Response:
        member = _member(request, project, pk)
        body = MembershipSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        services.set_role(membership=member, by=user_of(request), role=body.validated_data["role"])
        return Response(MembershipSerializer(member).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, project: str, pk: int) -> Response:
        services.remove_member(membership=_member(request, project, pk), by=user_of(request))
        return Response(status=204)


def _member(request: Request, project: str, pk: int) -> Membership:
    rows = Membership.objects.select_related("user", "project")
    return get_visible(rows, user_of(request), ADMINS, pk=pk, project__slug=project)
