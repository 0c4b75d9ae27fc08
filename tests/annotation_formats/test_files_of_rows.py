"""Files of rows as people have them: packed, broken, of several encodings, too long."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from annotation.formats import containers, packed, row_files
from annotation.formats.rows import Row, RowError
from steelyard.lib.errors import UserError

ROWS = [{"id": 1, "text": "sea"}, {"id": 2, "text": "Ölberg\u2028"}, {"id": 3, "text": "]}"}]


def gzipped(data: bytes) -> bytes:
    """Without the time, so that two processes that collect the tests name them alike."""
    return gzip.compress(data, mtime=0)


LINES = b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in ROWS)
ARRAY = json.dumps(ROWS, indent=1, ensure_ascii=False).encode()
CSV = b'id,text\n1,sea\n2,"a, ""quoted""\nline"\n'


def put(tmp_path: Path, name: str, data: bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(data)
    return path


def values(path: Path, **more: Any) -> list[dict[str, Any]]:
    return [row.values for row in containers.rows(path, **more)]


def errors(path: Path) -> tuple[list[Row], list[str]]:
    """The rows that are good, and what is said of the others."""
    said: list[RowError] = []
    found = list(containers.rows(path, on_error=said.append))
    return found, [error.message for error in said]


def refusal(path: Path, name: str = "") -> str:
    with pytest.raises(UserError) as caught:
        list(containers.rows(path, name))
    assert caught.value.field == "file"
    return caught.value.message


def zipped(tmp_path: Path, files: dict[str, bytes], name: str = "x.zip") -> Path:
    with zipfile.ZipFile(tmp_path / name, "w") as archive:
        for inner, data in files.items():
            archive.writestr(inner, data)
    return tmp_path / name


def tarred(tmp_path: Path, files: dict[str, bytes], name: str = "x.tar") -> Path:
    with tarfile.open(tmp_path / name, "w:gz" if name.endswith("gz") else "w") as archive:
        for inner, data in files.items():
            entry = tarfile.TarInfo(inner)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return tmp_path / name


def parquet(rows: Iterable[dict[str, Any]], **more: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows)), sink, **more)
    return sink.getvalue()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("x.jsonl", LINES),
        ("x.jsonl", b"\xef\xbb\xbf\n\n" + LINES.replace(b"\n", b"\r\n")),
        ("x.jsonl", LINES.rstrip()),
        ("x.jsonl.gz", gzipped(LINES)),
        ("x.json", ARRAY),
        ("anything", b"  \n" + ARRAY),
        ("x.json.gz", gzipped(json.dumps(ROWS).encode())),
        ("x.parquet", parquet(ROWS)),
    ],
)
def test_the_same_rows_are_read_from_every_container(
    tmp_path: Path, name: str, data: bytes
) -> None:
    assert values(put(tmp_path, name, data)) == ROWS


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tar.gz"])
@pytest.mark.parametrize(
    "files",
    [
        {"rows.jsonl": LINES, "media/1.png": b"png", "README.md": b"# About"},
        {"set/train.json": ARRAY, "set/dataset_info.json": b"{}"},
        {"data/train.parquet": parquet(ROWS)},
        {"rows.jsonl.gz": gzipped(LINES)},
    ],
)
def test_an_archive_may_hold_the_rows_beside_media(
    tmp_path: Path, name: str, files: dict[str, bytes]
) -> None:
    make = zipped if name == "x.zip" else tarred
    assert values(make(tmp_path, files, name)) == ROWS


MANY = [{"id": number, "text": Random(number).randbytes(60).hex()} for number in range(5000)]
MANY_LINES = b"".join(json.dumps(row).encode() + b"\n" for row in MANY)


@pytest.mark.parametrize("name", ["x.jsonl", "x.jsonl.gz", "x.zip", "x.tar", "x.tar.gz"])
def test_how_far_a_reading_is_can_be_told(tmp_path: Path, name: str) -> None:
    if name.startswith("x.jsonl"):
        path = put(tmp_path, name, gzipped(MANY_LINES) if name.endswith("gz") else MANY_LINES)
    else:
        make = zipped if name == "x.zip" else tarred
        path = make(tmp_path, {"a.jsonl": MANY_LINES, "b.jsonl": MANY_LINES}, name)
    place = containers.Place()
    told = [place.at() / place.size for _ in containers.rows(path, place=place)]
    assert told == sorted(told)
    assert 0 < told[0] < 0.2
    assert abs(told[len(told) // 2] - 0.5) < 0.2
    assert place.at() == place.size > 0


def test_of_parquet_and_shards_it_is_known_how_many_rows_there_are(tmp_path: Path) -> None:
    place = containers.Place()
    next(containers.rows(put(tmp_path, "x.parquet", parquet(ROWS)), place=place))
    assert place.rows == 3
    path = tarred(tmp_path, {"1.json": b"{}", "1.png": b"png", "2.json": b"{}", "2.png": b"png"})
    place = containers.Place()
    next(containers.rows(path, place=place))
    assert place.rows == 2


def test_the_shards_of_an_archive_are_read_in_order_and_numbered_through(tmp_path: Path) -> None:
    path = zipped(tmp_path, {"b.jsonl": LINES, "a.jsonl": b"{}\n{no}\n" + LINES})
    found, said = errors(path)
    assert [row.number for row in found] == [1, 3, 4, 5, 6, 7, 8]
    assert (found[0].place, found[-1].place) == ("Line 1 of a.jsonl", "Line 3 of b.jsonl")
    assert said[0].startswith("Line 2 of a.jsonl: this is not JSON")
    assert values(path, only="b.jsonl") == ROWS


def test_reading_goes_on_after_a_row(tmp_path: Path) -> None:
    shards = [ROWS * 40, ROWS]
    for name, data in (
        ("x.jsonl", LINES * 41),
        ("x.json", json.dumps(ROWS * 41).encode()),
        ("x.parquet", parquet(ROWS * 41, row_group_size=10)),
    ):
        path = put(tmp_path, name, data)
        assert [row.number for row in containers.rows(path, after=121)] == [122, 123]
    path = zipped(tmp_path, {f"{at}.parquet": parquet(rows) for at, rows in enumerate(shards)})
    assert values(path, after=120) == ROWS


def test_csv_has_quotes_tabs_and_semicolons(tmp_path: Path) -> None:
    path = put(tmp_path, "x.csv", CSV)
    assert values(path)[1] == {"id": "2", "text": 'a, "quoted"\nline'}
    assert values(put(tmp_path, "x.tsv", b"id\ttext\n1\t\n")) == [{"id": "1", "text": None}]
    assert values(put(tmp_path, "y.csv", b"id;text\n1;a,b\n")) == [{"id": "1", "text": "a,b"}]


def test_a_line_that_is_wrong_is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    latin = '{"text": "Ölberg"}\n'.encode("latin-1")
    found, said = errors(put(tmp_path, "x.jsonl", LINES + latin + b"[1]\n" + b"{oops\n" + LINES))
    assert [row.number for row in found] == [1, 2, 3, 7, 8, 9]
    assert said[0].startswith('Line 4: this is not UTF-8 text: byte 0xd6 after “{"text": "”')
    assert "“Ö” of Latin-1" in said[0]
    assert said[1] == "Line 5: this is a list; each line must be one JSON object in braces."
    assert said[2].startswith("Line 6: this is not JSON at column 2: “{oops”.")


def test_a_csv_row_of_another_encoding_or_length_is_named(tmp_path: Path) -> None:
    data = "id,text\n1,\n2,Ölberg\n3\n4,sea\n".encode("latin-1")
    found, said = errors(put(tmp_path, "x.csv", data))
    assert [row.number for row in found] == [1, 4]
    assert said[0].startswith("Row 2: this is not UTF-8 text: byte 0xd6")
    assert said[1].startswith("Row 3: there are 1 values, but the first line names 2 columns")


def test_a_gigantic_line_is_named_and_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_files, "MAX_ROW", 2**20)
    big = json.dumps({"text": "x" * 3 * 2**20}).encode()
    found, said = errors(put(tmp_path, "x.jsonl", LINES + big + b"\n" + LINES))
    assert [row.number for row in found] == [1, 2, 3, 5, 6, 7]
    assert said == ["Line 4: this is longer than 1 MiB, the most that a row may have."]
    found, said = errors(put(tmp_path, "y.jsonl", big + b"\n" + LINES))
    assert len(found) == 3
    assert len(said) == 1
    array = b"[{}, " + big + b"]"
    assert refusal(put(tmp_path, "x.json", array)).startswith("Row 2: this is longer than 1 MiB")
    csv = b"id,text\n1," + b"x" * 3 * 2**20 + b"\n"
    assert "longer than 1 MiB" in refusal(put(tmp_path, "x.csv", csv))


def test_a_large_element_of_an_array_is_read_whole(tmp_path: Path) -> None:
    row = {"text": "x" * 500_000, "more": [{"a": ["]", "}"]}] * 1000}
    assert values(put(tmp_path, "x.json", json.dumps([row, row]).encode())) == [row, row]


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9, 0.97])
@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("x.jsonl.gz", gzipped(LINES * 50)),
        ("x.json", json.dumps(ROWS * 50).encode()),
        ("x.parquet", parquet(ROWS * 50)),
    ],
)
def test_what_is_cut_off_is_said_to_be(tmp_path: Path, name: str, data: bytes, keep: float) -> None:
    message = refusal(put(tmp_path, name, data[: int(len(data) * keep)]))
    assert "cut off" in message


def test_the_last_line_may_be_cut_off(tmp_path: Path) -> None:
    found, said = errors(put(tmp_path, "x.jsonl", LINES + b'{"id": 4, "te'))
    assert len(found) == 3
    assert said[0].startswith("Line 4:")
    assert "cut off" in said[0]
    message = refusal(put(tmp_path, "x.csv", CSV + b'3,"never closed'))
    assert message.startswith("Row 3: a quotation mark is opened and never closed")


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("x.jsonl", b"", "The file is empty; it has no rows."),
        ("x.jsonl", b"\n \n", "The file is empty; it has no rows."),
        ("x.json", b"[]", "The file is empty; it has no rows."),
        ("x.csv", b"a,b\n", "The file is empty; it has no rows."),
        ("x.jsonl", '{"a": 1}'.encode("utf-16"), "The file is UTF-16 text. Save it as UTF-8."),
        ("x.png", b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0d", "This is no file of rows"),
        ("x.json", b'{\n "a": 1\n}', "Write each object on a line of its own"),
        ("x.txt", b"prompt,a,b\n", "If this is CSV, give the file a name that ends with .csv."),
        ("x.csv", b"a,a\n1,2\n", "The column “a” is there twice"),
        ("x.json", b"[1]", "Row 1: this is a number; each element must be an object in braces."),
        ("x.json", b'[{"a": 1} {"a": 2}]', "Row 1: there is no comma after it"),
        ("x.json", b'[{"a": 1}] x', "something stands after the closing bracket"),
        ("x.json", b'[{"a": 1}, {"a": \xd6}]', "Row 1: this is not UTF-8 text: byte 0xd6"),
        (
            "x.json",
            b'[{"a": 1}, {"a": nope}]',
            "Row 2: this is not JSON at character 7 of the element: “{",
        ),
        ("x.jsonl", b'{"a": NaN}', "Line 1: this is not JSON"),
        ("x.jsonl", b"[" * 200 + b"{}", "Row 1:"),
        ("x.jsonl", b'{"a":' * 100_000, "Line 1: this is not JSON"),
    ],
)
def test_what_is_no_file_of_rows_is_told_so(
    tmp_path: Path, name: str, data: bytes, said: str
) -> None:
    assert said in refusal(put(tmp_path, name, data))


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "a/../../b", "C:\\b.jsonl"])
@pytest.mark.parametrize("make", [zipped, tarred])
def test_an_entry_that_leads_out_of_its_archive_is_refused(
    tmp_path: Path, make: Any, name: str
) -> None:
    message = refusal(make(tmp_path, {"rows.jsonl": LINES, name: b"x"}))
    assert "leads out of it" in message


def test_a_link_in_an_archive_is_no_file(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        entry = tarfile.TarInfo("rows.jsonl")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(entry)
    assert "it has none" in refusal(tmp_path / "x.tar")


def test_an_archive_may_unpack_to_so_much_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packed, "MAX_UNPACKED", 100)
    for make, name in ((zipped, "x.zip"), (tarred, "x.tar.gz")):
        assert "unpacks to more than" in refusal(make(tmp_path, {"a.jsonl": LINES * 9}, name))
    monkeypatch.setattr(containers, "MAX_UNPACKED", 100)
    path = put(tmp_path, "x.jsonl.gz", gzipped(LINES * 9))
    assert "unpacks to more than" in refusal(path)


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tar.gz"])
def test_an_archive_that_is_cut_off_is_told_so(tmp_path: Path, name: str) -> None:
    make = zipped if name == "x.zip" else tarred
    path = make(tmp_path, {"rows.jsonl": LINES * 200}, name)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "cut off" in refusal(path)


@pytest.mark.parametrize(
    "name", ["x.jsonl", "x.json", "x.csv", "x.parquet", "x.gz", "x.zip", "x.tar"]
)
def test_whatever_is_damaged_is_read_or_refused(tmp_path: Path, name: str) -> None:
    random = Random(name)
    path = {
        "x.zip": lambda: zipped(tmp_path, {"rows.jsonl": LINES * 3}),
        "x.tar": lambda: tarred(tmp_path, {"rows.jsonl": LINES * 3}),
        "x.jsonl": lambda: put(tmp_path, name, LINES * 3),
        "x.json": lambda: put(tmp_path, name, ARRAY),
        "x.csv": lambda: put(tmp_path, name, CSV * 3),
        "x.parquet": lambda: put(tmp_path, name, parquet(ROWS * 3)),
        "x.gz": lambda: put(tmp_path, name, gzipped(LINES * 3)),
    }[name]()
    whole = path.read_bytes()
    refused = 0
    for _ in range(120):
        damaged = bytearray(whole)
        for _ in range(random.choice([1, 1, 3, 20])):
            damaged[random.randrange(len(damaged))] = random.randrange(256)
        path.write_bytes(damaged[: random.choice([len(damaged), random.randrange(len(damaged))])])
        said: list[RowError] = []
        try:
            for row in containers.rows(path, on_error=said.append):
                assert isinstance(row.values, dict)
        except UserError:
            refused += 1
        refused += bool(said)
    assert refused > 20


def test_a_file_of_an_archive_is_found_by_its_name_within(tmp_path: Path) -> None:
    files = {"README.md": b"", "set/rows/a.jsonl": LINES, "set/media/1.png": b"png"}
    path = zipped(tmp_path, files)
    with packed.open_packed(path) as archive:
        assert "set/media/1.png" in archive
        assert "../media/1.png" in archive
        assert "../../../media/1.png" not in archive
    path = zipped(tmp_path, {"set/rows.jsonl": LINES, "set/media/1.png": b"png"})
    with packed.open_packed(path) as archive:
        assert "./media/1.png" in archive
        assert "media/2.png" not in archive
        with archive.open("media\\1.png") as stream:
            assert stream.read() == b"png"
        with pytest.raises(UserError, match="has no file"), archive.open("media/2.png"):
            pass


def test_memory_stays_bounded_however_long_a_file_is(tmp_path: Path) -> None:
    import tracemalloc

    row = {"prompt": "p" * 1000, "a": "a" * 1000}
    path = put(tmp_path, "x.json", json.dumps([row] * 5_000).encode())
    wide = put(tmp_path, "x.parquet", parquet([row] * 5_000))
    for file in (path, wide):
        tracemalloc.start()
        assert sum(1 for _ in containers.rows(file)) == 5_000
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 4 * 2**20, file


def test_a_file_of_nothing_but_wrong_rows_is_not_called_empty(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"0" * (row_files.MAX_ROW + 1))
    errors: list[RowError] = []
    assert list(containers.rows(path, on_error=errors.append)) == []
    assert "is longer than" in errors[0].message
