"""What later rooms may listen to."""

from __future__ import annotations

from django.dispatch import Signal

judged = Signal()
"""A person's verdict on ``pair`` was stored or changed, in the transaction that did it. Sent for
every label: who listens does no more than ask for a task after commit."""
