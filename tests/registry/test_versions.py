"""What is told of versions: differences, tags, notes, statistics, cards, search, lineage."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from django.urls import reverse

from steelyard.accounts.models import AuditEvent
from steelyard.lib import records as lib_records
from steelyard.lib.hashing import sha256_file, sha256_hex
from steelyard.lib.records import read_parquet, tables_of
from steelyard.lib.shards import ShardWriter
from steelyard.registry import comparing
from steelyard.registry.cards import COLUMNS, croissant, readme
from steelyard.registry.comparing import compare
from steelyard.registry.lineage import versions_with_pair, versions_with_votes
from steelyard.registry.models import DatasetVersion
from steelyard.registry.rows import Rows
from steelyard.registry.searching import RowFilter, search
from steelyard.registry.services import commit_version
from steelyard.registry.statistics import matrix, statistics
from tests.registry.conftest import make_record

pytestmark = pytest.mark.django_db


@pytest.fixture
def small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Row groups of four rows, two of them a file."""
    monkeypatch.setattr(lib_records, "GROUP_ROWS", 4)
    monkeypatch.setattr(lib_records, "SHARD_ROWS", 8)


@pytest.fixture
def commit(project: Any) -> Callable[..., DatasetVersion]:
    def make(records: list[Any], *, dataset: str = "Other", **recipe: Any) -> DatasetVersion:
        return commit_version(
            project=project,
            dataset_name=dataset,
            rows=tables_of(records),
            recipe=recipe,
            counts={"rows": len(records), "train": len(records), "test": 0, "votes": len(records)},
        )

    return make


def at(version: Any, name: str, *args: Any) -> str:
    return reverse(f"registry:{name}", args=[version.project.slug, version.pk, *args])


def test_a_large_version_lies_in_several_files_and_is_the_same(
    small_files: None, commit: Any, records: Any, version: Any, as_user: Any, owner: Any
) -> None:
    assert len(version.files) == 6
    assert [sha256_file(path) for path in version.files] == [path.stem for path in version.files]
    assert read_parquet(version.files) == records
    assert [row["pair"] for row in Rows(version)[6:10]] == [one.pair for one in records[6:10]]
    assert Rows(version)[-1]["pair"] == records[-1].pair
    client = as_user(owner)
    for form in ("jsonl", "parquet", "zip"):
        answer = client.get(at(version, "version-download", form))
        body = b"".join(answer.streaming_content)
        if form == "jsonl":
            assert sha256_hex(body) == version.manifest["rows_sha256"]
        elif form == "parquet":
            assert pq.read_table(io.BytesIO(body))["pair"].to_pylist() == [r.pair for r in records]
        else:
            names = zipfile.ZipFile(io.BytesIO(body)).namelist()
            assert {"README.md", "croissant.json", "manifest.json"} < set(names)
            assert len(names) == 9
    one = client.get(at(version, "version-file", version.files[2].name))
    assert sha256_hex(b"".join(one.streaming_content)) == version.files[2].stem
    assert client.get(at(version, "version-file", "other.parquet")).status_code == 404


