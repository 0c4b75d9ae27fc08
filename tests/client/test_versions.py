"""Versions come as files, as batches and as frames, and are what was frozen."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from steelyard.registry.models import DatasetVersion
from steelyard_client import Conflict, Invalid, Project, RunFailed, SteelyardError, Version
from tests import factories

RECIPE = {"test_fraction": 0.4, "ties": "keep"}


@pytest.fixture
def version(mine: Project, project: Any) -> Version:
    """Nine rows in two splits."""
    for n in range(9):
        pair = factories.make_pair(project, prompt=factories.make_prompt(project, f"Question {n}?"))
        factories.make_judgment(pair, "ab"[n % 2], rationale="It answers.")
    return mine.freeze("answers", RECIPE, note="the first")


def test_a_version_is_what_was_frozen(mine: Project, version: Version, tmp_path: Path) -> None:
    assert str(version) == "answers v1"
    assert (version.info.counts["rows"], version.info.note) == (9, "the first")
    assert version.info.recipe["ties"] == "keep"
    assert [dataset.name for dataset in mine.datasets()] == ["answers"]
    dataset = mine.dataset("answers")
    assert dataset.version(1).digest == dataset.latest().digest == version.digest

    parquet = version.download(tmp_path)
    assert parquet.name == "answers-v1.parquet"
    assert pq.read_metadata(parquet).num_rows == 9
    [file] = version.manifest()["files"]
    assert hashlib.sha256(parquet.read_bytes()).hexdigest() == file["sha256"]
    lines = version.download(tmp_path / "rows.jsonl").read_text().splitlines()
    rows = list(version.rows())
    assert [json.loads(line) for line in lines] == rows
    assert rows[0]["rationales"][0]["text"] == "It answers."

    assert [batch.num_rows for batch in version.stream(batch=4)] == [4, 4, 1]
    [batch] = version.stream(columns=["chosen"], split="test")
    assert batch.schema.names == ["chosen"]
    assert version.to_arrow().num_rows == 9

    frame = version.to_pandas()
    assert list(frame["chosen"]) == [row["chosen"] for row in rows]
    test = version.to_hf(split="test", cache=tmp_path / "cache")
    assert test["pair"] == [row["pair"] for row in rows if row["split"] == "test"]
    train = version.to_hf(cache=tmp_path / "cache")
    assert len(train) + len(test) == 9
    assert train[0]["prompt"][0]["role"] == "user"


def test_what_cannot_be_frozen_is_refused_with_its_reason(
    mine: Project, version: Version, project: Any
) -> None:
    with pytest.raises(Conflict) as same:
        mine.freeze("answers", RECIPE)
    assert same.value.code == "version_exists"
    with pytest.raises(Invalid, match="A recipe has no “tie”"):
        mine.freeze("answers", {"tie": "keep"})
    two = [vote.annotator for vote in mine.judgments()][:2]
    assert mine.preview({"exclude": two}).counts["rows"] == 7
    assert mine.preview({"min_votes": 5}).problem is not None
    with pytest.raises(SteelyardError, match="answers has no version 7; it has 1 to 1"):
        mine.dataset("answers").version(7)
    with pytest.raises(SteelyardError, match="has no dataset 'other'"):
        mine.dataset("other").latest()


def test_two_versions_are_compared_tagged_and_described(
    mine: Project, version: Version, project: Any, tmp_path: Path
) -> None:
    more = factories.make_pair(project)
    factories.make_judgment(more, "a")
    second = mine.freeze("answers", RECIPE)
    found = second.diff(version)
    assert (found.counts["added"], found.counts["removed"], found.counts["same"]) == (1, 0, 9)
    [row] = found.rows()
    assert (row["old"], row["new"]["pair"]) == (None, more.key)
    assert [row["old"]["pair"] for row in version.diff(second).rows("removed")] == [more.key]

    version.tag("in the paper")
    version.add_note("One rater was in a hurry.")
    dataset = mine.dataset("answers")
    assert dataset.version("in the paper").number == 1
    assert dataset.version(1).notes()[0]["text"] == "One rater was in a hurry."
    version.untag("in the paper")
    with pytest.raises(SteelyardError, match="no version with the tag 'in the paper'"):
        dataset.version("in the paper")
    assert len(second.statistics()["annotators"]) == 10
    assert second.card().startswith("---")
    assert zipfile.is_zipfile(second.download(tmp_path / "answers.zip"))


def test_a_version_is_written_in_a_format_that_trainers_read(
    version: Version, tmp_path: Path
) -> None:
    done = version.export("trl_preference", tmp_path / "out", split="train")
    assert done.rows == version.info.counts["train"]
    [path] = done.paths
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert {"chosen", "rejected"} <= set(rows[0])
    assert len(rows) == done.rows
    assert done.ties


@pytest.mark.usefixtures("version")
def test_a_version_in_several_files_is_read_as_one(
    mine: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("steelyard.lib.records.SHARD_ROWS", 4)
    monkeypatch.setattr("steelyard.lib.records.GROUP_ROWS", 2)
    many = mine.freeze("in parts", {**RECIPE, "seed": 9})
    assert len(many.manifest()["files"]) == 3
    lines = many.download(tmp_path / "rows.jsonl").read_text().splitlines()
    assert list(many.rows()) == [json.loads(line) for line in lines]
    assert many.to_arrow().num_rows == 9
    splits = [many.to_hf(split=split, cache=tmp_path) for split in ("train", "test")]
    assert sum(map(len, splits)) == 9
    whole = many.download(tmp_path)
    assert pq.read_table(whole).to_pylist() == many.to_arrow().to_pylist()
    last = DatasetVersion.objects.get(pk=many.id).files[-1]
    last.write_bytes(last.read_bytes()[:-1])
    with pytest.raises(SteelyardError, match="is not what its manifest says"):
        many.download(tmp_path / "again.parquet")
    assert list(tmp_path.glob("*again*")) == []


@pytest.mark.usefixtures("working")
def test_what_takes_long_is_frozen_by_a_run_that_is_waited_for(
    mine: Project, version: Version, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("steelyard_client.runs.EVERY", 0.2)
    second = mine.freeze("answers", {**RECIPE, "seed": 1}, background=True)
    assert (second.number, second.info.recipe["seed"]) == (2, 1)
    with pytest.raises(RunFailed, match="This equals"):
        mine.freeze("answers", {**RECIPE, "seed": 1}, background=True)


def test_a_file_that_is_not_the_frozen_one_is_refused(
    mine: Project, version: Version, tmp_path: Path
) -> None:
    kept = DatasetVersion.objects.get(pk=version.id).parquet
    pq.write_table(pq.read_table(kept).slice(0, 3), kept)
    with pytest.raises(SteelyardError, match="is not what its manifest says"):
        version.download(tmp_path)
    assert list(tmp_path.glob("*.parquet")) == []
    with pytest.raises(SteelyardError, match="is not what its manifest says"):
        list(version.stream())


READER = """
import resource, sys
from pathlib import Path
from steelyard_client.versions import _batches
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
def read(path):
    return sum(batch.num_rows for batch in _batches(Path(path), 1024, None, None))
read(sys.argv[1])
before = peak()
rows = read(sys.argv[2])
print(rows, peak() - before)
"""


def test_a_version_far_larger_than_the_memory_that_it_takes_is_read(tmp_path: Path) -> None:
    """80 MB of text in a single row group, as one process reads it."""
    letters = np.random.default_rng(0).integers(97, 123, (40_000, 2000), np.uint8)
    texts = pa.array([row.tobytes().decode() for row in letters])
    table = pa.table({"chosen": texts, "split": ["train"] * len(texts)})
    for name, part in (("small", table.slice(0, 1000)), ("large", table)):
        pq.write_table(part, tmp_path / name, row_group_size=10**6, use_dictionary=False)
    assert (tmp_path / "large").stat().st_size > 60 * 2**20
    command = [sys.executable, "-c", READER, tmp_path / "small", tmp_path / "large"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    rows, grown = map(int, done.stdout.split())
    assert rows == 40_000
    assert grown < 40, f"{grown} MiB"
