from __future__ import annotations

import json
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

LONGEST = 50_000


class PipelineForm(forms.Form):
    """A pipeline as JSON; ``registry.layered.checked`` checks what the form cannot."""

    name = forms.CharField(
        max_length=200,
        help_text=gettext_lazy("What this project calls it."),
        label=gettext_lazy("Name"),
    )
    layers = forms.CharField(
        max_length=LONGEST,
        label=gettext_lazy("Layers"),
        widget=forms.Textarea(attrs={"rows": 18, "spellcheck": "false", "class": "digest"}),
        help_text=gettext_lazy(
            "JSON: a list of layers, each a list of components with type and model."
        ),
    )

    def clean_layers(self) -> Any:
        """What the JSON says; where it is none, at which line."""
        try:
            return json.loads(self.cleaned_data["layers"])
        except json.JSONDecodeError as error:
            raise forms.ValidationError(
                _("This is no JSON: line %(line)s, column %(column)s: %(what)s.")
                % {"line": error.lineno, "column": error.colno, "what": error.msg}
            ) from error


def as_text(layers: Any) -> str:
    """Layers as the form shows them: a component a line."""
    shown = [
        "  [\n"
        + ",\n".join(f"    {json.dumps(one, ensure_ascii=False)}" for one in layer)
        + "\n  ]"
        for layer in layers
    ]
    return "[\n" + ",\n".join(shown) + "\n]"
