"""On pairs that an evaluation compares people say what they think, and see nothing of others."""

from __future__ import annotations

from evaluation.models import Comparison


def is_compared(pair: int) -> bool:
    return Comparison.objects.filter(pair=pair).exists()
