"""Webhooks of a project, for its admins."""

from __future__ import annotations

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from steelyard.accounts.people import user_of
from steelyard.lib.errors import UserError
from steelyard.projects.policy import ADMINS, get_project, get_visible
from steelyard.webhooks import services
from steelyard.webhooks.forms import EndpointChangeForm, EndpointForm
from steelyard.webhooks.models import Delivery, Endpoint


def endpoint_list(request: HttpRequest, project: str) -> HttpResponse:
    """Who is told of what, and adding one."""
    user = user_of(request)
    found = get_project(user, project, ADMINS)
    form = EndpointForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            made = services.add_endpoint(project=found, by=user, **form.cleaned_data)
        except UserError as error:
            form.refuse(error)
        else:
            request.session["new_secret"] = [made.pk, made.secret]  # shown by the next page, once
            return redirect("webhooks:endpoint-detail", project, made.pk)
    context = {"project": found, "endpoints": found.webhooks.all(), "form": form}
    return render(request, "webhooks/endpoints.html", context)


@never_cache
def endpoint_detail(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """One webhook: its settings, its secret once, and what was sent."""
    endpoint = _endpoint(request, project, pk)
    before = {name: getattr(endpoint, name) for name in ("url", "events", "enabled")}
    form = EndpointChangeForm(request.POST or None, initial=before)
    if request.method == "POST" and form.is_valid():
        try:
            services.update_endpoint(endpoint=endpoint, by=user_of(request), **form.cleaned_data)
        except UserError as error:
            form.refuse(error)
        else:
            messages.success(request, _("The webhook is saved."))
            return redirect("webhooks:endpoint-detail", project, pk)
    said = request.session.pop("new_secret", None)
    context = {
        "project": endpoint.project,
        "endpoint": endpoint,
        "form": form,
        "new_secret": said[1] if said and said[0] == endpoint.pk else None,
        "page": Paginator(endpoint.deliveries.all(), 50).get_page(request.GET.get("page")),
    }
    return render(request, "webhooks/endpoint.html", context)


@require_POST
def endpoint_secret(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    endpoint = _endpoint(request, project, pk)
    services.rotate_secret(endpoint=endpoint, by=user_of(request))
    request.session["new_secret"] = [endpoint.pk, endpoint.secret]
    return redirect("webhooks:endpoint-detail", project, pk)


@require_POST
def endpoint_test(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    services.send_test(endpoint=_endpoint(request, project, pk))
    messages.success(request, _("A test is on its way; look at the deliveries in a moment."))
    return redirect("webhooks:endpoint-detail", project, pk)


@require_POST
def endpoint_delete(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    services.delete_endpoint(endpoint=_endpoint(request, project, pk), by=user_of(request))
    messages.success(request, _("The webhook is gone."))
    return redirect("webhooks:endpoint-list", project)


@require_POST
def delivery_again(request: HttpRequest, project: str, pk: int, delivery: int) -> HttpResponse:
    endpoint = _endpoint(request, project, pk)
    rows = Delivery.objects.select_related("endpoint")
    services.redeliver(delivery=get_object_or_404(rows, endpoint=endpoint, pk=delivery))
    messages.success(request, _("It is on its way again."))
    return redirect("webhooks:endpoint-detail", project, pk)


def _endpoint(request: HttpRequest, project: str, pk: int) -> Endpoint:
    rows = Endpoint.objects.select_related("project")
    return get_visible(rows, user_of(request), ADMINS, pk=pk, project__slug=project)
