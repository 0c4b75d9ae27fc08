"""Datasets and their versions: what is in them, and their rows by file, by batch, in frames."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from steelyard_client import progress as bars
from steelyard_client.connection import Connection
from steelyard_client.errors import SteelyardError
from steelyard_client.records import Exported, VersionInfo
from steelyard_client.runs import ENDED, Run

if TYPE_CHECKING:
    import pandas
    import pyarrow as pa
    from datasets import Dataset as HfDataset

BATCH = 4096
"""rows"""
READ = 1024 * 1024
"""bytes of a column that are read at once"""
_AS_TEXT = ("aspects", "segments")


class Dataset:
    """All versions under one name."""

    def __init__(self, connection: Connection, project: str, name: str) -> None:
        self._connection, self.project, self.name = connection, project, name

    def __repr__(self) -> str:
        return f"<Dataset {self.project}/{self.name}>"

    def versions(self) -> Iterator[Version]:
        """The newest first."""
        return self._found()

    def _found(self, **said: Any) -> Iterator[Version]:
        path = f"projects/{self.project}/versions"
        for row in self._connection.pages(path, {"limit": 500, "dataset": self.name, **said}):
            yield Version(self._connection, self.project, VersionInfo.of(row))

    def version(self, which: int | str) -> Version:
        """By its number, or by a tag.

        Raises:
            SteelyardError: it has none of that number or tag.
        """
        there = []
        for version in self._found(tag=which) if isinstance(which, str) else self.versions():
            if isinstance(which, str) or which == version.number:
                return version
            there.append(version.number)
        there = there or [version.number for version in self.versions()]
        raise SteelyardError(_none_such(self, which, there))

    def latest(self) -> Version:
        """
        Raises:
            SteelyardError: there is no version of that name.
        """
        for version in self.versions():
            return version
        raise SteelyardError(f"{self.project} has no dataset {self.name!r}.")


class Version:
    """An immutable version. Its rows are read from its Parquet file, a piece at a time."""

    def __init__(self, connection: Connection, project: str, info: VersionInfo) -> None:
        self._connection, self.project, self.info = connection, project, info
        self._path = f"projects/{project}/versions/{info.id}"

    def __repr__(self) -> str:
        return f"<Version {self.project}/{self}>"

    def __str__(self) -> str:
        return f"{self.info.dataset} v{self.number}"

    @property
    def id(self) -> int:
        return self.info.id

    @property
    def number(self) -> int:
        return self.info.number

    @property
    def digest(self) -> str:
        """The same votes and recipe give the same one on any machine."""
        return self.info.digest

    def manifest(self) -> dict[str, Any]:
        """Schema, recipe, counts, and the hashes of files and media."""
        return dict(self._connection.get(self._path)["manifest"])

    def diff(self, older: Version | int) -> Diff:
        """What it differs in from another version of the project (or the id of one)."""
        return Diff(self, older.id if isinstance(older, Version) else older)

    def tags(self) -> list[str]:
        """Names that somebody has given it."""
        return [str(row["name"]) for row in self._connection.get(f"{self._path}/tags")]

    def tag(self, name: str) -> None:
        """Name it; another version of the dataset that had the name loses it."""
        self._connection.post(f"{self._path}/tags", {"name": name}, again=True)

    def untag(self, name: str) -> None:
        self._connection.send("DELETE", f"{self._path}/tags/{quote(name, safe='')}")

    def notes(self) -> list[dict[str, Any]]:
        """What people have found out about it since: text, created_by, created_at."""
        return list(self._connection.get(f"{self._path}/notes"))

    def add_note(self, text: str) -> None:
        self._connection.post(f"{self._path}/notes", {"text": text})

    def statistics(self) -> dict[str, Any]:
        """What its rows are like: agreement, strength, length, position, wins by model, votes."""
        return dict(self._connection.get(f"{self._path}/statistics"))

    def card(self) -> str:
        """A dataset card as the Hugging Face hub reads it."""
        return str(self._connection.get(f"{self._path}/card")["readme"])

    def download(
        self, path: str | os.PathLike[str], form: str | None = None, *, progress: bool = False
    ) -> Path:
        """Save all rows as ``parquet`` or ``jsonl``, or as a ``zip`` of Parquet files, dataset
        card and metadata.

        Args:
            path: a file, or a folder to put one into. It is there when it is whole.
            form: told by the name where it is left out; parquet for a folder.

        Raises:
            SteelyardError: what came is not what the manifest says.
        """
        target = Path(path)
        if target.is_dir():
            form = form or "parquet"
            target /= f"{self._file_name}.{form}"
        form = form or target.suffix.lstrip(".") or "parquet"
        files = self.manifest()["files"] if form == "parquet" else []
        if len(files) > 1:
            self._join(target, progress)
            return target
        with bars.line(f"{self} as {form}", "B", wanted=progress) as told:
            self._connection.download(f"{self._path}/rows.{form}", target, told=told)
        if files:
            self._expect(target, files[0]["sha256"])
        return target

    def export(
        self,
        format: str,
        folder: str | os.PathLike[str],
        *,
        container: str | None = None,
        split: str = "all",
        options: dict[str, str] | None = None,
        progress: bool = False,
    ) -> Exported:
        """Write it in another format, wait until that is done, and save the files in a folder.

        Args:
            format: one of ``Client.formats()``, such as ``trl_preference``.
            container: jsonl, json, csv, parquet, folder or webdataset; else the format's own.
            split: ``all``, or one of the version's.
            options: of the format, by name.

        Returns:
            counts, what was left out and why, and ``paths`` of the files.
        """
        said = {"format": format, "container": container, "split": split, "options": options}
        body = {name: value for name, value in said.items() if value is not None}
        done = Exported.of(self._connection.post(f"{self._path}/exports", body))
        path = f"projects/{self.project}/exports/{done.run.id}"
        if done.run.state not in ENDED:
            Run(self._connection, self.project, done.run).wait(progress=progress)
            done = Exported.of(self._connection.get(path))
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        paths = []
        for file in done.files:
            name = Path(file["name"]).name
            with bars.line(name, "B", wanted=progress) as told:
                self._connection.download(f"{path}/files/{quote(name)}", target / name, told=told)
            self._expect(target / name, file["sha256"])
            paths.append(target / name)
        return replace(done, paths=paths)

    def media(self, folder: str | os.PathLike[str], *, progress: bool = False) -> Path:
        """Save the pictures and clips that the rows name, each under its SHA-256. What is in the
        folder already is not fetched again."""
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        wanted = list(self.manifest().get("media", []))
        with bars.line(f"media of {self}", "files", wanted=progress) as told:
            for done, sha256 in enumerate(wanted, 1):
                file = target / sha256
                if not file.exists():
                    path = f"projects/{self.project}/assets/{sha256}/file"
                    self._connection.download(path, file)
                told(done, len(wanted))
        return target

    def stream(
        self, *, batch: int = BATCH, columns: list[str] | None = None, split: str | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Rows as Arrow record batches in the order of the version, in bounded memory: one of its
        files lies on disk meanwhile.

        Args:
            batch: at most so many rows each.
            columns: these alone.
            split: ``train`` or ``test`` alone.
        """
        for path in self._files():
            yield from _batches(path, batch, columns, split)

    def rows(self, *, split: str | None = None) -> Iterator[dict[str, Any]]:
        """Rows as plain dictionaries, as the JSONL file has them."""
        for batch in self.stream(batch=256, split=split):
            for row in batch.to_pylist():
                yield _decoded(row)

    def to_arrow(self, *, split: str | None = None) -> pa.Table:
        import pyarrow as pa
        import pyarrow.parquet as pq

        tables = []
        for path in self._files():
            found = list(_batches(path, BATCH, None, split))
            tables.append(pa.Table.from_batches(found, schema=pq.read_schema(path)))
        return pa.concat_tables(tables)

    def to_pandas(self, *, split: str | None = None) -> pandas.DataFrame:
        """All rows in a frame; needs pandas.

        ``aspects``, ``segments`` and the rationales' ``evidence`` are JSON, as in the Parquet file.
        """
        _needs("pandas", "to_pandas()")
        return self.to_arrow(split=split).to_pandas()

    def to_hf(
        self, *, split: str = "train", cache: str | os.PathLike[str] | None = None
    ) -> HfDataset:
        """A split as a dataset of Hugging Face ``datasets``, mapped from disk; needs ``datasets``.

        Args:
            cache: the folder that keeps it by the version's digest; by default that of
                ``datasets``. A second call reads it from there.
        """
        _needs("datasets", "to_hf()")
        import datasets

        base = Path(cache) if cache is not None else Path(datasets.config.HF_DATASETS_CACHE)
        target = base / "steelyard" / self.digest / f"{split}.arrow"
        if not target.exists():
            self._write_arrow(target, split)
        return datasets.Dataset.from_file(str(target))

    def _write_arrow(self, target: Path, split: str) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        target.parent.mkdir(parents=True, exist_ok=True)
        with _whole(target) as part, ExitStack() as opened:
            writer = None
            for path in self._files():
                if writer is None:
                    sink = opened.enter_context(pa.OSFile(str(part), "wb"))
                    schema = pq.read_schema(path).remove_metadata()
                    writer = opened.enter_context(pa.ipc.new_stream(sink, schema))
                for batch in _batches(path, BATCH, None, split):
                    writer.write_batch(batch.replace_schema_metadata(None))

    def _files(self) -> Iterator[Path]:
        """Its Parquet files one after the other, each for as long as it is needed."""
        with tempfile.TemporaryDirectory(prefix="steelyard-") as folder:
            path = Path(folder) / "rows.parquet"
            for file in self.manifest()["files"]:
                self._connection.download(f"{self._path}/files/{file['name']}", path)
                self._expect(path, file["sha256"])
                yield path

    def _join(self, target: Path, progress: bool) -> None:
        """Its Parquet files as one, each checked before its row groups go in."""
        import pyarrow.parquet as pq

        rows = self.info.counts["rows"]
        with (
            bars.line(f"{self} as parquet", "rows", wanted=progress) as told,
            _whole(target) as part,
            ExitStack() as opened,
        ):
            writer, done = None, 0
            for path in self._files():
                with pq.ParquetFile(path) as file:
                    if writer is None:
                        made = pq.ParquetWriter(part, file.schema_arrow, compression="zstd")
                        writer = opened.enter_context(made)
                    for group in range(file.num_row_groups):
                        writer.write_table(file.read_row_group(group))
                done += file.metadata.num_rows
                told(done, rows)

    def _expect(self, path: Path, sha256: str) -> None:
        with path.open("rb") as stream:
            self._same(path, hashlib.file_digest(stream, "sha256").hexdigest(), sha256)

    def _same(self, path: Path, found: str | int, expected: str | int) -> None:
        if found != expected:
            path.unlink()
            raise SteelyardError(
                f"What came for {self} is not what its manifest says: {found} is not {expected}. "
                "Try again; if it stays so, the server's file is damaged."
            )

    @property
    def _file_name(self) -> str:
        kept = "".join(sign if sign.isalnum() else "-" for sign in self.info.dataset.lower())
        return f"{kept.strip('-') or 'dataset'}-v{self.number}"


