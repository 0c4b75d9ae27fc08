from __future__ import annotations

from django.db import models


class Outcome(models.TextChoices):
    A = "a", "A is better"
    B = "b", "B is better"
    TIE = "tie", "Tie"
    BOTH_BAD = "both_bad", "Both bad"
    SKIP = "skip", "Skip"

    @classmethod
    def known(cls) -> list[tuple[str, str]]:
        """Those that can be a right answer."""
        return [choice for choice in cls.choices if choice[0] != cls.SKIP]
