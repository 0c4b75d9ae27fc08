"""Media beside rows, in Parquet and in shards: ``datasets.load_dataset`` reads each as it is, the
same rows are always the same bytes, and what is broken is named."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image

from annotation.formats import FORMATS, bundles, containers, shards, write_files
from annotation.formats.columns import Columns
from annotation.formats.packed import open_packed
from annotation.formats.rows import RowError
from tests.annotation_formats import frozen, pictured

IMAGES = list(pictured.IMAGES.values())[:3]


def rows(name: str, **options: str) -> list[dict[str, Any]]:
    format = FORMATS[name]
    records = pictured.records_of(format).values()
    return list(format.rows(records, pictured.writing_of(format, **options)))


def loaded(kind: str, files: Any, cache: Path) -> Any:
    from datasets import load_dataset

    said = {"data_dir": str(files)} if Path(str(files)).is_dir() else {"data_files": str(files)}
    return load_dataset(kind, split="train", cache_dir=str(cache / "cache"), **said)


def pixels(picture: Image.Image) -> tuple[tuple[int, int], Any]:
    return picture.size, picture.convert("RGB").getpixel((0, 0))


def undecoded(found: Any) -> Any:
    """The files as they lie in the data set: to decode clips it needs more than we install."""
    from datasets import Image as ImageFeature
    from datasets import Video

    for column, kind in found.features.items():
        if isinstance(kind, (Video, ImageFeature)):
            found = found.cast_column(column, type(kind)(decode=False))
    return found


def test_datasets_reads_a_folder_with_its_pictures(tmp_path: Path) -> None:
    from datasets import load_dataset

    count = bundles.write_folder(rows("genai_bench_image"), tmp_path / "set", "metadata.jsonl")
    assert count == 6
    for found in (
        loaded("imagefolder", tmp_path / "set", tmp_path),
        load_dataset(str(tmp_path / "set"), split="train", cache_dir=str(tmp_path / "other")),
    ):
        assert len(found) == 6
        assert pixels(found[0]["right_output_image"]) == ((9, 7), (255, 0, 0))
        assert found[0]["prompt"] == pictured.WIN_B.prompt[0]["content"]
        assert found[0]["vote_type"] == "rightvote"


def test_datasets_reads_a_folder_with_its_clips(tmp_path: Path) -> None:
    from datasets import Video

    bundles.write_folder(rows("genai_bench_video"), tmp_path / "set", "metadata.jsonl")
    found = loaded("videofolder", tmp_path / "set", tmp_path)
    assert found.features["video_left"] == Video()
    name = Path(undecoded(found)[0]["video_left"]["path"]).stem
    assert name == pictured.CLIP_B.rejected_media


def test_a_folder_is_read_again_in_an_archive(tmp_path: Path) -> None:
    path = tmp_path / "set.zip"
    bundles.write_zip(rows("genai_bench_image"), path, "metadata.jsonl")
    record = next(FORMATS["genai_bench_image"].records(containers.rows(path)))
    with open_packed(path) as packed, packed.open(record.media_b) as stream:
        assert stream.read() == (pictured.MEDIA / "red.png").read_bytes()


def test_an_archive_holds_each_file_once_by_its_hash(tmp_path: Path) -> None:
    format = FORMATS["videodpo"]
    writing = pictured.writing_of(format)
    assert format.aside is not None
    aside = format.aside
    bundles.write_zip(
        format.rows(pictured.VIDEOS.values(), writing),
        tmp_path / "x.zip",
        "pair.json",
        aside=lambda: aside("pair.json", writing),
    )
    with zipfile.ZipFile(tmp_path / "x.zip") as packed:
        assert sorted(packed.namelist()) == sorted(
            [
                "metadata.json",
                "pair.json",
                *(f"media/{pictured.sha(name)}.mp4" for name in ("sea.mp4", "sky.mp4")),
            ]
        )
        assert json.loads(packed.read("pair.json"))[1]["video1"] == 2


@pytest.mark.parametrize("columns", ["all", "trainer"])
def test_trainers_open_the_bytes_of_pick_a_pic(columns: str, tmp_path: Path) -> None:
    format = FORMATS["pick_a_pic"]
    writing = pictured.writing_of(format, columns=columns)
    assert format.schema is not None
    write_files.write(
        format.rows(IMAGES, writing),
        tmp_path / "x.parquet",
        "parquet",
        schema=format.schema(writing),
    )
    found = loaded("parquet", tmp_path / "x.parquet", tmp_path)
    picture = Image.open(io.BytesIO(found[0]["jpg_1"]))
    assert pixels(picture) == ((9, 7), (255, 0, 0))
    assert set(found["label_0"]) == {0.0, 0.5, 1.0}
    kinds = {name: str(feature.dtype) for name, feature in found.features.items()}
    assert (kinds["jpg_0"], kinds["label_0"], kinds["caption"]) == ("binary", "float64", "string")
    if columns == "all":
        assert len(kinds) == 19
        assert (kinds["created_at"], kinds["ranking_id"]) == ("timestamp[ns]", "int64")


def test_datasets_gives_pictures_and_clips_of_parquet(tmp_path: Path) -> None:
    from datasets import Image as ImageFeature
    from datasets import Video

    kinds = {"genai_bench_image": ImageFeature(), "genai_bench_video": Video()}
    for name, kind in kinds.items():
        format = FORMATS[name]
        assert format.schema is not None
        schema = format.schema(pictured.writing_of(format))
        path = tmp_path / f"{name}.parquet"
        write_files.write(rows(name), path, "parquet", schema=schema)
        found = loaded("parquet", path, tmp_path)
        column = "left_output_image" if name.endswith("image") else "video_left"
        assert found.features[column] == kind
        held = undecoded(found)[0][column]
        sha = pictured.records_of(format)["win_b"].rejected_media
        assert held["bytes"] == pictured.FILES[sha].path.read_bytes()


def test_datasets_reads_shards(tmp_path: Path) -> None:
    made = list(shards.write_shards(rows("pick_a_pic", columns="orpo"), tmp_path, most_samples=2))
    assert [(path.name, count) for path, count in made] == [
        ("shard-000000.tar", 2),
        ("shard-000001.tar", 1),
    ]
    found = loaded("webdataset", tmp_path / "shard-*.tar", tmp_path)
    assert len(found) == 3
    assert pixels(found[0]["jpg_1.jpg"]) == ((9, 7), (255, 0, 0))
    assert found[0]["original_prompt.txt"] == pictured.WIN_B.prompt[0]["content"]
    assert found["label_0.txt"][:] == ["0.0", "0.5", "1.0"]
    assert found[0]["json"]["label_0"] == 0.0


def test_a_shard_is_named_as_the_orpo_trainer_reads_it(tmp_path: Path) -> None:
    write_files.write(rows("pick_a_pic", columns="orpo"), tmp_path / "x.tar", "webdataset")
    with tarfile.open(tmp_path / "x.tar") as tar:
        assert tar.getnames()[:6] == [
            f"000000000.{name}"
            for name in (
                "jpg_0.jpg",
                "jpg_1.jpg",
                "label_0.txt",
                "label_1.txt",
                "original_prompt.txt",
                "json",
            )
        ]


@pytest.mark.parametrize("kind", ["zip", "tar", "parquet"])
def test_the_same_rows_are_the_same_bytes(kind: str, tmp_path: Path) -> None:
    found = []
    for name in ("one", "two"):
        path = tmp_path / f"{name}.{kind}"
        said = rows("pick_a_pic", columns="trainer")
        if kind == "zip":
            bundles.write_zip(said, path, "x.jsonl")
        else:
            container = "webdataset" if kind == "tar" else kind
            schema = FORMATS["pick_a_pic"].schema
            assert schema is not None
            written = schema(FORMATS["pick_a_pic"].writing({"columns": "trainer"}))
            write_files.write(said, path, container, schema=written)
        found.append(path.read_bytes())
    assert found[0] == found[1]


def shard(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return path


def test_a_broken_sample_is_named_and_the_next_is_read(tmp_path: Path) -> None:
    path = shard(
        tmp_path / "x.tar",
        {
            "a.jpg_0.jpg": b"0",
            "a.json": b"{",
            "b.jpg_0.jpg": b"0",
            "b.json": b"[7]",
            "c.jpg_0.jpg": b"0",
            "c.caption.txt": b"\xff",
            "d.jpg_0.jpg": b"0",
            "d.jpg_1.jpg": b"1",
            "d.label_0.txt": b"1\n",
            "d.caption.txt": b"a kite",
        },
    )
    errors: list[RowError] = []
    (row,) = containers.rows(path, on_error=errors.append)
    assert [error.place for error in errors] == ["Sample a", "Sample b", "Sample c"]
    assert "a.json is not JSON" in errors[0].message
    assert "b.json is a list; it must be an object" in errors[1].message
    assert "not UTF-8" in errors[2].message
    (record,) = FORMATS["pick_a_pic"].records([row])
    assert (record.media_a, record.media_b) == ("d.jpg_0.jpg", "d.jpg_1.jpg")
    assert record.votes[0].outcome == "a"


def test_an_archive_with_a_file_of_rows_is_no_shard(tmp_path: Path) -> None:
    path = shard(
        tmp_path / "x.tar",
        {"data.json": b'[{"id": 1}]', "a.left.png": b"0", "a.right.png": b"1"},
    )
    (row,) = containers.rows(path)
    assert row.place == "Row 1 of data.json"


def test_texts_go_into_a_shard_as_its_json(tmp_path: Path) -> None:
    said, _ = frozen.written(FORMATS["potato"])
    write_files.write(
        [{**said[0], "jpg_0": pictured.FILES[pictured.sha("red.png")]}],
        tmp_path / "x.tar",
        "webdataset",
    )
    (row,) = containers.rows(tmp_path / "x.tar")
    assert row.values["annotations"] == said[0]["annotations"]


def test_a_column_that_only_a_later_row_has_is_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_files, "_BATCH_ROWS", 2)
    picture = pictured.FILES[pictured.sha("red.png")]
    rows: list[dict[str, Any]] = [
        {"prompt": "1", "tags": [], "said": None},
        {"prompt": "2", "tags": []},
        {"prompt": "3", "tags": ["clear"], "aspects": {"style": 1}},
        {"prompt": "4", "tags": []},
        {"prompt": "5", "tags": [], "said": 0.5, "aspects": {"truth": -1}, "media": [picture]},
    ]
    path, first = tmp_path / "test.parquet", tmp_path / "train.parquet"
    columns = Columns()
    write_files.write(rows[:1], first, "parquet", schema=columns)
    assert write_files.write(rows, path, "parquet", schema=columns) == 5
    write_files.settle(first, columns)
    table = pq.read_table(path)
    assert table.column("tags").to_pylist() == [[], [], ["clear"], [], []]
    assert table.column("said").to_pylist() == [None, None, None, None, 0.5]
    style, truth = {"style": 1, "truth": None}, {"style": None, "truth": -1}
    assert table.column("aspects").to_pylist() == [None, None, style, None, truth]
    assert table.column("media").to_pylist()[4][0]["bytes"] == picture.path.read_bytes()
    assert b"Image" in table.schema.metadata[b"huggingface"]
    assert pq.read_schema(first).equals(table.schema, check_metadata=True)
    assert not list(tmp_path.glob("*.before"))
