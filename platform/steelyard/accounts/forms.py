from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from steelyard.accounts.models import ApiToken
from steelyard.accounts.services import address_of, record, refuse_guessing
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


class TokenForm(forms.ModelForm):
    class Meta:
        model = ApiToken
        fields = ["name"]
        labels = {"name": _("Name")}
        help_texts = {"name": _("What will use it, such as “nightly export”.")}


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
