"""Files of rows: JSON Lines, a JSON array, CSV and TSV, Parquet; streamed, a row at a time."""

from __future__ import annotations

import codecs
import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from annotation.formats.rows import Row, RowError, kind_of
from steelyard.lib.errors import UserError

MAX_ROW = 16 * 2**20
"""Bytes of one line or one element of an array."""
ROW_FILES = (
    (".parquet",),
    (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz"),
    (".csv", ".tsv", ".csv.gz", ".tsv.gz"),
    (".json", ".json.gz"),
)
_CHUNK = 2**16
_BATCH_BYTES = 8 * 2**20
_BOM = codecs.BOM_UTF8
OnError = Callable[[RowError], None]


class Stream(Protocol):
    """What bytes come from."""

    def read(self, size: int = -1, /) -> bytes: ...
    def readline(self, size: int = -1, /) -> bytes: ...


def read_text(stream: Stream, name: str, *, on_error: OnError) -> Iterator[Row]:
    """The rows of a text file, which is CSV or TSV by its name, an array if it begins with a
    bracket, and else JSON Lines."""
    first = _first_line(stream)
    if name.lower().endswith((".csv", ".tsv")):
        yield from _csv(_lines(stream, first), tabs=name.lower().endswith(".tsv"), wrong=on_error)
    elif first.lstrip()[:1] == b"[":
        yield from _array(stream, first, wrong=on_error)
    else:
        yield from _json_lines(stream, first, wrong=on_error)


def _first_line(stream: Stream) -> bytes:
    """The first line that is not blank, or the first part of it, without the mark of UTF-8; blank
    lines stay in front of it so that lines are counted right."""
    line = stream.readline(_CHUNK)
    if line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise UserError("The file is UTF-16 text. Save it as UTF-8.", code="not_utf8", field="file")
    line = line.removeprefix(_BOM)
    while not line.strip() and len(line) < MAX_ROW and (more := stream.readline(_CHUNK)):
        line += more
    if b"\x00" in line or (line[:1] > b"~" and not _is_utf8(line)):
        raise UserError(
            "This is no file of rows: it must be JSON Lines, a JSON array, CSV, Parquet, or a ZIP "
            "or TAR archive with one of them.",
            code="no_rows",
            field="file",
        )
    return line


def _is_utf8(data: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(data)
    except UnicodeDecodeError:
        return False
    return True


def _lines(stream: Stream, first: bytes) -> Iterator[bytes]:
    """All lines, of which the first have been read; one longer than a row may be comes in pieces,
    each of which but the last has no line break."""
    *blank, line = first.removesuffix(b"\n").split(b"\n")
    yield from (each + b"\n" for each in blank)
    yield line + (b"\n" if first.endswith(b"\n") else stream.readline(MAX_ROW + 1 - len(line)))
    while line := stream.readline(MAX_ROW + 1):
        yield line


def _json_lines(stream: Stream, first: bytes, *, wrong: OnError) -> Iterator[Row]:
    too_long = False
    number = 0
    for line in _lines(stream, first):
        if too_long:
            too_long = not line.endswith(b"\n")
            continue
        number += 1
        if len(line) > MAX_ROW:
            too_long = not line.endswith(b"\n")
            wrong(_too_long("Line", number))
        elif line.strip():
            row = _json_row(line, number, wrong)
            if row is not None:
                yield row


def _json_row(line: bytes, number: int, wrong: OnError) -> Row | None:
    place = f"Line {number}"
    try:
        value = json.loads(line.decode(), parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        wrong(not_utf8(place, number, line, error.start))
    except (ValueError, RecursionError) as error:
        wrong(RowError(_not_json(line.decode(), number, error), place=place, number=number))
    else:
        if isinstance(value, dict):
            return Row(number, value, place)
        wrong(
            RowError(
                f"this is {kind_of(value)}; each line must be one JSON object in braces.",
                place=place,
                number=number,
            )
        )
    return None


def _not_json(line: str, number: int, error: Exception) -> str:
    where = f" at column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
    advice = " The file seems to be cut off here." if not line.endswith("\n") else ""
    if number == 1 and line.strip() == "{":
        advice = " Write each object on a line of its own, or a list of them in brackets."
    elif number == 1 and not line.lstrip().startswith("{"):
        advice = " If this is CSV, give the file a name that ends with .csv."
    return f"this is not JSON{where}: “{line.strip()[:60]}”.{advice}"


def not_utf8(place: str, number: int, data: bytes, at: int, column: str = "") -> RowError:
    """What is said of a byte that is no UTF-8."""
    before = data[max(0, at - 20) : at].decode(errors="replace")
    return RowError(
        f"this is not UTF-8 text: byte 0x{data[at]:02x} after “{before}” is perhaps "
        f"“{data[at : at + 1].decode('latin-1')}” of Latin-1. Save the file as UTF-8.",
        place=place,
        number=number,
        column=column,
    )


def _too_long(word: str, number: int) -> RowError:
    return RowError(
        f"this is longer than {MAX_ROW // 2**20} MiB, the most that a row may have.",
        place=f"{word} {number}",
        number=number,
    )


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def _array(stream: Stream, first: bytes, *, wrong: OnError) -> Iterator[Row]:
    """The objects of an array; only the element being read is held."""
    text = _Text(stream, first)
    text.skip("[")
    number = 0
    while not text.at("]"):
        number += 1
        value = text.value(number)
        if isinstance(value, dict):
            yield Row(number, value, f"Row {number}")
        else:
            wrong(
                RowError(
                    f"this is {kind_of(value)}; each element must be an object in braces.",
                    place=f"Row {number}",
                    number=number,
                )
            )
        if not text.at("]"):
            text.comma(number)
    text.skip("]")
    if text.peek():
        raise _cut(number, "something stands after the closing bracket")


class _Text:
    """A text that is read as far as is needed, and forgotten behind."""

    def __init__(self, stream: Stream, first: bytes) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._json = json.JSONDecoder(parse_constant=_no_constant)
        self._text = ""
        self._at = 0
        self._row = 0
        self._take(first)

    def _take(self, data: bytes) -> bool:
        """Append what these bytes say; whether there was anything."""
        try:
            more = self._decoder.decode(data, final=not data)
        except UnicodeDecodeError as error:
            place = f"Row {self._row + 1}"
            raise not_utf8(place, self._row + 1, error.object, error.start) from None
        self._text = self._text[self._at :] + more
        self._at = 0
        return bool(data)

    def peek(self) -> str:
        """The next sign that is not blank; empty at the end."""
        while True:
            while self._at < len(self._text):
                sign = self._text[self._at]
                if not sign.isspace():
                    return sign
                self._at += 1
            if not self._take(self._stream.read(_CHUNK)):
                return ""

    def at(self, sign: str) -> bool:
        return self.peek() == sign

    def skip(self, sign: str) -> None:
        if self.peek() != sign:
            raise _cut(self._row, f"there is no “{sign}”")
        self._at += 1

    def comma(self, number: int) -> None:
        if self.peek() != ",":
            raise _cut(number, "there is no comma")
        self._at += 1

    def value(self, number: int) -> Any:
        """The next element. The buffer doubles until it is whole, so that a large element costs
        twice its length and no more."""
        self.peek()
        size = _CHUNK
        while True:
            at = self._at
            try:
                value, self._at = self._json.raw_decode(self._text, self._at)
            except (ValueError, RecursionError) as error:
                if len(self._text) - self._at > MAX_ROW:
                    raise _too_long("Row", number) from None
                if not self._take(self._stream.read(size)):
                    raise _bad_element(number, self._text[self._at :], error, at) from None
                size = min(2 * size, MAX_ROW)
            else:
                self._row = number
                return value


def _bad_element(number: int, text: str, error: Exception, at: int) -> RowError:
    if text.rstrip()[-1:] != "]":
        return _cut(number, "the array is not closed")
    where = f" at character {error.pos - at + 1}" if isinstance(error, json.JSONDecodeError) else ""
    return RowError(
        f"this is not JSON{where} of the element: “{text[:60]}”.",
        place=f"Row {number}",
        number=number,
    )


def _cut(number: int, said: str) -> RowError:
    return RowError(
        f"{said} after it; the file seems to be cut off or damaged.",
        place=f"Row {number}",
        number=number,
    )


def _csv(lines: Iterator[bytes], *, tabs: bool, wrong: OnError) -> Iterator[Row]:
    csv.field_size_limit(MAX_ROW)
    # bytes that are no UTF-8 are carried along, so that the row that has them can be named
    texts = _texts(lines)
    first = next((text for text in texts if text.strip()), "")
    delimiter = "\t" if tabs or ("\t" in first and "," not in first) else ","
    if delimiter == "," and ";" in first and "," not in first:
        delimiter = ";"
    columns = _header(first, texts, delimiter)
    reader = csv.reader(texts, delimiter=delimiter, strict=True)
    number = 0
    while True:
        try:
            values = next(reader, None)
        except csv.Error as error:
            raise _bad_csv(number + 1, error) from None
        if values is None:
            return
        if not values:
            continue
        number += 1
        row = _csv_row(columns, values, number, wrong)
        if row is not None:
            yield row


def _texts(lines: Iterator[bytes]) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        if len(line) > MAX_ROW:
            raise _too_long("Line", number)
        yield line.decode(errors="surrogateescape")


def _header(first: str, texts: Iterator[str], delimiter: str) -> list[str]:
    try:
        columns = next(csv.reader([first], delimiter=delimiter, strict=True), [])
    except csv.Error as error:
        raise UserError(
            f"The first line must name the columns; it cannot be read ({error}).",
            code="bad_header",
            field="file",
        ) from None
    columns = [column.strip() for column in columns]
    twice = [column for column in columns if columns.count(column) > 1]
    if twice:
        raise UserError(
            f"The column “{twice[0]}” is there twice; each needs a name of its own.",
            code="bad_header",
            field="file",
        )
    return columns


def _csv_row(columns: list[str], values: list[str], number: int, wrong: OnError) -> Row | None:
    place = f"Row {number}"
    if len(values) != len(columns):
        wrong(
            RowError(
                f"there are {len(values)} values, but the first line names {len(columns)} columns; "
                "put a value with a comma or a line break into double quotes.",
                place=place,
                number=number,
            )
        )
        return None
    for column, value in zip(columns, values, strict=True):
        try:
            value.encode()
        except UnicodeEncodeError:
            data = value.encode(errors="surrogateescape")
            at = next(i for i, byte in enumerate(value) if "\udc80" <= byte <= "\udcff")
            wrong(not_utf8(place, number, data, len(value[:at].encode()), column))
            return None
    return Row(number, {c: v or None for c, v in zip(columns, values, strict=True)}, place)


def _bad_csv(number: int, error: Exception) -> RowError:
    said = (
        "a quotation mark is opened and never closed; the file seems to be cut off"
        if "unexpected end" in str(error)
        else f"this is longer than {MAX_ROW // 2**20} MiB; is a quotation mark never closed?"
        if "field limit" in str(error)
        else f"this is not CSV ({error})"
    )
    return RowError(f"{said}.", place=f"Row {number}", number=number)


def count_parquet(path: Path) -> int:
    """How many rows a Parquet file says that it has; 0 where it is broken."""
    try:
        return int(pq.read_metadata(path).num_rows)
    except (pa.ArrowException, OSError):
        return 0


def read_parquet(path: Path, *, after: int = 0, on_error: OnError) -> Iterator[Row]:
    """The rows of a Parquet file, a batch of about 8 MiB at a time; row groups that lie before are
    not read."""
    try:
        # the file is ours to close: left to itself it is held until the collector comes
        with pq.ParquetFile(path, buffer_size=2**20, pre_buffer=False) as file:
            number = 0
            for group in range(file.num_row_groups):
                about = file.metadata.row_group(group)
                if number + about.num_rows <= after:
                    number += about.num_rows
                    continue
                each = max(1, about.total_byte_size // max(1, about.num_rows))
                size = min(1000, max(1, _BATCH_BYTES // each))
                for batch in file.iter_batches(size, row_groups=[group]):
                    yield from _batch(batch, number, on_error)
                    number += batch.num_rows
    except (pa.ArrowException, OSError) as error:
        raise UserError(
            f"The Parquet file is cut off or damaged ({str(error)[:200]}); write it again.",
            code="bad_parquet",
            field="file",
        ) from None


def _batch(batch: pa.RecordBatch, before: int, wrong: OnError) -> Iterator[Row]:
    try:
        found = batch.to_pylist()
    except UnicodeDecodeError:
        found = [_alone(batch.slice(at, 1), before + at + 1, wrong) for at in range(batch.num_rows)]
    for number, values in enumerate(found, before + 1):
        if values is not None:
            yield Row(number, values, f"Row {number}")


def _alone(batch: pa.RecordBatch, number: int, wrong: OnError) -> dict[str, Any] | None:
    try:
        values: dict[str, Any] = batch.to_pylist()[0]
    except UnicodeDecodeError as error:
        wrong(not_utf8(f"Row {number}", number, error.object, error.start))
        return None
    return values
