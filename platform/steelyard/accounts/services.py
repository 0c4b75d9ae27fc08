"""What is asked about people: signing in, passwords, tokens, and the audit log of it all."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.conf import settings
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from steelyard.accounts.addresses import address_of as address_of
from steelyard.accounts.models import ApiToken, AuditEvent, User
from steelyard.lib.errors import UserError
from steelyard.lib.hashing import sha256_hex
from steelyard.web.scopes import SCOPES

if TYPE_CHECKING:
    from steelyard.projects.models import Project

KEY_PREFIX = "sy_"
FAILURES_WINDOW = timedelta(minutes=15)
FAILURES_ALLOWED = 10
"""Wrong passwords for one name from one address."""
FAILURES_OF_ADDRESS = 50
"""From one address for any names: high enough for an office behind one address."""
FAILURES_OF_NAME = 500
"""For one name from anywhere. High, because whoever reaches it keeps the person out: it takes fifty
addresses at least, and leaves no hope of guessing a password that is not a common one."""


def set_language(*, user: User, language: str) -> None:
    """The language of the pages for this person, wherever they sign in; empty leaves it to the
    browser.

    Raises:
        UserError: ``no_such_language``.
    """
    if language and language not in dict(settings.LANGUAGES):
        known = ", ".join(dict(settings.LANGUAGES))
        raise UserError(
            _("There is no language “%(language)s” here; there are %(known)s.")
            % {"language": language, "known": known},
            code="no_such_language",
            field="language",
        )
    user.language = language
    user.save(update_fields=["language"])


def record(*, by: User | None, action: str, target: str, **data: Any) -> AuditEvent:
    """One line of the audit log. ``by`` is None where nobody has signed in yet."""
    return AuditEvent.objects.create(actor=by, action=action, target=target[:200], data=data)


def refuse_guessing(*, username: str, address: str) -> None:
    """Let one address guess the password of one person a few times and no more, those of several
    people a few more times, and a name be guessed by many addresses for so long.

    Raises:
        UserError: ``too_many_attempts`` after one of the numbers above in ``FAILURES_WINDOW``.
    """
    failures = AuditEvent.objects.filter(
        action="sign-in-failed", created_at__gt=timezone.now() - FAILURES_WINDOW
    )
    of_name = failures.filter(target=username[:200])
    of_address = failures.filter(data__address=address)
    if of_name.filter(data__address=address).count() >= FAILURES_ALLOWED:
        raise _too_many(_("Too many wrong passwords for this name from your address."))
    if of_address.count() >= FAILURES_OF_ADDRESS:
        raise _too_many(_("Too many wrong passwords from your address."))
    if of_name.count() >= FAILURES_OF_NAME:
        raise _too_many(_("Too many wrong passwords for this name."))


@transaction.atomic
def create_token(
    *,
    user: User,
    name: str,
    scopes: Collection[str] = tuple(SCOPES),
    project: Project | None = None,
    expires_at: datetime | None = None,
    through: ApiToken | None = None,
) -> tuple[ApiToken, str]:
    """A new API token and its key, which nobody can read again later.

    Args:
        scopes: what it is good for, of ``steelyard.web.scopes.SCOPES``.
        project: the only one that it opens; the caller has seen that the person is in it.
        through: the token with which this one is asked for; it hands on no more than it has.

    Raises:
        UserError: it has no name or scope, has expired already, or would open more than
            ``through`` does.
    """
    name = name.strip()
    if not name:
        raise UserError(_("A token needs a name that says what uses it."), field="name")
    if not scopes or set(scopes) - set(SCOPES):
        known = ", ".join(SCOPES)
        raise UserError(
            _("A token needs one or more of the scopes %(known)s.") % {"known": known},
            field="scopes",
        )
    if expires_at and expires_at <= timezone.now():
        raise UserError(_("A token must expire later than now."), field="expires_at")
    if through:
        _hand_on(through, scopes, project, expires_at)
    key = KEY_PREFIX + secrets.token_urlsafe(32)
    token = ApiToken.objects.create(
        user=user,
        name=name[:100],
        prefix=key[:8],
        digest=sha256_hex(key.encode()),
        scopes=[scope for scope in SCOPES if scope in scopes],
        project=project,
        expires_at=expires_at,
    )
    record(
        by=user,
        action="token-created",
        target=str(token),
        scopes=token.scopes,
        project=project.slug if project else None,
        expires_at=expires_at.isoformat() if expires_at else None,
    )
    return token, key


def _hand_on(
    through: ApiToken,
    scopes: Collection[str],
    project: Project | None,
    expires_at: datetime | None,
) -> None:
    """A token cannot outgrow or outlive itself by making another."""
    if "admin" not in through.scopes and set(scopes) - set(through.scopes):
        raise _more_than(through, "scopes")
    if through.project_id and (project is None or project.pk != through.project_id):
        raise _more_than(through, "project")
    if through.expires_at and (expires_at is None or expires_at > through.expires_at):
        raise _more_than(through, "expires_at")


def _more_than(through: ApiToken, field: str) -> UserError:
    return UserError(
        _("A token made with the token %(token)s can open no more, and no longer, than that does.")
        % {"token": through},
        code="token_too_wide",
        status=403,
        field=field,
    )


def token_events(*, user: User) -> list[AuditEvent]:
    """What lately became of the person's tokens, the newest first."""
    rows = AuditEvent.objects.filter(actor=user, action__in=["token-created", "token-revoked"])
    return list(rows[:20])


