"""Files of any format in, dataset versions out: at once where they are small, else as a run."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation import formats
from annotation.formats import mapped
from annotation.formats.base import Format
from annotation.formats.rows import Row, RowError
from annotation.titles import TITLES
from annotation.transfer.incoming import MODES, Asked, Incoming, Taken, first_rows
from annotation.transfer.outgoing import Order, check_order, export, write_summary
from annotation.transfer.words import read_in_words, written_in_words
from steelyard.accounts.models import User
from steelyard.lib.errors import UserError
from steelyard.lib.rundir import write_atomically
from steelyard.lib.said import Said
from steelyard.projects.models import Project
from steelyard.registry.models import DatasetVersion
from steelyard.runs.models import Run, RunState
from steelyard.runs.services import new_run, start_run

AT_ONCE_BYTES = 4 * 2**20
"""A larger file is brought in by a run: it holds more than a few thousand rows."""
AT_ONCE_ROWS = 5_000
"""A version of more rows is exported by a run."""
SHOWN_ROWS = 5
KEPT_SECONDS = 24 * 3600
"""How long a file waits for somebody to say what it is."""


@dataclass(frozen=True)
class Upload:
    """A file that was sent, of which it is yet to be said how it is to be read."""

    uuid: UUID
    name: str
    size: int

    @property
    def folder(self) -> Path:
        return _uploads() / str(self.uuid)

    @property
    def path(self) -> Path:
        return self.folder / "file"


@dataclass(frozen=True)
class Look:
    """What the first rows of a file tell."""

    rows: list[Row]
    columns: list[str]
    guesses: list[Format]
    suggested: dict[str, str]
    """Which column is likely to be what."""
    broken: list[RowError]
    """What stands among them and is no row."""


def receive(*, project: Project, name: str, data: IO[bytes], by: User | None) -> Upload:
    """Keep a file until it is said what it is; for a day."""
    _forget_old()
    upload = Upload(uuid4(), Path(name.replace("\\", "/")).name[:200] or "file", 0)
    upload.folder.mkdir(parents=True)
    with upload.path.open("wb") as stream:
        shutil.copyfileobj(data, stream, 2**20)
    size = upload.path.stat().st_size
    about = {"project": project.pk, "name": upload.name, "by": by.pk if by else None, "size": size}
    write_atomically(upload.folder / "about.json", json.dumps(about).encode())
    return Upload(upload.uuid, upload.name, size)


def upload_of(*, project: Project, uuid: UUID) -> Upload:
    """A file that waits.

    Raises:
        UserError: it is not there any more, or was sent to another project.
    """
    place = _uploads() / str(uuid) / "about.json"
    about = json.loads(place.read_text()) if place.exists() else {}
    if about.get("project") != project.pk:
        raise UserError(
            _(
                "This file is not here any more: it has come in, or has waited too long. Send it "
                "again."
            ),
            code="not_found",
            status=404,
        )
    return Upload(uuid, about["name"], about["size"])


def discard(upload: Upload) -> None:
    shutil.rmtree(upload.folder, ignore_errors=True)


def look(path: Path, name: str) -> Look:
    """Read the first rows and guess of what format they are.

    Raises:
        UserError: it is no file of rows.
    """
    broken: list[RowError] = []
    rows = first_rows(path, name, SHOWN_ROWS, broken)
    columns = list(dict.fromkeys(column for row in rows for column in row.values))
    return Look(rows, columns, formats.guess(rows[0]), mapped.suggest(columns), broken)


def asked_of(upload: Upload, said: dict[str, Any]) -> Asked:
    """How a file is to be read; guessed where nothing is said.

    Raises:
        UserError: no format fits, only plain columns do, or a choice is none.
    """
    mapping, mode, kind = said.get("mapping") or {}, said.get("mode") or "all", said.get("kind")
    if mode not in MODES:
        raise _wrong("mode", mode, MODES)
    if kind and kind not in mapped.KINDS:
        raise _wrong("annotator_kind", kind, mapped.KINDS)
    name = said.get("format") or ("mapped" if mapping else "")
    understood: dict[str, Any] = {}
    if not name or name == "mapped":
        seen = look(upload.path, upload.name)
        understood = mapping or seen.suggested
        if mapping:
            mapped.mapping_of(mapping, seen.columns)
        elif not name and not seen.guesses:
            columns = ", ".join(f"“{column}”" for column in seen.columns[:12])
            raise UserError(
                _(
                    "No format has the columns %(columns)s; say which column is what by a mapping, "
                    "or name the format."
                )
                % {"columns": columns},
                code="format_unknown",
                field="format",
            )
        # what usual names of columns are likely to mean is for people to look at first
        elif not name and seen.guesses[0].name == "mapped":
            raise UserError(
                _(
                    "No format has just these columns. As plain columns they would be read as "
                    "%(mapping)s. If that is right, name the format mapped; else say which column "
                    "is what by a mapping, or name another format."
                )
                % {"mapping": mapped.in_words(seen.suggested)},
                code="format_unsure",
                field="format",
            )
        name = name or seen.guesses[0].name
    format = formats.get(name)
    if not format.reads:
        raise UserError(
            _("%(format)s can be written, not read.") % {"format": format.title},
            code="no_reader",
            field="format",
        )
    return Asked(
        path=upload.path,
        name=upload.name,
        format=name,
        mapping=mapping,
        mode=mode,
        annotator=(said.get("annotator") or "").strip()[:150],
        kind=kind or "",
        understood=understood if name == "mapped" else {},
    )


def start_import(
    *,
    project: Project,
    upload: Upload,
    said: dict[str, Any],
    by: User | None,
    background: bool | None = None,
) -> Run:
    """Bring a file in; the run that does so, which has ended already where the file is small.

    Args:
        said: ``format`` (guessed without it), ``mapping``, ``mode`` (all or good), ``annotator``
            and ``kind``.
        background: whether to wait for it; decided by its size without it.

    Raises:
        UserError: it is no file of rows, or the choices do not fit.
    """
    asked = asked_of(upload, said)
    spec = _import_spec(asked)
    title = Said(TITLES, "title_import", name=upload.name)
    if upload.size > AT_ONCE_BYTES if background is None else background:
        with transaction.atomic():
            run = start_run(project=project, kind="import", title=title, spec=spec, by=by)
            _move_in(upload, run)
        return run
    run = new_run(project=project, kind="import", title=title, spec=spec, by=by)
    run.dir.create({"kind": "import", "project": project.pk, **spec})
    _move_in(upload, run)
    incoming = Incoming(
        project, Asked(**{**asdict(asked), "path": _data_file(run)}), run.dir.path, by, _no_tell
    )
    return _ended(run, incoming)


def _import_spec(asked: Asked) -> dict[str, Any]:
    said = {key: value for key, value in asdict(asked).items() if key != "path"}
    return {"file": "file", "asked": said}


def _ended(run: Run, incoming: Incoming) -> Run:
    """Do it here and now, and keep the run as what has happened."""
    run.started_at = timezone.now()
    run.attempt = 1
    try:
        taken = incoming.run()
    except UserError as error:
        taken = incoming.taken
        run.state, run.error_code, run.error = RunState.FAILED, error.code, error.message
        run.dir.event(error.message, "error")
    else:
        run.state = RunState.SUCCEEDED
        run.dir.event(read_in_words(taken.as_dict()))
    run.result = {"status": str(run.state), **taken.as_dict()}
    run.done = run.total = taken.rows
    run.unit, run.finished_at = "rows", timezone.now()
    shutil.rmtree(run.dir.data, ignore_errors=True)
    run.save()
    return run


def _no_tell(*said: int | str) -> None:
    """Nobody looks on."""


def _move_in(upload: Upload, run: Run) -> None:
    run.dir.data.mkdir(parents=True, exist_ok=True)
    shutil.move(upload.path, _data_file(run))
    discard(upload)


def _data_file(run: Run) -> Path:
    return run.dir.data / "file"


def taken_of(run: Run) -> Taken:
    """What came in by an import and what did not; of one that goes on, so far."""
    said = run.result or {}
    if "stored" not in said:
        # of a process that failed the folder alone has the counts
        said = run.dir.result() or {}
    if "stored" not in said:
        state = run.dir.path / "state.json"
        said = json.loads(state.read_text())["taken"] if state.exists() else {}
    return Taken(**{key: value for key, value in said.items() if key in Taken.__annotations__})


def errors_of(run: Run) -> Path:
    """The file of an import's errors; it may not be there."""
    return run.dir.path / "errors.jsonl"


