from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation.services import transfer
from annotation.transfer.outgoing import SPLITS, Order
from steelyard.lib.errors import UserError
from steelyard.registry.models import DatasetVersion


class Command(BaseCommand):
    help = "Writes a dataset version in a format."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("project", help="slug of the project")
        parser.add_argument("version", help="dataset and number, such as helpfulness/3")
        parser.add_argument("format", help="such as trl_preference")
        parser.add_argument("folder", type=Path, help="where the files go")
        parser.add_argument("--container", default="", help="the format's own without it")
        parser.add_argument("--split", choices=SPLITS, default="all")
        parser.add_argument(
            "--option", action="append", default=[], metavar="NAME=VALUE", help="of the format"
        )

    def handle(self, *args: Any, project: str, version: str, folder: Path, **said: Any) -> None:
        found = self._version(project, version)
        options = dict(option.partition("=")[::2] for option in said["option"])
        order = Order(said["format"], said["container"], options, said["split"])
        try:
            run = transfer.start_export(version=found, order=order, by=None, background=False)
        except UserError as error:
            raise CommandError(error.message) from None
        done = run.result or {}
        folder.mkdir(parents=True, exist_ok=True)
        for file in done["files"]:
            shutil.copyfile(run.dir.path / "files" / file["name"], folder / file["name"])
            self.stdout.write(str(folder / file["name"]))
        for reason, count in done["left_out"].items():
            self.stdout.write(f"{count} left out: {reason}")
        for what, count in done["written_without"].items():
            self.stdout.write(f"{count} written without {what}")
        self.stdout.write(f"{done['rows']} rows of {found}. Ties: {done['ties']}")

    def _version(self, project: str, version: str) -> DatasetVersion:
        slug, _, number = version.partition("/")
        rows = DatasetVersion.objects.with_names().select_related("project")
        rows = rows.filter(project__slug=project, dataset__slug=slug)
        found = rows.filter(number=int(number)).first() if number.isdecimal() else None
        if found is None:
            known = DatasetVersion.objects.filter(project__slug=project).with_names()
            names = ", ".join(f"{each.dataset.slug}/{each.number}" for each in known[:10])
            raise CommandError(f"There is no version {version!r}. Versions: {names or 'none'}.")
        return found
