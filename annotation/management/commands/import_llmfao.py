from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation.formats import llmfao
from annotation.services.importing import import_records
from steelyard.lib.errors import UserError
from steelyard.projects.models import Project


class Command(BaseCommand):
    help = (
        "Brings in the crowd comparisons with their votes, training pairs and guidelines. "
        f"Data: {llmfao.ATTRIBUTION}."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("project", help="slug of a text project")
        parser.add_argument("folder", type=Path, help="folder that holds pairs-crowd.jsonl")

    def handle(self, *args: Any, project: str, folder: Path, **options: Any) -> None:
        found = Project.objects.filter(slug=project).first()
        if found is None:
            known = ", ".join(Project.objects.values_list("slug", flat=True)) or "none yet"
            raise CommandError(f"There is no project {project!r}. Projects: {known}.")
        started = time.monotonic()
        try:
            done = import_records(project=found, records=llmfao.read_all(folder), by=None)
        except UserError as error:
            raise CommandError(error.message) from None
        words = llmfao.guidelines(folder)
        told = words and Project.objects.filter(pk=found.pk, guidelines="").update(guidelines=words)
        self.stdout.write(
            f"{done.records} pairs read, {done.pairs} new; {done.judgments} new judgments"
            f"{'; guidelines too' if told else ''} ({time.monotonic() - started:.1f} s). "
            f"Data: {llmfao.ATTRIBUTION}."
        )
