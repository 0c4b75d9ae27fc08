from __future__ import annotations

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from steelyard.accounts import services
from steelyard.accounts.models import ApiToken
from steelyard.accounts.people import user_of
from steelyard.accounts.serializers import NewTokenSerializer, TokenSerializer


class TokenList(ListAPIView):
    """Your own tokens, and the way to make one."""

    serializer_class = TokenSerializer
    queryset = ApiToken.objects.none()

    def get_queryset(self) -> QuerySet[ApiToken]:
        return ApiToken.objects.filter(user=user_of(self.request))

    @extend_schema(request=TokenSerializer, responses={201: NewTokenSerializer})
    def post(self, request: Request) -> Response:
        body = TokenSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        token, key = services.create_token(user=user_of(request), **body.validated_data)
        token.key = key  # type: ignore[attr-defined]
        return Response(NewTokenSerializer(token).data, status=201)


class TokenDetail(APIView):
    """One of your own tokens."""

    @extend_schema(responses={204: None})
    def delete(self, request: Request, pk: int) -> Response:
        """Revoke it, also the one that this call is made with."""
        services.revoke_token(user=user_of(request), pk=pk)
        return Response(status=204)
