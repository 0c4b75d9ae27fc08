from __future__ import annotations

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _


class Outcome(models.TextChoices):
    A = "a", _("A is better")
    B = "b", _("B is better")
    TIE = "tie", _("Tie")
    BOTH_BAD = "both_bad", _("Both bad")
    SKIP = "skip", _("Skip")

    @classmethod
    def known(cls) -> list[tuple[str, Any]]:
        """Those that can be a right answer."""
        return [choice for choice in cls.choices if choice[0] != cls.SKIP]
