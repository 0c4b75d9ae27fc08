"""Formats of pictures, clips and tools write their own to the byte, and read it again as the same
preferences; what others publish is read by ``test_golden_text.py``, but for pictures in Parquet."""

from __future__ import annotations

import json
from collections import Counter
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from annotation.formats import FORMATS, bundles, check, containers, guess, write_files
from annotation.formats.base import Format, Writing
from annotation.formats.packed import open_packed
from annotation.formats.records import ImportedRecord
from steelyard.lib.records import PreferenceRecord
from tests.annotation_formats import frozen, pictured

GOLDEN = Path(__file__).parent / "golden"
TEXTS = dict(zip(("win_b", "talk", "system", "tie", "bare"), frozen.RECORDS, strict=True))
WRITTEN = [
    # format, modality, options, what it leaves out of the records
    ("pick_a_pic", "image", {}, "edited"),
    ("pick_a_pic", "image", {"columns": "trainer"}, "edited"),
    ("pick_a_pic", "image", {"columns": "orpo"}, "edited"),
    ("image_reward_db", "image", {}, "edited"),
    ("genai_bench_image", "image", {}, "edited"),
    ("genai_bench_image", "image", {"task": "edition"}, "win_b tie bare"),
    ("unified_reward_image", "image", {}, "tie edited"),
    ("videoalign", "video", {}, ""),
    ("videoalign", "video", {"unsaid": "overall"}, ""),
    ("videodpo", "video", {}, "tie"),
    ("genai_bench_video", "video", {}, ""),
    ("unified_reward_video", "video", {}, "tie"),
    ("argilla", "text", {}, "talk system"),
    ("argilla", "text", {"shape": "nested"}, "talk system"),
    ("label_studio", "text", {}, "talk system"),
    ("label_studio", "image", {}, "edited"),
    ("label_studio", "video", {}, ""),
    ("potato", "text", {}, "talk system"),
    ("potato", "text", {"shape": "selection"}, "talk system"),
    ("potato", "image", {}, "edited"),
]
Said = tuple[str, str, str, bool]


def ids(case: Any) -> str:
    return "-".join(case.values()) if isinstance(case, dict) else str(case or "nothing")


def records_of(modality: str) -> dict[str, PreferenceRecord]:
    return {"text": TEXTS, "image": pictured.IMAGES, "video": pictured.VIDEOS}[modality]


def rows_of(
    name: str, modality: str, options: dict[str, str]
) -> tuple[list[dict[str, Any]], Writing]:
    format = FORMATS[name]
    writing = pictured.writing_of(format, **options)
    return list(format.rows(records_of(modality).values(), writing)), writing


def golden_name(name: str, modality: str, options: dict[str, str]) -> str:
    """A format of several kinds of answers has a golden file for each."""
    several = [modality] if len(FORMATS[name].modalities) > 1 else []
    container = FORMATS[name].containers[0]
    ending = {"parquet": "jsonl"}.get(container, container)
    return "-".join(["written", *several, *options.values()]) + f".{ending}"


@pytest.mark.parametrize(("name", "modality", "options", "out"), WRITTEN, ids=ids)
def test_what_is_written_is_the_same_to_the_byte(
    name: str, modality: str, options: dict[str, str], out: str, tmp_path: Path
) -> None:
    rows, writing = rows_of(name, modality, options)
    file = golden_name(name, modality, options)
    write_files.write(rows, tmp_path / file, file.rsplit(".", 1)[1])
    assert (tmp_path / file).read_bytes() == (GOLDEN / name / file).read_bytes()
    aside = FORMATS[name].aside
    for beside, data in aside(file, writing).items() if aside else ():
        kept = f"{modality}-{beside}" if len(FORMATS[name].modalities) > 1 else beside
        assert data == (GOLDEN / name / kept).read_bytes()