def projects_of(*, user: User) -> QuerySet[Project]:
    """Those in which the person has a role; all of them for a site admin."""
    return apps.get_model("projects", "Project").objects.visible_to(user)


def project_for_token(*, user: User, slug: str | None) -> Project | None:
    """The project that a token of this person is to open alone; None where none is named.

    Raises:
        UserError: ``unknown_project``: there is none, or none in which the person has a role.
    """
    if not slug:
        return None
    found = projects_of(user=user).filter(slug=slug).first()
    if found is None:
        raise UserError(
            _("You are in no project %(slug)s.") % {"slug": slug},
            code="unknown_project",
            field="project",
        )
    return found


@transaction.atomic
def revoke_token(*, user: User, pk: int) -> None:
    """End a token of this person.

    Raises:
        UserError: ``unknown_token``, also for a token of somebody else.
    """
    token = ApiToken.objects.filter(user=user, pk=pk).first()
    if token is None:
        raise UserError(
            _("You have no such token; it may be revoked already."),
            code="unknown_token",
            status=404,
        )
    record(by=user, action="token-revoked", target=str(token))
    token.delete()


@transaction.atomic
def change_password(*, user: User, password: str) -> None:
    """Set a password that its owner chose. The caller has checked it and the old one."""
    user.set_password(password)
    user.must_change_password = False
    user.save(update_fields=["password", "must_change_password"])
    record(by=user, action="password-changed", target=user.username)


@transaction.atomic
def create_person(*, by: User, username: str, superuser: bool = False) -> tuple[User, str]:
    """An account with a password for one sign-in, which is to be handed to the person.

    Raises:
        UserError: the name is taken or is no name.
    """
    username = User.normalize_username(username.strip())
    try:
        UnicodeUsernameValidator()(username)
    except ValidationError as error:
        raise UserError(error.messages[0], code="invalid_username", field="username") from None
    if User.objects.filter(username__iexact=username).exists():
        raise _taken(username)
    password = _one_time_password()
    try:
        with transaction.atomic():
            user = User.objects.create_user(
                username, password=password, is_superuser=superuser, must_change_password=True
            )
    except IntegrityError:
        raise _taken(username) from None
    record(by=by, action="person-created", target=username, superuser=superuser)
    return user, password


@transaction.atomic
def reset_password(*, by: User, user: User) -> str:
    """A new password for one sign-in; the person's open sessions end."""
    password = _one_time_password()
    user.set_password(password)
    user.must_change_password = True
    user.save(update_fields=["password", "must_change_password"])
    record(by=by, action="password-reset", target=user.username)
    return password


@transaction.atomic
def set_active(*, by: User, user: User, active: bool) -> None:
    """Close an account, or open it again. What the person did stays.

    Raises:
        UserError: one's own account.
    """
    if user == by:
        raise UserError(
            _("You cannot close your own account; another site admin can."), code="own_account"
        )
    user.is_active = active
    user.save(update_fields=["is_active"])
    record(by=by, action="person-opened" if active else "person-closed", target=user.username)


def _one_time_password() -> str:
    return secrets.token_urlsafe(12)


def _too_many(what: str) -> UserError:
    minutes = FAILURES_WINDOW.seconds // 60
    wait = ngettext(
        "Wait %(count)s minute and try again.", "Wait %(count)s minutes and try again.", minutes
    ) % {"count": minutes}
    return UserError(
        f"{what} {wait}",
        code="too_many_attempts",
        status=429,
    )


def _taken(username: str) -> UserError:
    return UserError(
        _("%(username)s is taken (upper and lower case count as the same); choose another name.")
        % {"username": username},
        code="username_taken",
        field="username",
    )
