"""Rate limits of the API: so many requests a minute for a token (or a person signed in on pages),
and so many for an address, whoever asks from there."""

from __future__ import annotations

from math import ceil
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from rest_framework.exceptions import Throttled
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from steelyard.accounts.addresses import address_of
from steelyard.accounts.models import ApiToken
from steelyard.web.limits import wait_for


class RequestLimits(BaseThrottle):
    _wait = 0.0

    def allow_request(self, request: Request, view: Any) -> bool:
        limits = {f"address:{address_of(request._request)}": settings.REQUESTS_OF_ADDRESS}
        if isinstance(request.auth, ApiToken):
            limits[f"token:{request.auth.pk}"] = settings.REQUESTS_OF_TOKEN
        elif request.user.is_authenticated:
            limits[f"user:{request.user.pk}"] = settings.REQUESTS_OF_TOKEN
        self._wait = wait_for(limits)
        return not self._wait

    def wait(self) -> int:
        return ceil(self._wait)


def refuse_flood(request: Request | HttpRequest) -> None:
    """Counts one that fails to sign in, for its address alone: it is nobody's yet.

    Raises:
        Throttled: the address has asked too often.
    """
    asked = request._request if isinstance(request, Request) else request
    limit = settings.REQUESTS_OF_ADDRESS
    if wait := wait_for({f"address:{address_of(asked)}": limit}):
        raise Throttled(wait=ceil(wait))
