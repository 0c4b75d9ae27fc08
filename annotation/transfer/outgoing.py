"""A frozen version written in a format: one file, a folder that ``datasets`` reads, or WebDataset
shards; row by row, in bounded memory, with a summary of what was left out and why.

::

    FOLDER/ files/<name>     what is downloaded
            export.json      the summary
"""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
from django.utils.translation import gettext as _

from annotation import formats
from annotation.formats import shards, write_files
from annotation.formats.base import Format, MediaFile
from annotation.formats.columns import Columns
from annotation.transfer.words import WORDS
from steelyard.assets.blobs import blob_path
from steelyard.assets.models import Asset
from steelyard.lib.errors import UserError
from steelyard.lib.hashing import sha256_file
from steelyard.lib.records import PreferenceRecord, iter_parquet
from steelyard.lib.said import Said
from steelyard.registry.cards import readme
from steelyard.registry.models import DatasetVersion
from steelyard.runs.said import told

FOLDER, SHARDS = "folder", "webdataset"
SUMMARY = "export.json"
SPLITS = ("all", "train", "test")
SHARD_BYTES = 512 * 2**20
_TELL_EVERY = 1000
_MIME = {
    "jsonl": "application/x-ndjson",
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
    "zip": "application/zip",
    "tar": "application/x-tar",
    "gz": "application/gzip",
}
Tell = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Order:
    """What is to be written; plain JSON."""

    format: str
    container: str = ""
    """One of the format's containers, ``folder`` or ``webdataset``; empty for the format's own."""
    options: dict[str, str] = field(default_factory=dict)
    split: str = "all"


def containers_of(format: Format, version: DatasetVersion) -> tuple[str, ...]:
    """What a version in this format may lie in; media do not lie in a single text file."""
    if version.manifest.get("media"):
        single = tuple(each for each in format.containers if each == "parquet")
        return (*single, FOLDER, SHARDS)
    return (*(each for each in format.containers if each != SHARDS), FOLDER)


def check_order(version: DatasetVersion, order: Order) -> None:
    """
    Raises:
        UserError: the version cannot be written so, or its rows are not on the disk.
    """
    format = formats.get(order.format)
    if not format.writes:
        raise UserError(
            told(WORDS, "no_writer", format=format.title), code="no_writer", field="format"
        )
    if version.project.modality not in format.modalities:
        raise UserError(
            told(
                WORDS,
                "wrong_modality_out",
                format=format.title,
                of=" or ".join(format.modalities),
                project=version.project.modality,
            ),
            code="wrong_modality",
            field="format",
        )
    known = containers_of(format, version)
    if order.container and order.container not in known:
        raise UserError(
            told(
                WORDS,
                "bad_container",
                format=format.title,
                container=order.container,
                known=", ".join(known),
            ),
            code="bad_container",
            field="container",
        )
    if order.split not in SPLITS:
        raise UserError(
            told(WORDS, "bad_split", split=order.split, known=", ".join(SPLITS)),
            code="bad_split",
            field="split",
        )
    format.writing(order.options)
    if version.lost:
        raise UserError(
            _(
                "The rows of %(version)s are not on this server's disk. Restore the data folder "
                "from its backup."
            )
            % {"version": version},
            code="version_lost",
            status=410,
        )


def export(version: DatasetVersion, order: Order, folder: Path, tell: Tell) -> dict[str, Any]:
    """Write the files under ``folder/files``; the summary.

    Raises:
        UserError: as :func:`check_order`; a file of the version is not at hand; or nothing was
            left to write.
    """
    check_order(version, order)
    return _Export(version, order, folder, tell).run()