@pytest.mark.parametrize(("name", "modality", "options", "out"), WRITTEN, ids=ids)
def test_a_round_trip_says_the_same_and_counts_what_it_leaves_out(
    name: str, modality: str, options: dict[str, str], out: str, tmp_path: Path
) -> None:
    format = FORMATS[name]
    kept = {k: each for k, each in records_of(modality).items() if k not in out.split()}
    for container in format.containers:
        path = written(format, modality, options, container, tmp_path)
        _, writing = rows_of(name, modality, options)
        assert sum(writing.left.values()) == len(out.split()), writing.left
        check(format, containers.first_row(path))
        records = list(format.records(containers.rows(path)))
        assert of_imported(records, path) == {of_frozen(record) for record in kept.values()}
        assert names(records) == {"rater", "robot", "scorer"} or not tells_names(name)


def written(
    format: Format, modality: str, options: dict[str, str], container: str, folder: Path
) -> Path:
    """The records in that container, in an archive with their media where rows name these."""
    writing = pictured.writing_of(format, **options)
    rows = format.rows(records_of(modality).values(), writing)
    schema = format.schema(writing) if format.schema else None
    if container in ("parquet", "webdataset"):
        path = folder / f"x.{'tar' if container == 'webdataset' else container}"
        write_files.write(rows, path, container, schema=schema)
        return path
    path = folder / f"{container}.zip"
    aside = format.aside
    bundles.write_zip(
        rows,
        path,
        f"pair.{container}",
        aside=(lambda: aside("pair.json", writing)) if aside else None,
    )
    return path


def of_frozen(record: PreferenceRecord) -> Said:
    sides = (record.chosen or record.chosen_media, record.rejected or record.rejected_media)
    balance = 0 if record.outcome == "tie" else -1
    return preference(record.prompt, *sides, balance)


def of_imported(records: list[ImportedRecord], path: Path) -> set[Said]:
    """The preferences that the votes on each pair come to; files by their hashes."""
    balance: Counter[tuple[str, str, str]] = Counter()
    for record in records:
        sides = [
            text or plain(media, path)
            for text, media in ((record.text_a, record.media_a), (record.text_b, record.media_b))
        ]
        key = (json.dumps(record.messages), sides[0], sides[1])
        balance[key] += sum(vote.strength for vote in record.votes)
    return {preference(json.loads(k[0]), k[1], k[2], total) for k, total in balance.items()}


def preference(messages: list[dict[str, str]], a: str, b: str, balance: float) -> Said:
    better, worse = (a, b) if balance < 0 else (b, a) if balance > 0 else sorted([a, b])
    return (json.dumps(messages), better, worse, balance == 0)


def plain(name: str, path: Path) -> str:
    """The hash in a name; a shard calls files by their samples, so there it is taken anew."""
    if path.suffix != ".tar":
        return Path(name).stem
    with open_packed(path) as packed, packed.open(name) as stream:
        return sha256(stream.read()).hexdigest()


def names(records: list[ImportedRecord]) -> set[str]:
    return {vote.annotator for record in records for vote in record.votes} - {"imported labels"}


def tells_names(name: str) -> bool:
    return name in ("argilla", "label_studio", "potato")


def test_pictures_in_parquet_are_read_to_the_record() -> None:
    format = FORMATS["pick_a_pic"]
    path = GOLDEN / "pick_a_pic" / "read.parquet"
    row = containers.first_row(path)
    assert guess(row)[0] is format
    first, second, third = format.records(containers.rows(path))
    assert first.messages == [{"role": "user", "content": "a red kite"}]
    red, blue = pictured.sha("red.png"), pictured.sha("blue.png")
    assert (first.media_a, first.media_b) == (red, blue)
    assert first.blobs == {
        red: (pictured.MEDIA / "red.png").read_bytes(),
        blue: (pictured.MEDIA / "blue.png").read_bytes(),
    }
    assert (first.model_a, first.model_b) == ("dreamlike", "xl")
    assert [(v.annotator, v.outcome, v.strength) for v in first.votes] == [("user 7", "a", -1)]
    assert [vote.outcome for vote in second.votes] == ["tie"]
    assert third.votes == []
    assert third.key == "12 u0 u2"
