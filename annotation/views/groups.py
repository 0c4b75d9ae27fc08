"""Groups of annotators, and the pairs that are theirs alone."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from annotation.forms.groups import ChoiceForm, GroupForm
from annotation.models import Group
from annotation.services import groups
from steelyard.accounts.models import User
from steelyard.accounts.people import user_of
from steelyard.lib.errors import UserError
from steelyard.projects.models import Project, Role
from steelyard.projects.policy import ADMINS, STAFF, get_project, get_visible, role_in


def group_list(request: HttpRequest, project: str) -> HttpResponse:
    """All groups with their people, making one, and giving pairs to one; htmx asks for the count
    of the chosen pairs alone."""
    user = user_of(request)
    found = get_project(user, project, ADMINS if request.method == "POST" else STAFF)
    form = GroupForm(request.POST or None, people=groups.candidates(found))
    if request.method == "POST" and form.is_valid():
        try:
            group = groups.create_group(project=found, by=user, **form.cleaned_data)
        except UserError as error:
            form.refuse(error)
        else:
            messages.success(request, _("The group %(name)s is made.") % {"name": group})
            return redirect("annotation:group-list", found.slug)
    context = _chosen(request, found) | {"form": form, "may_act": _may_act(user, found)}
    part = "#chosen" if getattr(request, "htmx", False) else ""
    return render(request, f"annotation/groups.html{part}", context)


def group_detail(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    """One group: its name and its people."""
    user = user_of(request)
    group = _group(user, project, pk)
    before = {
        "name": group.name,
        "members": list(group.members.values_list("user__username", flat=True)),
    }
    form = GroupForm(request.POST or None, initial=before, people=groups.candidates(group.project))
    if request.method == "POST" and form.is_valid():
        try:
            groups.update_group(group=group, by=user, **form.cleaned_data)
        except UserError as error:
            form.refuse(error)
        else:
            messages.success(request, _("The group %(name)s is saved.") % {"name": group})
            return redirect("annotation:group-list", project)
    context = {"project": group.project, "group": group, "name": before["name"], "form": form}
    return render(request, "annotation/group.html", context)


@require_POST
def group_delete(request: HttpRequest, project: str, pk: int) -> HttpResponse:
    by = user_of(request)
    group = _group(by, project, pk)
    groups.delete_group(group=group, by=by)
    said = _("The group %(name)s is gone; what it had is everybody’s.")
    messages.success(request, said % {"name": group.name})
    return redirect("annotation:group-list", project)


@require_POST
def group_give(request: HttpRequest, project: str) -> HttpResponse:
    """Give the chosen pairs."""
    by = user_of(request)
    found = get_project(by, project, ADMINS)
    form = ChoiceForm(request.POST, project=found, groups=groups.groups_of(found))
    if not form.is_valid():
        field, errors = next(iter(form.errors.items()))
        raise UserError(f"{form.fields[field].label}: {errors[0]}", field=field)
    n = groups.give_pairs(
        project=found,
        by=by,
        choice=form.choice,
        group=form.group,
        priority=form.cleaned_data["priority"],
    )
    messages.success(request, _given(n, form.group, ranking=_ranks(found)))
    if n == groups.MOST_AT_ONCE:
        messages.info(request, _("That is the most at once; give again for the rest."))
    return redirect("annotation:group-list", found.slug)


def _given(n: int, group: Group | None, *, ranking: bool) -> str:
    if group is None and ranking:
        said = ngettext("%(n)s set is everybody’s now.", "%(n)s sets are everybody’s now.", n)
    elif group is None:
        said = ngettext("%(n)s pair is everybody’s now.", "%(n)s pairs are everybody’s now.", n)
    elif ranking:
        said = ngettext(
            "%(n)s set is for %(group)s alone now.", "%(n)s sets are for %(group)s alone now.", n
        )
    else:
        said = ngettext(
            "%(n)s pair is for %(group)s alone now.", "%(n)s pairs are for %(group)s alone now.", n
        )
    return said % {"n": n, "group": group}


def _chosen(request: HttpRequest, project: Project) -> dict[str, Any]:
    """The form of choosing as the URL fills it in, and how many pairs are meant."""
    known = groups.groups_of(project)
    said = request.GET if request.method == "GET" and request.GET else None
    choice = ChoiceForm(said, project=project, groups=known)
    n = choice.choice.pairs(project).count() if choice.is_bound and choice.is_valid() else None
    return {
        "project": project,
        "groups": known,
        "choice": choice,
        "n": n,
        "ranking": _ranks(project),
    }


def _ranks(project: Project) -> bool:
    """Whether its annotators are given sets to rank and not pairs."""
    return bool(project.scheme["task"] == "ranking")


def _may_act(user: User, project: Project) -> bool:
    return role_in(user, project) == Role.ADMIN


def _group(user: User, project: str, pk: int) -> Group:
    rows = Group.objects.select_related("project")
    return get_visible(rows, user, ADMINS, pk=pk, project__slug=project)