def test_how_rows_lie_in_files_is_not_part_of_the_identity(
    commit: Any, records: Any, version: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = commit(records)
    monkeypatch.setattr(lib_records, "GROUP_ROWS", 4)
    monkeypatch.setattr(lib_records, "SHARD_ROWS", 8)
    assert commit(records, dataset="Third").digest == first.digest


def test_a_writer_that_goes_on_ends_as_one_that_was_never_stopped(
    small_files: None, records: Any, tmp_path: Path
) -> None:
    whole, again = tmp_path / "whole", tmp_path / "again"
    for folder in (whole, again):
        folder.mkdir()
    one = ShardWriter(whole)
    list(one.add_all(tables_of(records)))
    one.close()
    stopped = ShardWriter(again)
    list(stopped.add_all(tables_of(records[:21])))
    stopped.abandon()
    assert (again / ".partial").exists()
    other = ShardWriter(again)
    other.take_over(stopped.files)
    assert other.rows == 16
    list(other.add_all(tables_of(records[16:])))
    other.close()
    assert (other.files, other.rows_sha256) == (one.files, one.rows_sha256)


def test_the_difference_of_two_versions(
    small_files: None, commit: Any, records: Any, as_user: Any, owner: Any, monkeypatch: Any
) -> None:
    old = commit(records)
    turned = replace(records[3], chosen_side="b", chosen="x", rejected="y")
    moved = replace(records[5], split="test")
    new = commit([*records[1:3], turned, records[4], moved, *records[6:], make_record(99)])
    found = compare(old, new)
    assert found.counts == {
        "added": 1,
        "removed": 1,
        "relabelled": 1,
        "changed": 1,
        "same": 42,
    }
    (row,) = found.rows("relabelled", 0, 9)
    assert (row["old"]["chosen_side"], row["new"]["chosen_side"]) == ("a", "b")
    assert found.rows("added", 0, 9)[0]["old"] is None
    assert compare(new, old).counts["removed"] == 1
    assert compare(new, new).counts["same"] == len(records)
    monkeypatch.setattr(comparing, "_table", lambda version: pytest.fail("it is known already"))
    again = compare(*(DatasetVersion.objects.get(pk=one.pk) for one in (old, new)))
    assert again.counts == found.counts
    client = as_user(owner)
    page = client.get(at(new, "version-diff"), {"from": old.pk, "kind": "relabelled"})
    assert page.context["difference"].same == 42
    assert len(page.context["rows"]) == 1
    url = f"/api/v1/projects/{new.project.slug}/versions/{new.pk}/diff"
    body = client.get(url, {"from": old.pk, "kind": "removed"}).json()
    assert body["rows"][0]["old"]["pair"] == records[0].pair
    assert client.get(url).status_code == 400
    assert client.get(url, {"from": 999_999}).status_code == 404


def test_versions_of_single_votes_are_compared_vote_by_vote(commit: Any, records: Any) -> None:
    second = replace(records[0], votes=[{**records[0].votes[0], "judgment": "f" * 32}])
    old = commit([records[0], *records[1:]], aggregation="per_vote")
    new = commit([records[0], second, *records[1:]], aggregation="per_vote")
    assert compare(old, new).counts == {
        "added": 1,
        "removed": 0,
        "relabelled": 0,
        "changed": 0,
        "same": 45,
    }


def test_a_tag_moves_from_version_to_version_and_the_log_says_so(
    commit: Any, records: Any, as_user: Any, owner: Any
) -> None:
    first, second = commit(records), commit(records[1:])
    client = as_user(owner)
    client.post(at(first, "version-tag"), {"name": "paper"})
    assert [tag.name for tag in first.tags.all()] == ["paper"]
    url = f"/api/v1/projects/{first.project.slug}/versions"
    moved = client.post(f"{url}/{second.pk}/tags", {"name": "paper"})
    assert moved.status_code == 201
    assert not first.tags.exists()
    assert [one["name"] for one in client.get(f"{url}/{second.pk}/tags").json()] == ["paper"]
    told = AuditEvent.objects.filter(action="version.tag").order_by("pk").last()
    assert told is not None
    assert told.data["before"] == first.pk
    assert client.delete(f"{url}/{second.pk}/tags/paper").status_code == 204
    assert client.delete(f"{url}/{second.pk}/tags/paper").status_code == 404
    assert client.post(f"{url}/{second.pk}/tags", {"name": "7"}).status_code == 400


def test_notes_are_added(version: Any, as_user: Any, owner: Any) -> None:
    client = as_user(owner)
    client.post(at(version, "version-note"), {"text": "Too many short ones."})
    assert "Too many short ones." in client.get(version.get_absolute_url()).content.decode()
    url = f"/api/v1/projects/{version.project.slug}/versions/{version.pk}/notes"
    assert client.post(url, {"text": "And another."}).status_code == 201
    assert [one["text"] for one in client.get(url).json()] == [
        "Too many short ones.",
        "And another.",
    ]


def test_statistics_are_counted_from_the_rows(
    small_files: None, commit: Any, as_user: Any, owner: Any
) -> None:
    rows = [
        make_record(1, chosen="long one", rejected="short"),
        make_record(2, chosen="x", rejected="longer", agreement=0.6, strength=2.5),
        make_record(3, chosen="x", rejected="y", chosen_model="bad", rejected_model="good"),
        make_record(4, outcome="tie", agreement=0.5, strength=0.0),
    ]
    version = commit([*rows, *(make_record(n) for n in range(5, 10))])
    found = statistics(version)
    assert found["length"]["rows"] == 7
    assert found["length"]["longer"] == 1
    assert dict(found["agreement"])[0.6] == dict(found["agreement"])[0.5] == 1
    assert dict(found["strength"]) == {0.0: 0, 0.5: 0, 1.0: 7, 1.5: 0, 2.0: 0, 2.5: 1, 3.0: 0}
    assert found["wins"] == [["bad", "good", 1], ["good", "bad", 7]]
    assert found["annotators"] == [["rater", 9]]
    models, table = matrix(found)
    assert models == ["bad", "good"]
    assert dict(table)["good"][0] == (7, 8, 0.875)
    page = as_user(owner).get(at(version, "version-statistics")).content.decode()
    assert "87.5 %" in page
    url = f"/api/v1/projects/{version.project.slug}/versions/{version.pk}/statistics"
    assert as_user(owner).get(url).json()["wins"] == found["wins"]


def test_what_the_statistics_page_has_no_place_for_is_told(
    commit: Any, as_user: Any, owner: Any
) -> None:
    def voted(number: int) -> Any:
        vote = {"judgment": f"{number:032x}", "annotator": f"rater {number:02}", "kind": "person"}
        vote |= {"outcome": "a", "strength": -1}
        return make_record(number, votes=[vote], chosen_model=f"model {number:02}")

    version = commit([voted(number) for number in range(1, 34)])
    page = as_user(owner).get(at(version, "version-statistics")).content.decode()
    assert "19 more models with fewer rows are not in the table" in page
    assert "3 more annotators" in page
    assert "rater 33" in page


def test_a_card_is_what_the_hub_reads(version: Any, as_user: Any, owner: Any) -> None:
    import yaml

    text = readme(version)
    front = yaml.safe_load(text.split("---")[1])
    assert front["pretty_name"] == "Preferences v1"
    assert front["size_categories"] == ["n<1K"]
    assert front["configs"][0]["data_files"][0]["path"] == "data/*.parquet"
    assert version.digest in text
    assert "Votes of people count." in text
    assert text.encode() == as_user(owner).get(at(version, "version-card")).content


def test_the_card_names_the_licence_that_the_project_says(
    version: Any, as_user: Any, owner: Any
) -> None:
    client, project = as_user(owner), f"/api/v1/projects/{version.project.slug}"
    folder = f"{project}/versions/{version.pk}/rows.zip"
    before = client.get(folder)["ETag"]
    assert "license: unknown" in readme(version)

    def change(license: str) -> Any:
        return client.patch(project, {"license": license}, content_type="application/json")

    assert change("all mine\nreally").json()["field"] == "license"
    assert change("CC-BY-4.0").json()["license"] == "cc-by-4.0", "as the hub names it"
    body = client.get(f"{project}/versions/{version.pk}/card").json()
    assert "\nlicense: cc-by-4.0\n" in body["readme"]
    assert body["croissant"]["license"] == "cc-by-4.0"
    assert client.get(folder)["ETag"] != before, "the folder has another card"


def test_croissant_metadata_has_what_the_standard_asks_for(
    version: Any, as_user: Any, owner: Any
) -> None:
    found = json.loads(as_user(owner).get(at(version, "version-croissant")).content)
    assert found["conformsTo"] == "http://mlcommons.org/croissant/1.0"
    for key in ("@context", "@type", "name", "description", "license", "url", "distribution"):
        assert found[key], key
    files = [one for one in found["distribution"] if one["@type"] == "cr:FileObject"]
    assert [one["sha256"] for one in files] == [path.stem for path in version.files]
    ids = {one["@id"] for one in found["distribution"]}
    (rows,) = found["recordSet"]
    assert [field["name"] for field in rows["field"]] == list(COLUMNS)
    for field in rows["field"]:
        assert field["dataType"] if "subField" not in field else field["subField"]
        source = field.get("source") or field["subField"][0]["source"]
        assert source["fileSet"]["@id"] in ids
    assert {one["encodingFormat"] for one in found["distribution"]} == {"application/x-parquet"}
    assert croissant(version)["version"] == "1.0.0"


def test_rows_are_searched_and_filtered(
    small_files: None, commit: Any, as_user: Any, owner: Any
) -> None:
    said = [{"annotator": "rater", "text": "Nearer the MARK", "tags": [], "evidence": []}]
    version = commit(
        [
            make_record(1, category="maths", agreement=0.5),
            make_record(2, chosen="A zebra.", split="test"),
            make_record(3, rationales=said, rejected_model="worse"),
            *(make_record(n) for n in range(4, 12)),
        ]
    )

    def found(**asked: Any) -> list[int]:
        return [int(row["pair"], 16) for row in search(version, RowFilter(**asked))]

    assert found(q="ZEBRA") == [2]
    assert found(q="the mark") == [3]
    assert found(q="what is 11 + 11") == [11]
    assert found(q="nothing says this") == []
    assert found(q="zebra what") == [2]
    assert found(q="mark 3 know nearer") == [3]
    assert found(q='"the mark" "what is"') == [3]
    assert found(q='"mark the"') == []
    assert found(q='"') == []
    assert found(category="maths") == [1]
    assert found(agreement=0.6) == [1]
    assert found(model="worse") == [3]
    assert found(split="test") == [2]
    assert found(split="test", category="maths") == []
    client = as_user(owner)
    page = client.get(version.get_absolute_url(), {"q": "zebra"})
    assert [row["chosen"] for row in page.context["page"]] == ["A zebra."]
    url = f"/api/v1/projects/{version.project.slug}/versions/{version.pk}/rows"
    assert client.get(url, {"q": "zebra"}).json()["count"] == 1
    assert client.get(url, {"agreement": "0.6"}).json()["count"] == 1
    assert client.get(url, {"agreement": "2"}).status_code == 400


def test_lineage_is_asked_of_the_files(
    small_files: None, commit: Any, records: Any, as_user: Any, owner: Any
) -> None:
    first, second = commit(records), commit(records[1:])
    project = first.project
    held = versions_with_pair(project=project, key=records[0].pair)
    assert held == [(first, 0)]
    assert versions_with_pair(project=project, key=records[9].pair) == [(second, 8), (first, 9)]
    assert versions_with_pair(project=project, key="0" * 64) == []
    votes = [bytes.fromhex(one.votes[0]["judgment"]) for one in records[:3]]
    found = versions_with_votes(project=project, votes=votes, annotator="rater")
    assert [(one.version, one.votes, one.rows) for one in found] == [(second, 2, 2), (first, 3, 3)]
    assert versions_with_votes(project=project, votes=votes, annotator="scorer") == []
    url = reverse("registry:versions-of-pair", args=[project.slug, records[0].pair])
    assert first.get_absolute_url() in as_user(owner).get(url).content.decode()


def test_only_the_projects_staff_is_told(
    version: Any, as_user: Any, member: Any, stranger: Any
) -> None:
    slug, pk = version.project.slug, version.pk
    api = f"/api/v1/projects/{slug}/versions/{pk}"
    asked = [
        *(at(version, f"version-{name}") for name in ("statistics", "diff", "card", "croissant")),
        at(version, "version-file", version.files[0].name),
        reverse("registry:versions-of-pair", args=[slug, "0" * 64]),
        *(f"{api}/{name}" for name in ("diff", "statistics", "card", "tags", "notes")),
        f"{api}/files/{version.files[0].name}",
    ]
    for user in (member, stranger):
        client = as_user(user)
        for url in asked:
            query = {"from": pk} if url.endswith("diff") else {}
            assert client.get(url, query).status_code == 404, url
        for name in ("version-tag", "version-note"):
            assert client.post(at(version, name), {"name": "x", "text": "x"}).status_code == 404
        assert client.post(f"{api}/tags", {"name": "x"}).status_code == 404
        assert client.post(f"{api}/notes", {"text": "x"}).status_code == 404
        assert client.delete(f"{api}/tags/x").status_code == 404


def test_files_that_are_lost_are_said_to_be(version: Any, as_user: Any, owner: Any) -> None:
    version.files[0].unlink()
    client = as_user(owner)
    for name in ("version-statistics", "version-diff"):
        assert client.get(at(version, name)).status_code == 200
    api = f"/api/v1/projects/{version.project.slug}/versions/{version.pk}"
    for name in ("rows", "statistics", "card"):
        assert client.get(f"{api}/{name}").status_code == 410, name
