from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from steelyard.accounts.models import User
from steelyard.accounts.people import user_of
from steelyard.lib.errors import UserError
from steelyard.projects import services
from steelyard.projects.forms import MemberForm, ProjectForm, SettingsForm
from steelyard.projects.models import Membership, Project, Role
from steelyard.projects.policy import ADMINS, ANY_ROLE, get_project, get_visible, role_in
from steelyard.web.templatetags.steelyard import nav_url


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """One's projects: to label in, or to look after."""
    user = user_of(request)
    projects = Project.objects.visible_to(user).with_role_of(user)
    return render(request, "projects/home.html", {"projects": projects})


def project_new(request: HttpRequest) -> HttpResponse:
    by = user_of(request)
    if not by.is_superuser:
        raise Http404("No such page.")
    form = ProjectForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            project = services.create_project(by=by, **form.as_request())
        except UserError as error:
            form.refuse(error)
        else:
            if left_out := form.left_out():
                messages.info(request, left_out)
            return redirect("projects:project-detail", project.slug)
    return render(request, "projects/project_new.html", {"form": form})


@require_safe
def project_detail(request: HttpRequest, project: str) -> HttpResponse:
    """The frame of the overview; what stands in it comes from the rooms, by URL."""
    user = user_of(request)
    found = get_project(user, project, ANY_ROLE)
    if role_in(user, found) == Role.ANNOTATOR:
        return redirect(nav_url("annotation:label", found.slug) or "projects:home")
    members = found.memberships.select_related("user").order_by("user__username")
    context = {"project": found, "members": members, "role": role_in(user, found)}
    return render(request, "projects/project.html", context)


def project_settings(request: HttpRequest, project: str) -> HttpResponse:
    user = user_of(request)
    found = get_project(user, project, ADMINS)
    form = SettingsForm(request.POST or None, instance=found)
    if request.method == "POST" and form.is_valid():
        found.refresh_from_db()  # the form has written into it; the service is to see what was
        try:
            services.update_project(project=found, by=user, **form.as_request())
        except UserError as error:
            form.refuse(error)
        else:
            messages.success(request, _("The settings are saved."))
            if left_out := form.left_out():
                messages.info(request, left_out)
            return redirect("projects:project-settings", found.slug)
    return render(request, "projects/settings.html", {"project": found, "form": form})


@require_POST
def guidelines_preview(request: HttpRequest) -> HttpResponse:
    """A fragment: the guidelines as annotators will see them."""
    return render(
        request, "projects/project_new.html#preview", {"text": request.POST.get("guidelines", "")}
    )


def member_list(request: HttpRequest, project: str) -> HttpResponse:
    user = user_of(request)
    found = get_project(user, project, ADMINS)
    form = MemberForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            added = services.add_member(project=found, by=user, **form.cleaned_data)
        except UserError as error:
            form.refuse(error)
        else:
            messages.success(request, _("%(name)s is now a member.") % {"name": added.user})
            return redirect("projects:member-list", found.slug)
    members = found.memberships.select_related("user").order_by("user__username")
    context = {"project": found, "form": form, "members": members, "roles": Role.choices}
    return render(request, "projects/members.html", context)


@require_POST
def member_role(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    user = user_of(request)
    membership = _membership(user, project, pk)
    services.set_role(membership=membership, by=user, role=request.POST.get("role", ""))
    said = {"name": membership.user, "role": membership.get_role_display().lower()}
    messages.success(request, _("%(name)s is now %(role)s.") % said)
    return redirect("projects:member-list", project)


@require_POST
def member_remove(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    user = user_of(request)
    membership = _membership(user, project, pk)
    services.remove_member(membership=membership, by=user)
    messages.success(request, _("%(name)s is no longer a member.") % {"name": membership.user})
    return redirect("projects:member-list", project)


def _membership(user: User, slug: str, pk: int) -> Membership:
    rows = Membership.objects.select_related("user", "project")
    return get_visible(rows, user, ADMINS, pk=pk, project__slug=slug)
