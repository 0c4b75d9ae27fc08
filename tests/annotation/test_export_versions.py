"""A version goes out in every form it can take, with what was left out told; to nobody else."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from PIL import Image

from annotation import formats
from annotation.models import Judgment, Pair
from annotation.recipe import Recipe
from annotation.services import transfer
from annotation.services.versions import publish_version
from annotation.transfer.outgoing import Order, containers_of
from steelyard.lib.errors import UserError
from steelyard.lib.said import coded
from steelyard.runs import said as saying
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)
Browse = Callable[[Any], Client]


def frozen(project: Any, n: int = 12, **said: Any) -> Any:
    person = factories.make_annotator(project, "rater")
    for number in range(n):
        factories.make_judgment(factories.make_pair(project), "ab"[number % 2], annotator=person)
    factories.make_judgment(factories.make_pair(project), "tie", annotator=person)
    recipe = Recipe(**{"ties": "keep", **said})
    return publish_version(project=project, dataset_name="All", recipe=recipe, by=None)


@pytest.fixture
def version(project: Any) -> Any:
    return frozen(project)


def out(version: Any, name: str = "trl_preference", **said: Any) -> Any:
    background = said.pop("background", False)
    return transfer.start_export(
        version=version, order=Order(name, **said), by=None, background=background
    )


def file_of(run: Any) -> Path:
    return run.dir.path / "files" / run.result["files"][0]["name"]


def test_it_works(version: Any) -> None:
    run = out(version)
    lines = [json.loads(line) for line in file_of(run).read_text().splitlines()]
    assert (run.state, len(lines), run.result["rows"]) == ("succeeded", 12, 12)
    assert set(lines[0]) >= {"prompt", "chosen", "rejected"}
    assert sum(run.result["left_out"].values()) == 1
    assert json.loads((run.dir.path / "export.json").read_text())["rows"] == 12


def test_in_the_background_it_is_the_same_bytes(version: Any, settle: Any) -> None:
    run = settle(out(version, background=True))
    assert run.state == "succeeded", run.error
    assert file_of(run).read_bytes() == file_of(out(version)).read_bytes()
    assert run.result["files"][0]["sha256"] == out(version).result["files"][0]["sha256"]


@pytest.mark.parametrize("name", [n for n, f in formats.FORMATS.items() if f.writes])
def test_every_format_can_be_written_in_all_its_containers_and_comes_back_the_same(
    version: Any, name: str
) -> None:
    format = formats.get(name)
    if "text" not in format.modalities:
        pytest.skip("it holds no texts")
    for container in containers_of(format, version):
        run = out(version, name, container=container)
        assert run.result["rows"] > 0
        if not format.reads:
            continue
        other = factories.make_project()
        path = file_of(run)
        upload = transfer.receive(
            project=other, name=path.name, data=io.BytesIO(path.read_bytes()), by=None
        )
        back = transfer.start_import(
            project=other, upload=upload, said={"format": name}, by=None, background=False
        )
        assert back.state == "succeeded", (container, back.error)
        assert back.result["pairs"] >= 12


@pytest.mark.parametrize("name", ["trl_preference", "steelyard_pairs", "arena_33k"])
def test_halves_of_ties_are_left_out_where_no_weight_can_be_said(project: Any, name: str) -> None:
    version = frozen(project, ties="half")
    run = out(version, name)
    assert version.counts["rows"] == 14
    assert run.result["rows"] == 12
    assert run.result["left_out"] == {"half of a tie, and the format has no weights": 2}


@pytest.mark.parametrize(
    "name", ["arena_55k", "arena_140k", "helpsteer2_preference", "helpsteer3_preference"]
)
@pytest.mark.parametrize("aggregation", ["majority", "per_vote"])
def test_votes_without_names_come_back_as_several_annotators_of_a_pair(
    project: Any, name: str, aggregation: str
) -> None:
    raters = [factories.make_annotator(project, f"rater {number}") for number in range(3)]
    for _ in range(2):
        pair = factories.make_pair(project)
        for rater, side in zip(raters, "aab", strict=True):
            factories.make_judgment(pair, side, annotator=rater)
    recipe = Recipe(aggregation=aggregation, test_fraction=0)
    version = publish_version(project=project, dataset_name="All", recipe=recipe, by=None)
    data = file_of(out(version, name, container="jsonl")).read_bytes()
    other = factories.make_project()
    for new in (6, 0):
        upload = transfer.receive(project=other, name="a.jsonl", data=io.BytesIO(data), by=None)
        said = {"format": name}
        back = transfer.start_import(
            project=other, upload=upload, said=said, by=None, background=False
        )
        assert (back.state, back.error, back.result["judgments"]) == ("succeeded", "", new)
    assert Pair.objects.filter(project=other).count() == 2
    votes = Judgment.objects.filter(project=other)
    assert votes.values("annotator").distinct().count() == 3
    cast = Counter(votes.values_list("pair", "outcome"))
    assert sorted(cast.values()) == [1, 1, 2, 2]


def test_one_split_alone(version: Any) -> None:
    counts = version.counts
    assert out(version, split="train").result["records"] == counts["train"]
    if counts["test"]:
        assert out(version, split="test").result["records"] == counts["test"]


def test_a_folder_is_what_datasets_reads_with_its_card(
    version: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    run = out(version, container="folder")
    with zipfile.ZipFile(file_of(run)) as archive:
        names = set(archive.namelist())
        archive.extractall(tmp_path / "set")
    assert {"README.md", "export.json", "data/train.parquet"} <= names
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    from datasets import load_dataset

    found = load_dataset(str(tmp_path / "set"), cache_dir=str(tmp_path / "cache"))
    assert sum(len(split) for split in found.values()) == 12
    assert "chosen" in found["train"].column_names


def picture(color: tuple[int, int, int]) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (16, 16), color).save(stream, "PNG")
    return stream.getvalue()


def pictures(n: int = 2) -> Any:
    from steelyard.assets.services import store_upload

    project = factories.make_project(modality="image")
    person = factories.make_annotator(project, "rater")
    for number in range(n):
        prompt = factories.make_prompt(project)
        sides = []
        for side in (1, 2):
            asset = store_upload(project=project, data=picture((10 * number, 100 * side, 7)))
            sides.append(factories.make_output(prompt, "", asset=asset))
        from annotation.services.material import add_pair

        pair, _ = add_pair(first=sides[0], second=sides[1])
        factories.make_judgment(pair, "a", annotator=person)
    return publish_version(project=project, dataset_name="Looks", recipe=Recipe(), by=None)


def test_media_go_out_in_parquet_in_a_folder_and_as_webdataset() -> None:
    version = pictures()
    run = out(version, "mapped", container="webdataset")
    with tarfile.open(run.dir.path / "files" / run.result["files"][0]["name"]) as tar:
        names = tar.getnames()
    assert len([name for name in names if name.endswith(".png")]) == 4
    assert len([name for name in names if name.endswith(".json")]) == 2
    assert run.result["files"][-1]["name"] == "export.json"
    assert "jsonl" not in containers_of(formats.get("mapped"), version)
    assert out(version, "mapped", container="folder").result["rows"] == 2


def test_what_cannot_be_written_is_told(version: Any) -> None:
    with pytest.raises(UserError, match="can be read, not written"):
        out(version, "oasst_messages")
    with pytest.raises(UserError, match="cannot lie in"):
        out(version, container="csv")
    with pytest.raises(UserError, match="must be one of"):
        out(version, options={"shape": "round"})


def test_what_a_request_is_refused_is_told_in_its_language(
    version: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saying, "gettext", lambda text: "Nicht in %(container)s.")
    with pytest.raises(UserError) as caught:
        out(version, container="csv")
    assert caught.value.message == "Nicht in csv."
    assert coded(caught.value.message)["code"] == caught.value.code == "bad_container"


def test_a_part_without_rows_is_told(project: Any) -> None:
    version = frozen(project, 2, test_fraction=0.0)
    with pytest.raises(UserError, match="No row of"):
        out(version, split="test")


def test_rows_that_are_lost_are_told(version: Any) -> None:
    version.parquet.unlink()
    with pytest.raises(UserError, match="not on this server's disk"):
        out(version)


def test_the_owner_exports_by_page_and_downloads_in_parts(
    version: Any, owner: Any, as_user: Browse
) -> None:
    client, slug = as_user(owner), version.project.slug
    page = reverse("annotation:export-new", args=[slug, version.pk])
    assert "TRL preference" in client.get(page).content.decode()
    said = {"container": "jsonl", "split": "all"}
    said |= {f"option_{one.name}": one.default for one in formats.get("trl_preference").options}
    answer = client.post(f"{page}?format=trl_preference", said, follow=True)
    assert answer.redirect_chain, answer.context["form"].errors
    run = version.project.runs.get(kind="export")
    part = client.get(reverse("annotation:export-of-run", args=[slug, run.pk])).content.decode()
    assert "a tie has no chosen answer" in part.lower()
    url = reverse("annotation:export-file", args=[slug, run.pk, file_of(run).name])
    assert url in part
    whole = client.get(url).getvalue()
    assert whole == file_of(run).read_bytes()
    some = client.get(url, headers={"Range": "bytes=5-9"})
    assert (some.status_code, some.getvalue()) == (206, whole[5:10])


@pytest.mark.parametrize("who", ["member", "stranger"])
def test_nobody_else_exports_or_downloads(
    version: Any, as_user: Browse, request: Any, who: str
) -> None:
    client, slug = as_user(request.getfixturevalue(who)), version.project.slug
    run = out(version)
    name = file_of(run).name
    pages = [
        reverse("annotation:export-new", args=[slug, version.pk]),
        reverse("annotation:export-of-run", args=[slug, run.pk]),
        reverse("annotation:export-file", args=[slug, run.pk, name]),
        f"/api/v1/projects/{slug}/exports/{run.pk}",
        f"/api/v1/projects/{slug}/exports/{run.pk}/files/{name}",
    ]
    assert [client.get(page).status_code for page in pages] == [404] * len(pages)
    api = f"/api/v1/projects/{slug}/versions/{version.pk}/exports"
    asked = client.post(api, {"format": "trl_preference"}, content_type="application/json")
    assert asked.status_code == 404


def test_the_api_exports_and_tells_what_was_left_out(
    version: Any, owner: Any, as_user: Browse
) -> None:
    client, slug = as_user(owner), version.project.slug
    api = f"/api/v1/projects/{slug}/versions/{version.pk}/exports"
    answer = client.post(api, {"format": "trl_preference"}, content_type="application/json")
    said = answer.json()
    assert (answer.status_code, said["rows"], sum(said["left_out"].values())) == (201, 12, 1)
    assert said["ties"]
    assert said["cannot_carry"]
    again = f"/api/v1/projects/{slug}/exports/{said['run']['id']}"
    assert client.get(again).json() == said
    file = client.get(f"{again}/files/{said['files'][0]['name']}")
    assert len(file.getvalue().splitlines()) == 12
    assert client.get(f"{again}/files/export.json").status_code == 404
    wrong = client.post(api, {"format": "nothing"}, content_type="application/json")
    assert wrong.status_code == 400
    assert "must be one of steelyard_pairs, trl_preference" in wrong.json()["fields"]["format"][0]
    wrong = client.post(api, {"format": "mapped", "split": "dev"}, content_type="application/json")
    assert wrong.json()["fields"]["split"] == [
        '"dev" is none of the choices; it must be one of all, train, test.'
    ]


def test_the_formats_are_listed(owner: Any, as_user: Browse) -> None:
    found = as_user(owner).get("/api/v1/formats").json()
    assert {each["name"] for each in found} == set(formats.FORMATS)


def test_the_command_writes_the_files_and_what_was_left_out(
    version: Any, tmp_path: Path, capsys: Any
) -> None:
    name = f"{version.dataset.slug}/{version.number}"
    where = str(tmp_path / "out")
    call_command("export_version", version.project.slug, name, "trl_preference", where)
    said = capsys.readouterr().out
    assert "12 rows" in said
    assert "1 left out" in said
    files = list((tmp_path / "out").iterdir())
    assert len(files[0].read_text().splitlines()) == 12
    other = factories.make_project()
    call_command("import_file", other.slug, str(files[0]))
    assert "new are 12 prompts, 12 pairs and 12 judgments" in capsys.readouterr().out
    with pytest.raises(CommandError, match="no version"):
        call_command("export_version", version.project.slug, "x/9", "trl_preference", where)
    with pytest.raises(CommandError, match="no project"):
        call_command("import_file", "nowhere", str(files[0]))


@pytest.mark.parametrize(
    ("form", "aggregation"), [("parquet", "per_vote"), ("jsonl", "majority"), ("zip", "majority")]
)
def test_a_versions_own_download_comes_in_as_it_was_voted(
    project: Any, owner: Any, as_user: Browse, form: str, aggregation: str
) -> None:
    rater, robot = (factories.make_annotator(project, name) for name in ("rater", "scorer"))
    for outcome, other in (("a", "b"), ("tie", "a"), ("both_bad", "both_bad"), ("b", "b")):
        pair = factories.make_pair(project)
        factories.make_judgment(pair, outcome, annotator=rater)
        factories.make_judgment(pair, other, annotator=robot)
    recipe = Recipe(ties="keep", both_bad="keep", aggregation=aggregation, test_fraction=0)
    version = publish_version(project=project, dataset_name="All", recipe=recipe, by=None)
    address = reverse("registry:version-download", args=[project.slug, version.pk, form])
    data = b"".join(as_user(owner).get(address).streaming_content)  # type: ignore[attr-defined]
    other_project = factories.make_project()
    run = transfer.start_import(
        project=other_project,
        upload=transfer.receive(
            project=other_project, name=f"rows.{form}", data=io.BytesIO(data), by=None
        ),
        said={},
        by=None,
        background=False,
    )
    assert (run.error, run.spec["asked"]["format"]) == ("", "steelyard_version")
    names = ("pair__key", "annotator__name", "annotator__kind", "outcome", "strength")
    here, there = (
        sorted(Judgment.objects.filter(pair__project=p).values_list(*names))
        for p in (project, other_project)
    )
    assert here == there
    assert len(there) == 8
