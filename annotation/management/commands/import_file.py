from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation.formats import mapped
from annotation.services import transfer
from annotation.transfer.incoming import MODES, read_errors
from steelyard.lib.errors import UserError
from steelyard.projects.models import Project

SHOWN = 20


class Command(BaseCommand):
    help = "Brings a file of any format into a project."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("project", help="slug of the project")
        parser.add_argument("file", type=Path, help="JSON Lines, JSON, CSV, Parquet, ZIP or TAR")
        parser.add_argument("--format", default="", help="guessed, but for mapped")
        parser.add_argument("--mode", choices=MODES, default="all", help="all: all or nothing")
        parser.add_argument("--annotator", default="", help="who chose, if the file does not say")
        parser.add_argument("--kind", choices=("person", "judge"), default="")
        parser.add_argument(
            "--map",
            action="append",
            default=[],
            metavar="PART=COLUMN",
            help="which column is what, such as prompt=question; may be given several times",
        )

    def handle(self, *args: Any, project: str, file: Path, **said: Any) -> None:
        found = Project.objects.filter(slug=project).first()
        if found is None:
            raise CommandError(f"There is no project {project!r}.")
        if not file.is_file():
            raise CommandError(f"There is no file {file}.")
        started = time.monotonic()
        asked = {key: said[key] for key in ("format", "mode", "annotator", "kind")}
        asked["mapping"] = dict(part.partition("=")[::2] for part in said["map"])
        try:
            with file.open("rb") as stream:
                upload = transfer.receive(project=found, name=file.name, data=stream, by=None)
            run = transfer.start_import(
                project=found, upload=upload, said=asked, by=None, background=False
            )
        except UserError as error:
            raise CommandError(error.message) from None
        taken = transfer.taken_of(run)
        for fault in read_errors(transfer.errors_of(run), SHOWN):
            self.stderr.write(f"{fault['place']}: {fault['what']}; {fault['right']}".rstrip("; "))
        if taken.wrong:
            self.stderr.write(f"{taken.wrong} rows are wrong; see {transfer.errors_of(run)}")
        as_what = " ".join(
            [run.spec["asked"]["format"], mapped.in_words(run.spec["asked"]["understood"])]
        ).strip()
        if run.error:
            raise CommandError(f"Read as {as_what}. {run.error}")
        for reason, count in taken.left.items():
            self.stdout.write(f"{count} left out: {reason}")
        self.stdout.write(
            f"{taken.rows} rows of {as_what} read, {taken.stored} pairs in "
            f"them are in; new are {taken.prompts} prompts, {taken.pairs} pairs and "
            f"{taken.judgments} judgments ({time.monotonic() - started:.1f} s)."
        )
