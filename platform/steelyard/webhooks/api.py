from __future__ import annotations

from typing import ClassVar

from django.db import transaction
from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from steelyard.accounts.people import user_of
from steelyard.projects.policy import ADMINS, get_project, get_visible
from steelyard.web.conditional import require_match
from steelyard.webhooks import services
from steelyard.webhooks.models import Delivery, Endpoint
from steelyard.webhooks.serializers import (
    DeliverySerializer,
    EndpointChange,
    EndpointRequest,
    EndpointSecretSerializer,
    EndpointSerializer,
)


class EndpointList(ListAPIView):
    """Webhooks of a project; for its admins."""

    serializer_class = EndpointSerializer
    queryset = Endpoint.objects.none()
    scopes: ClassVar = {"GET": "admin", "POST": "admin"}

    def get_queryset(self) -> QuerySet[Endpoint]:
        project = get_project(user_of(self.request), self.kwargs["project"], ADMINS)
        return Endpoint.objects.filter(project=project)

    @extend_schema(request=EndpointRequest, responses={201: EndpointSecretSerializer})
    def post(self, request: Request, project: str) -> Response:
        """Tell an address of events. The answer has the secret, which is never shown again."""
        found = get_project(user_of(request), project, ADMINS)
        body = EndpointRequest(data=request.data)
        body.is_valid(raise_exception=True)
        made = services.add_endpoint(project=found, by=user_of(request), **body.validated_data)
        return Response(EndpointSecretSerializer(made).data, status=201)


class EndpointDetail(APIView):
    """One webhook; for the project's admins."""

    scopes: ClassVar = {"GET": "admin", "PATCH": "admin", "DELETE": "admin"}

    @extend_schema(responses=EndpointSerializer)
    def get(self, request: Request, project: str, pk: int) -> Response:
        return Response(EndpointSerializer(_endpoint(request, project, pk)).data)

    @extend_schema(request=EndpointChange, responses=EndpointSerializer)
    def patch(self, request: Request, project: str, pk: int) -> Response:
        """With If-Match, only where nobody has changed it meanwhile."""
        body = EndpointChange(data=request.data, partial=True)
        body.is_valid(raise_exception=True)
        with transaction.atomic():
            endpoint = _locked(request, project, pk)
            services.update_endpoint(endpoint=endpoint, by=user_of(request), **body.validated_data)
        return Response(EndpointSerializer(endpoint).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, project: str, pk: int) -> Response:
        with transaction.atomic():
            endpoint = _locked(request, project, pk)
            services.delete_endpoint(endpoint=endpoint, by=user_of(request))
        return Response(status=204)


class EndpointSecret(APIView):
    """The secret of a webhook."""

    scopes: ClassVar = {"POST": "admin"}

    @extend_schema(request=None, responses=EndpointSecretSerializer)
    def post(self, request: Request, project: str, pk: int) -> Response:
        """Make a new one. For a day the old one signs as well."""
        endpoint = _endpoint(request, project, pk)
        services.rotate_secret(endpoint=endpoint, by=user_of(request))
        return Response(EndpointSecretSerializer(endpoint).data)


class EndpointTest(APIView):
    """Trying a webhook."""

    scopes: ClassVar = {"POST": "admin"}

    @extend_schema(request=None, responses={202: DeliverySerializer})
    def post(self, request: Request, project: str, pk: int) -> Response:
        """Send the event `webhook.test`, which tells of nothing."""
        delivery = services.send_test(endpoint=_endpoint(request, project, pk))
        return Response(DeliverySerializer(delivery).data, status=202)


class DeliveryList(ListAPIView):
    """What was sent to a webhook in the last 30 days, the newest first."""

    serializer_class = DeliverySerializer
    queryset = Delivery.objects.none()
    scopes: ClassVar = {"GET": "admin"}

    def get_queryset(self) -> QuerySet[Delivery]:
        endpoint = _endpoint(self.request, self.kwargs["project"], self.kwargs["pk"])
        return Delivery.objects.filter(endpoint=endpoint)


class DeliveryAgain(APIView):
    """One delivery."""

    scopes: ClassVar = {"POST": "admin"}

    @extend_schema(request=None, responses={202: DeliverySerializer})
    def post(self, request: Request, project: str, pk: int, delivery: int) -> Response:
        """Send it again now, under the same number."""
        endpoint = _endpoint(request, project, pk)
        rows = Delivery.objects.select_related("endpoint")
        found = get_object_or_404(rows, endpoint=endpoint, pk=delivery)
        services.redeliver(delivery=found)
        return Response(DeliverySerializer(found).data, status=202)


def _endpoint(request: Request, project: str, pk: int) -> Endpoint:
    rows = Endpoint.objects.select_related("project")
    return get_visible(rows, user_of(request), ADMINS, pk=pk, project__slug=project)


def _locked(request: Request, project: str, pk: int) -> Endpoint:
    """As it is now and stays until the transaction ends, if that is what the caller knows."""
    _endpoint(request, project, pk)
    rows = Endpoint.objects.select_for_update(of=("self",), no_key=True).select_related("project")
    endpoint = rows.get(pk=pk)
    require_match(request, EndpointSerializer(endpoint).data)
    return endpoint
