from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from steelyard.accounts.models import User
from steelyard.accounts.services import address_of, projects_of, record, refuse_guessing
from steelyard.lib.errors import UserError


class SignInForm(AuthenticationForm):
    """Name and password. Guessing is slowed down by name and address, together and apart."""

    error_messages = {
        "invalid_login": _("Name or password is wrong. Both tell upper from lower case."),
        "inactive": _("This account is closed. A site admin can open it again."),
    }

    def clean(self) -> dict[str, Any]:
        username = self.cleaned_data.get("username", "")
        address = address_of(self.request) if self.request else ""
        try:
            refuse_guessing(username=username, address=address)
        except UserError as error:
            raise ValidationError(error.message, code=error.code) from None
        try:
            return super().clean()
        except ValidationError:
            record(by=None, action="sign-in-failed", target=username, address=address)
            raise


class OwnPasswordForm(PasswordChangeForm):
    """The old password and the new one twice."""

    field_order = ["old_password", "new_password1", "new_password2"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["old_password"].widget.attrs.pop("autofocus", None)
        self.fields["new_password1"].help_text = _("At least 8 characters, and no common password.")
        self.fields["new_password2"].label = _("New password again")
        self.fields["new_password2"].help_text = ""


class TokenForm(forms.Form):
    name = forms.CharField(
        max_length=100,
        label=_("Name"),
        help_text=_("What will use it, such as “nightly export”."),
    )
    scopes = forms.MultipleChoiceField(
        label=_("Good for"),
        choices=[
            ("read", _("Reading what you may read")),
            ("label", _("Labelling in your name")),
            ("write", _("Bringing in data, freezing versions, starting runs")),
            ("admin", _("Settings, people, webhooks and tokens, and all of the above")),
        ],
        initial=["read", "label", "write"],
        widget=forms.CheckboxSelectMultiple,
    )
    project: Any = forms.ModelChoiceField(
        queryset=None,
        required=False,
        to_field_name="slug",
        label=_("In one project alone"),
        empty_label=_("All of yours"),
    )
    days = forms.ChoiceField(
        required=False,
        label=_("Expires"),
        choices=[
            ("", _("Never")),
            ("7", _("After 7 days")),
            ("30", _("After 30 days")),
            ("90", _("After 90 days")),
            ("365", _("After a year")),
        ],
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["project"].queryset = projects_of(user=user)  # type: ignore[attr-defined]

    def values(self) -> dict[str, Any]:
        """What :func:`services.create_token` takes."""
        said = dict(self.cleaned_data)
        days = said.pop("days")
        said["expires_at"] = timezone.now() + timedelta(days=int(days)) if days else None
        return said


class PersonForm(forms.Form):
    username = forms.CharField(
        max_length=150,
        label=_("Name"),
        help_text=_("What the person signs in with: letters, digits and @ . + - _"),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    superuser = forms.BooleanField(
        required=False,
        label=_("Site admin"),
        help_text=_("May do everything, make projects and accounts."),
    )