def start_export(
    *, version: DatasetVersion, order: Order, by: User | None, background: bool | None = None
) -> Run:
    """Write a version in a format; the run that does so, which has ended already where the
    version is small.

    Raises:
        UserError: the format cannot be written so, or the version's rows are not on the disk.
    """
    check_order(version, order)
    spec = {"version": version.pk, "order": asdict(order)}
    title = Said(TITLES, "title_export", version=version, format=formats.get(order.format).title)
    project = version.project
    large = version.counts["rows"] > AT_ONCE_ROWS or bool(version.manifest.get("media"))
    if large if background is None else background:
        return start_run(project=project, kind="export", title=title, spec=spec, by=by)
    run = new_run(project=project, kind="export", title=title, spec=spec, by=by)
    run.dir.create({"kind": "export", "project": project.pk, **spec})
    run.started_at, run.attempt = timezone.now(), 1
    result = export(version, order, run.dir.path, _no_tell)
    write_summary(run.dir.path, result)
    run.dir.event(written_in_words(result))
    run.state, run.result = RunState.SUCCEEDED, {"status": "succeeded", **result}
    run.done = run.total = version.counts["rows"]
    run.unit, run.finished_at = "rows", timezone.now()
    run.save()
    return run


def writers(version: DatasetVersion) -> Iterator[Format]:
    """The formats that a version can be written in."""
    modality = version.project.modality
    return (
        each for each in formats.FORMATS.values() if each.writes and modality in each.modalities
    )


def _uploads() -> Path:
    return Path(settings.RUNS_DIR) / ".uploads"


def _forget_old() -> None:
    """Files that nobody has said anything of for a day."""
    if not _uploads().exists():
        return
    for folder in _uploads().iterdir():
        if folder.stat().st_mtime < time.time() - KEPT_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)


def _wrong(name: str, value: str, known: tuple[str, ...]) -> UserError:
    return UserError(
        _("%(name)s is “%(value)s”; it must be one of %(known)s.")
        % {"name": name, "value": value, "known": ", ".join(known)},
        code="bad_choice",
        field=name,
    )
