"""``manage.py check_templates``: every template of the project compiles."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.template import TemplateSyntaxError
from django.template.loader import get_template


class Command(BaseCommand):
    help = "Compile every template; name those that do not."

    def handle(self, *args: Any, **options: Any) -> None:
        root = settings.ROOT / "templates"
        broken = []
        paths = sorted(root.rglob("*.html"))
        for path in paths:
            try:
                get_template(str(path.relative_to(root)))
            except TemplateSyntaxError as error:
                broken.append(f"{path.relative_to(root)}: {error}")
        if broken:
            raise CommandError("\n".join(broken))
        self.stdout.write(f"{len(paths)} templates compile")