class Diff:
    """What two versions differ in: ``added``, ``removed``, ``relabelled`` (another verdict),
    ``changed`` (the same verdict, from other votes) and ``same`` rows."""

    def __init__(self, new: Version, old: int) -> None:
        self._new, self._old = new, old
        self.counts: dict[str, int] = self._page("added", 0, 0)["counts"]

    def __repr__(self) -> str:
        return f"<Diff {self.counts}>"

    def rows(self, kind: str = "added") -> Iterator[dict[str, Any]]:
        """Rows of one kind, each with ``old`` and ``new``: the row there, or None."""
        place = 0
        while found := self._page(kind, place, 200)["rows"]:
            yield from found
            place += len(found)

    def _page(self, kind: str, offset: int, limit: int) -> dict[str, Any]:
        said = {"from": self._old, "kind": kind, "offset": offset, "limit": limit}
        return dict(self._new._connection.get(f"{self._new._path}/diff", said))


@contextmanager
def _whole(target: Path) -> Iterator[Path]:
    """A file beside the target that takes its place when the block ends well."""
    part = target.with_name(f".{target.name}.{token_hex(4)}.part")
    try:
        yield part
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _batches(
    path: Path, size: int, columns: list[str] | None, split: str | None
) -> Iterator[pa.RecordBatch]:
    # a command that reads no rows starts without Arrow, in half the time
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    wanted = columns
    if columns is not None and split is not None and "split" not in columns:
        wanted = [*columns, "split"]
    # a buffer, or a row group's columns would be in memory whole
    with pq.ParquetFile(path, buffer_size=READ, pre_buffer=False) as file:
        for batch in file.iter_batches(batch_size=size, columns=wanted):
            if split is not None:
                batch = batch.filter(pc.equal(batch.column("split"), split))
            if wanted is not columns:
                batch = batch.select(columns)
            if batch.num_rows:
                yield batch


def _decoded(row: dict[str, Any]) -> dict[str, Any]:
    for name in _AS_TEXT:
        if isinstance(row.get(name), str):
            row[name] = json.loads(row[name])
    for rationale in row.get("rationales") or []:
        said = rationale.pop("evidence", None)
        if said is not None:
            rationale["evidence"] = json.loads(said)
    # the column is in every file, the key only in lines that have one
    if not row.get("reference_answer"):
        row.pop("reference_answer", None)
    if not (machine := row.pop("machine_rationales", None)):
        return row
    row["machine_rationales"] = json.loads(machine) if isinstance(machine, str) else machine
    return row


def _none_such(dataset: Dataset, which: int | str, there: list[int]) -> str:
    if not there:
        return f"{dataset.project} has no dataset {dataset.name!r}."
    if isinstance(which, str):
        return f"{dataset.name} has no version with the tag {which!r}."
    return f"{dataset.name} has no version {which}; it has {min(there)} to {max(there)}."


def _needs(package: str, what: str) -> None:
    try:
        __import__(package)
    except ImportError:
        extra = {"datasets": "hf"}.get(package, package)
        raise SteelyardError(
            f'{what} needs {package}: pip install "steelyard-client[{extra}]"'
        ) from None
