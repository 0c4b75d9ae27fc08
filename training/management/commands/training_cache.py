"""``manage.py training_cache``: how much lies in the cache that training runs share.

``--trim`` brings it within the limit now, ``--trim 20`` within 20 GiB.
"""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from training import caching


class Command(BaseCommand):
    help = "Tell the size of the cache that training runs share; --trim removes what is old."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--trim",
            nargs="?",
            type=float,
            const=-1.0,
            metavar="GIB",
            help="remove what was used longest ago, down to so many GiB (the setting's)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        wanted = options["trim"]
        if wanted is not None:
            if wanted < 0 and wanted != -1:
                raise CommandError("A size is from 0 GiB up.")
            gone = caching.trim(None if wanted == -1 else int(wanted * caching.GIB))
            self.stdout.write(f"Removed: {_said(gone)}")
        limit = f"{settings.CACHE_GIB:g} GiB" if settings.CACHE_GIB else "none"
        self.stdout.write(f"{caching.folder()}: {_said(caching.usage())}; limit {limit}")


def _said(usage: caching.Usage) -> str:
    words = f"{usage.files} files, {usage.size / caching.GIB:.2f} GiB"
    if usage.oldest is None:
        return words
    return f"{words}, the oldest used on {datetime.fromtimestamp(usage.oldest, UTC):%Y-%m-%d}"
