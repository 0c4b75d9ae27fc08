from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login, logout, update_session_auth_hash
from django.contrib.auth.decorators import login_not_required
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST, require_safe

from steelyard.accounts import services
from steelyard.accounts.forms import OwnPasswordForm, PersonForm, SignInForm, TokenForm
from steelyard.accounts.models import AuditEvent, User
from steelyard.accounts.people import user_of
from steelyard.lib.errors import UserError


@login_not_required
@sensitive_post_parameters("password")
@never_cache
def sign_in(request: HttpRequest) -> HttpResponse:
    onward = _safe_next(request)
    if request.user.is_authenticated:
        return redirect(onward)
    form = SignInForm(request, request.POST or None)
    if request.method == "POST" and form.is_valid():
        user = form.get_user()
        login(request, user)
        services.record(by=user, action="signed-in", target=user.username)
        return redirect(onward)
    status = 200 if request.method != "POST" else 422
    context = {
        "form": form,
        "next": onward,
        "language_chosen": request.COOKIES.get(settings.LANGUAGE_COOKIE_NAME, ""),
    }
    return render(request, "accounts/sign_in.html", context, status=status)


@login_not_required
@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return redirect("accounts:sign-in")


@login_not_required
@require_POST
def language(request: HttpRequest) -> HttpResponse:
    """Choose the pages' language: kept by a cookie, and for who is signed in on their account."""
    chosen = request.POST.get("language", "")
    if isinstance(request.user, User):
        services.set_language(user=request.user, language=chosen)
    response = redirect(_safe_next(request))
    if chosen in dict(settings.LANGUAGES):
        response.set_cookie(
            settings.LANGUAGE_COOKIE_NAME,
            chosen,
            max_age=settings.LANGUAGE_COOKIE_AGE,
            samesite="Lax",
            secure=request.is_secure(),
        )
    else:
        response.delete_cookie(settings.LANGUAGE_COOKIE_NAME)
    return response


@sensitive_post_parameters()
@never_cache
def account(request: HttpRequest) -> HttpResponse:
    """One's own page: password and tokens."""
    user = user_of(request)
    password_form = OwnPasswordForm(user, request.POST or None)
    if request.method == "POST" and password_form.is_valid():
        services.change_password(user=user, password=password_form.cleaned_data["new_password1"])
        update_session_auth_hash(request, user)
        messages.success(
            request, _("The password is changed. Other browsers have to sign in again.")
        )
        return redirect("accounts:account")
    context = {
        "password_form": password_form,
        "token_form": TokenForm(auto_id="token_%s", user=user),
        "tokens": user.tokens.select_related("project"),
        "token_events": services.token_events(user=user),
        "memberships": user.memberships.select_related("project").order_by("project__name"),
        "new_key": request.session.pop("new_key", None),
    }
    return render(request, "accounts/account.html", context)


@require_POST
def token_create(request: HttpRequest) -> HttpResponse:
    user = user_of(request)
    form = TokenForm(request.POST, user=user)
    if not form.is_valid():
        field, errors = next(iter(form.errors.items()))
        raise UserError(f"{form.fields[field].label}: {errors[0]}", field=field)
    _token, key = services.create_token(user=user, **form.values())
    request.session["new_key"] = key  # shown by the next page, once
    return redirect(reverse("accounts:account") + "#tokens")


@require_POST
def token_revoke(request: HttpRequest, pk: int) -> HttpResponse:
    services.revoke_token(user=user_of(request), pk=pk)
    messages.success(request, _("The token is revoked; it opens nothing any more."))
    return redirect(reverse("accounts:account") + "#tokens")


@never_cache
def person_list(request: HttpRequest) -> HttpResponse:
    by = _site_admin(request)
    form = PersonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            user, password = services.create_person(by=by, **form.cleaned_data)
        except UserError as error:
            form.add_error(error.field, error.message)
        else:
            request.session["new_password"] = [user.username, password]
            return redirect("accounts:person-list")
    people = User.objects.prefetch_related("memberships__project")
    context = {
        "form": form,
        "page": Paginator(people, 50).get_page(request.GET.get("page")),
        "new_password": request.session.pop("new_password", None),
    }
    return render(request, "accounts/people.html", context)


@require_POST
def person_reset(request: HttpRequest, pk: int) -> HttpResponse:
    by = _site_admin(request)
    user = get_object_or_404(User, pk=pk)
    password = services.reset_password(by=by, user=user)
    request.session["new_password"] = [user.username, password]
    return redirect("accounts:person-list")


@require_POST
def person_active(request: HttpRequest, pk: int) -> HttpResponse:
    by = _site_admin(request)
    user = get_object_or_404(User, pk=pk)
    services.set_active(by=by, user=user, active=request.POST.get("active") == "1")
    return redirect("accounts:person-list")


@require_safe
def audit(request: HttpRequest) -> HttpResponse:
    """Who did what, newest first."""
    _site_admin(request)
    events = AuditEvent.objects.select_related("actor")
    page = Paginator(events, 100).get_page(request.GET.get("page"))
    return render(request, "accounts/audit.html", {"page": page})


def _site_admin(request: HttpRequest) -> User:
    user = user_of(request)
    if not user.is_superuser:
        raise Http404("No such page.")
    return user


def _safe_next(request: HttpRequest) -> str:
    """Where to go after signing in: only to a place of this site."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    allowed = url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return wanted if allowed else reverse("projects:home")
