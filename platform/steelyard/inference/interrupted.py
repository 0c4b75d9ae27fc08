"""What is raised where work stops half way. Nothing is imported, so that who asks endpoints alone
need not wait for torch."""

from __future__ import annotations


class Interrupted(Exception):
    """``stop`` became true in the middle of a batch; nothing of the batch is kept."""