class _Export:
    def __init__(self, version: DatasetVersion, order: Order, folder: Path, tell: Tell) -> None:
        self.version, self.order, self.tell = version, order, tell
        self.format = formats.get(order.format)
        self.container = order.container or containers_of(self.format, version)[0]
        self.folder = folder / "files"
        self.parts = folder / "parts"
        self.media: dict[str, MediaFile] = {}
        self.writing = self.format.writing(dict(order.options), self._find_media)
        self.records = 0
        self.total = version.counts["rows"]
        self.stem = f"{version.dataset.slug}-v{version.number}-{self.format.name}"
        if order.split != "all":
            self.stem += f"-{order.split}"

    def run(self) -> dict[str, Any]:
        # what an earlier process has half written is of no use; the version is read again
        for place in (self.folder, self.parts):
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(parents=True)
        make = {FOLDER: self._zip, SHARDS: self._shards}.get(self.container, self._single)
        rows = make()
        shutil.rmtree(self.parts, ignore_errors=True)
        if not rows:
            raise UserError(self._nothing(), code="empty_export", field="format")
        summary = self._summary(rows)
        made = sorted(self.folder.iterdir(), key=lambda path: (path.name == SUMMARY, path.name))
        summary["files"] = [_about(path) for path in made]
        return summary

    def _single(self) -> int:
        rows = self._write(
            self.folder, self.stem, self.container, self.order.split, self._columns()
        )
        for name, data in self._aside(f"{self.stem}.{self.container}").items():
            (self.folder / name).write_bytes(data)
        return rows

    def _zip(self) -> int:
        """Data by split, media beside what cannot hold them, the card, the summary."""
        inner = "parquet" if "parquet" in self.format.containers else self.format.containers[0]
        splits = ("train", "test") if self.order.split == "all" else (self.order.split,)
        columns = self._columns()
        found = [(split, self._write(self.parts, split, inner, split, columns)) for split in splits]
        if inner == "parquet" and isinstance(columns, Columns):
            # readers want the same columns in all of them
            for split in splits:
                write_files.settle(self.parts / f"{split}.parquet", columns)
        rows = sum(count for _, count in found)
        with zipfile.ZipFile(self.folder / f"{self.stem}.zip", "w", allowZip64=True) as archive:
            for split, count in found:
                if count:
                    _put(archive, f"data/{split}.{inner}", self.parts / f"{split}.{inner}")
            if inner != "parquet":
                for file in self.media.values():
                    _put(archive, f"data/{write_files.beside(file)}", file.path)
            for name, data in self._aside(f"train.{inner}").items():
                archive.writestr(_entry(f"data/{name}"), data)
            names = [(split, f"data/{split}.{inner}") for split, count in found if count]
            archive.writestr(_entry("README.md"), _card(self.version, names))
            archive.writestr(_entry(SUMMARY), _json(self._summary(rows)))
        return rows

    def _shards(self) -> int:
        rows = self._rows(self.order.split)
        made = list(shards.write_shards(rows, self.folder, name=self.stem, most_bytes=SHARD_BYTES))
        count = sum(samples for _, samples in made)
        (self.folder / SUMMARY).write_bytes(_json(self._summary(count)))
        return count

    def _columns(self) -> pa.Schema | Columns:
        return self.format.schema(self.writing) if self.format.schema else Columns()

    def _write(
        self, folder: Path, stem: str, container: str, split: str, columns: pa.Schema | Columns
    ) -> int:
        path = folder / f"{stem}.{container}"
        return write_files.write(self._rows(split), path, container, schema=columns)

    def _rows(self, split: str) -> Iterator[dict[str, Any]]:
        return self.format.rows(self._records(split), self.writing)

    def _records(self, split: str) -> Iterator[PreferenceRecord]:
        seen = 0
        for path in self.version.files:
            for record in iter_parquet(path):
                seen += 1
                if seen % _TELL_EVERY == 0:
                    self.tell(seen, self.total, Said(WORDS, "writing"))
                if split in ("all", record.split):
                    self.records += 1
                    yield record

    def _find_media(self, sha256: str) -> MediaFile:
        found = self.media.get(sha256)
        if found is None:
            asset = Asset.objects.filter(project=self.version.project, sha256=sha256).first()
            path = blob_path(sha256)
            if asset is None or not path.exists():
                raise UserError(
                    told(WORDS, "file_lost", file=sha256[:12], version=self.version),
                    code="media_lost",
                    status=410,
                )
            name = f"{sha256}.{_ending(asset.mime)}"
            found = self.media[sha256] = MediaFile(
                path, asset.mime, name, asset.duration, asset.frame_rate
            )
        return found

    def _aside(self, name: str) -> dict[str, bytes]:
        return self.format.aside(name, self.writing) if self.format.aside else {}

    def _summary(self, rows: int) -> dict[str, Any]:
        defaults = {option.name: option.default for option in self.format.options}
        return {
            "dataset": self.version.dataset.name,
            "version": self.version.number,
            "digest": self.version.digest,
            "format": self.format.name,
            "title": self.format.title,
            "container": self.container,
            "split": self.order.split,
            "options": {**defaults, **self.order.options},
            "records": self.records,
            "rows": rows,
            "left_out": dict(self.writing.left),
            "written_without": dict(self.writing.lost),
            "ties": self.format.ties,
            "cannot_carry": self.format.cannot,
        }

    def _nothing(self) -> str:
        reasons = "; ".join(f"{count:,}: {why}" for why, count in self.writing.left.items())
        code = "nothing_written_but" if reasons else "nothing_written"
        return told(WORDS, code, version=self.version, format=self.format.title, reasons=reasons)


def write_summary(folder: Path, summary: dict[str, Any]) -> None:
    (folder / SUMMARY).write_bytes(_json(summary))


def mime_of(name: str) -> str:
    return _MIME.get(name.rpartition(".")[2], "application/octet-stream")


def _about(path: Path) -> dict[str, Any]:
    return {"name": path.name, "size": path.stat().st_size, "sha256": sha256_file(path)}


def _card(version: DatasetVersion, files: list[tuple[str, str]]) -> str:
    """The version's card; what it says of its data files is said of these (split and name)."""
    said = "".join(f'  - split: {split}\n    path: "{name}"\n' for split, name in files)
    head, _, rest = readme(version).partition("  data_files:\n")
    _, _, body = rest.partition("---\n")
    return f"{head}  data_files:\n{said}---\n{body}"


def _ending(mime: str) -> str:
    kind = mime.rpartition("/")[2]
    return {"jpeg": "jpg", "quicktime": "mov"}.get(kind, kind)


def _put(archive: zipfile.ZipFile, name: str, path: Path) -> None:
    with path.open("rb") as source, archive.open(_entry(name), "w", force_zip64=True) as to:
        shutil.copyfileobj(source, to, 2**20)


def _entry(name: str) -> zipfile.ZipInfo:
    """Without a time of its own, so that the same version is the same file."""
    return zipfile.ZipInfo(name)


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=None).encode()
