"""Prompts about pictures and clips, written with them and without."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from PIL import Image

from annotation.formats import FORMATS, containers, write_files
from annotation.formats.base import Format, MediaFile
from steelyard.lib.errors import UserError
from tests.annotation_formats import frozen

SEEN = replace(frozen.WIN_B, prompt_media=["kite"])
FILMED = replace(frozen.TALK, prompt_media=["clip"])
PLAIN = frozen.BARE
RECORDS = [SEEN, FILMED, PLAIN]


@pytest.fixture
def find_media(tmp_path: Path) -> Callable[[str], MediaFile]:
    """The files of the records above: a real picture, and what stands for a clip."""
    Image.new("RGB", (9, 7), "red").save(tmp_path / "kite.png")
    (tmp_path / "clip.mp4").write_bytes(b"a clip")
    found = {}
    for name, mime in (("kite.png", "image/png"), ("clip.mp4", "video/mp4")):
        path = tmp_path / name
        digest = sha256(path.read_bytes()).hexdigest()
        found[path.stem] = MediaFile(path, mime, f"{digest}{path.suffix}")
    return found.__getitem__


@pytest.mark.parametrize(
    "format",
    [f for f in FORMATS.values() if any(option.name == "media" for option in f.options)],
    ids=lambda f: f.name,
)
def test_a_prompt_with_media_is_left_out_or_told_whole(
    format: Format, tmp_path: Path, find_media: Callable[[str], MediaFile]
) -> None:
    if "text" not in format.modalities:
        pytest.skip("it holds no texts")
    without = format.writing({"media": "no"}, find_media)
    rows = list(format.rows(RECORDS, without))
    assert sum(without.left.values()) == 2
    assert "media/" not in json.dumps(rows)

    writing = format.writing({"media": "yes"}, find_media)
    path = tmp_path / "x.parquet"
    schema = format.schema(writing) if format.schema else None
    write_files.write(format.rows(RECORDS, writing), path, "parquet", schema=schema)
    names = {find_media(name).name.split(".")[0] for name in ("kite", "clip")}
    records = list(format.records(containers.rows(path)))
    carried = {name for record in records for name in record.media}
    clips = bool(names - carried)
    assert bool(writing.left) == clips, "a clip is either carried or counted as left out"
    assert find_media("kite").name.split(".")[0] in carried
    for record in records:
        assert set(record.media) == set(record.blobs)
        assert "<image>" not in record.messages[0]["content"]


@pytest.mark.parametrize("container", ["parquet", "jsonl"])
@pytest.mark.parametrize("name", ["steelyard_pairs", "mapped"])
def test_pictures_may_be_compared(
    name: str, container: str, tmp_path: Path, find_media: Callable[[str], MediaFile]
) -> None:
    format = FORMATS[name]
    other = replace(find_media("kite"), name="other.png")
    found = {"kite": find_media("kite"), "other": other}
    pictures = replace(
        frozen.WIN_B,
        modality="image",
        chosen="",
        rejected="",
        chosen_media="kite",
        rejected_media="other",
    )
    writing = format.writing({}, found.__getitem__)
    path = tmp_path / f"x.{container}"
    write_files.write(format.rows([pictures], writing), path, container)
    for record in format.records(containers.rows(path)):
        assert (record.text_a, record.text_b) == ("", "")
        if container == "parquet":
            assert set(record.blobs) == {record.media_a, record.media_b}
        else:
            assert record.media_b == f"media/{find_media('kite').name}"
            assert record.media_a == "media/other.png"


def test_llamafactory_is_told_what_its_file_is(find_media: Callable[[str], MediaFile]) -> None:
    format = FORMATS["llamafactory_ranking"]
    assert format.aside is not None
    writing = format.writing({"media": "yes"}, find_media)
    seen, filmed, plain = (write_files.with_names(row) for row in format.rows(RECORDS, writing))
    assert seen["conversations"][0]["value"] == "<image>Name a sea."
    assert seen["images"] == [f"media/{find_media('kite').name}"]
    assert filmed["conversations"][0]["value"] == "<video>Hello"
    assert filmed["videos"] == [f"media/{find_media('clip').name}"]
    assert (plain["images"], plain["videos"]) == ([], [])
    entry = {
        "file_name": "crowd.json",
        "ranking": True,
        "columns": {
            "messages": "conversations",
            "chosen": "chosen",
            "rejected": "rejected",
            "system": "system",
            "images": "images",
            "videos": "videos",
        },
        "formatting": "sharegpt",
    }
    assert json.loads(format.aside("crowd.json", writing)["dataset_info.json"]) == {"crowd": entry}
    alpaca = format.writing({"shape": "alpaca"})
    told = json.loads(format.aside("crowd.json", alpaca)["dataset_info.json"])["crowd"]
    assert "formatting" not in told
    assert set(told["columns"].values()) == set(next(iter(format.rows([PLAIN], alpaca))))


def test_a_file_that_is_not_at_hand_is_said_so() -> None:
    format = FORMATS["trl_preference"]
    with pytest.raises(UserError, match="The file kite… is not at hand"):
        list(format.rows([SEEN], format.writing({"media": "yes"})))
