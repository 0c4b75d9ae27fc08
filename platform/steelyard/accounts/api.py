from __future__ import annotations

from typing import ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from steelyard.accounts import (
    openapi,  # noqa: F401  (registers itself)
    services,
)
from steelyard.accounts.models import ApiToken
from steelyard.accounts.people import user_of
from steelyard.accounts.serializers import (
    NewTokenSerializer,
    TokenRequest,
    TokenSerializer,
    token_shown,
)


class TokenList(ListAPIView):
    """Your own tokens, and the way to make one."""

    serializer_class = TokenSerializer
    queryset = ApiToken.objects.none()
    scopes: ClassVar = {"GET": "admin", "POST": "admin"}

    def get_queryset(self) -> QuerySet[ApiToken]:
        return ApiToken.objects.filter(user=user_of(self.request)).select_related("project")

    @extend_schema(request=TokenRequest, responses={201: NewTokenSerializer})
    def post(self, request: Request) -> Response:
        """A token made with a token opens no more than that one does, and no longer."""
        body = TokenRequest(data=request.data)
        body.is_valid(raise_exception=True)
        said = dict(body.validated_data)
        user = user_of(request)
        project = services.project_for_token(user=user, slug=said.pop("project"))
        through = request.auth if isinstance(request.auth, ApiToken) else None
        token, key = services.create_token(user=user, project=project, through=through, **said)
        return Response(token_shown(token, key), status=201)


class TokenDetail(APIView):
    """One of your own tokens."""

    scopes: ClassVar = {"DELETE": "admin"}

    @extend_schema(responses={204: None})
    def delete(self, request: Request, pk: int) -> Response:
        """Revoke it, also the one that this call is made with."""
        services.revoke_token(user=user_of(request), pk=pk)
        return Response(status=204)
