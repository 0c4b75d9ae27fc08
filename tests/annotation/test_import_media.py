"""Prompts about pictures, pairs of files in bulk, known answers: brought in by page and API."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.urls import reverse

from annotation.formats import packed as archives
from annotation.keys import prompt_key
from annotation.models import Judgment, Pair, Prompt
from annotation.recipe import Recipe
from annotation.services.material import add_pair
from annotation.services.versions import preview, publish_version
from steelyard.assets.models import Asset
from steelyard.assets.services import store_upload
from steelyard.lib.hashing import digest_of
from steelyard.lib.records import read_parquet
from tests import factories
from tests.api_client import Api
from tests.assets.media import picture, video

pytestmark = pytest.mark.django_db
MESSAGES = [{"role": "user", "content": "What is in it?"}]


@pytest.fixture
def staff(owner: Any, project: Any) -> Api:
    return Api(owner, project)


def asset_of(project: Any, width: int = 32, **options: Any) -> Asset:
    return store_upload(project=project, data=picture(width=width, **options))


def packed(lines: list[dict[str, Any]] | bytes, files: dict[str, bytes], **more: Any) -> bytes:
    stream = io.BytesIO()
    said = lines if isinstance(lines, bytes) else "\n".join(map(json.dumps, lines)).encode()
    with zipfile.ZipFile(stream, "w", **more) as archive:
        archive.writestr("set/pairs.jsonl", said)
        for name, data in files.items():
            archive.writestr(name, data)
    return stream.getvalue()


def send(api: Api, data: bytes, kind: str = "pairs", name: str = "pairs.zip") -> Any:
    return api.client.post(
        api.root + "import", {"kind": kind, "file": SimpleUploadedFile(name, data)}
    )


def test_a_prompt_without_media_has_the_key_it_always_had() -> None:
    assert prompt_key(MESSAGES) == prompt_key(MESSAGES, []) == digest_of(MESSAGES)
    one, other = prompt_key(MESSAGES, ["a" * 64]), prompt_key(MESSAGES, ["b" * 64])
    assert len({one, other, prompt_key(MESSAGES)}) == 3


def test_a_pair_about_a_picture_comes_in_and_is_frozen_with_it(project: Any, staff: Api) -> None:
    asset = asset_of(project)
    said = {
        "messages": MESSAGES,
        "media": [asset.sha256],
        "first": {"model": "small", "text": "A cat."},
        "second": {"model": "large", "text": "A gradient."},
    }

    first, again = (staff.post("pairs", said) for _ in range(2))

    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["prompt"]["media"] == [asset.sha256]
    pair = Pair.objects.get()
    assert [one.url for one in pair.prompt.assets] == [asset.url]
    factories.make_judgment(pair, "a")
    recipe = Recipe(test_fraction=0.0)
    version = publish_version(project=project, dataset_name="Seen", recipe=recipe, by=None)
    (row,) = read_parquet(version.parquet)
    assert row.prompt_media == [asset.sha256]
    assert version.manifest["media"] == [asset.sha256]


def test_a_file_of_another_project_is_not_there(project: Any, staff: Api) -> None:
    theirs = asset_of(factories.make_project())

    prompt = staff.post("prompts", {"messages": MESSAGES, "media": [theirs.sha256]})
    wrong = staff.post("prompts", {"messages": MESSAGES, "media": ["../../etc/passwd"]})
    line = {"prompt": "Why?", "a": "x", "b": "y", "media": [theirs.sha256]}
    lines = staff.post("import", {"kind": "pairs", "text": json.dumps(line)})

    assert (prompt.status_code, prompt.json()["field"]) == (400, "media")
    assert wrong.status_code == 400
    assert (lines.status_code, lines.json()["code"]) == (400, "unknown_asset")
    assert "Line 1" in lines.json()["message"]
    assert not Prompt.objects.exists()


def test_staff_see_what_a_prompt_is_about(
    project: Any, owner: Any, as_user: Any, django_assert_max_num_queries: Any
) -> None:
    assets = [asset_of(project, 10 + n) for n in range(6)]
    for asset in assets:
        factories.make_prompt(project, "What is it?", media=[asset.sha256])
    pair = factories.make_pair(project, prompt=Prompt.objects.first())
    client = as_user(owner)
    with django_assert_max_num_queries(20):
        listed = client.get(reverse("annotation:prompt-list", args=[project.slug]))
    shown = client.get(reverse("annotation:pair-detail", args=[project.slug, pair.pk]))

    assert all(asset.preview_url in listed.content.decode() for asset in assets)
    assert assets[0].preview_url in shown.content.decode()


@pytest.mark.parametrize("known", ["a", "b", "tie"])
def test_a_known_answer_is_turned_to_the_pairs_own_sides(
    project: Any, staff: Api, known: str
) -> None:
    for first, second in (("One.", "Two."), ("Four.", "Three."), ("Six.", "Five.")):
        said = {
            "messages": MESSAGES,
            "first": {"model": "small", "text": first},
            "second": {"model": "large", "text": second},
            "known": {"outcome": known, "reason": "It is so."},
        }
        line = {"prompt": f"And {first}", "a": first, "b": second, "known": said["known"]}
        answer = staff.post("pairs", said).json()
        assert staff.post("import", {"kind": "pairs", "text": json.dumps(line)}).status_code == 200
        for pair in (Pair.objects.get(pk=answer["id"]), Pair.objects.latest("pk")):
            right = {"a": pair.output_a.text, "b": pair.output_b.text}.get(pair.known_outcome)
            assert right == {"a": first, "b": second}.get(known)
            assert (pair.known_reason, pair.is_training) == ("It is so.", False)
            called_first = {"a": pair.output_a.text, "b": pair.output_b.text}[pair.known_first]
            assert called_first == first


def test_a_training_pair_is_outside_queue_and_versions(project: Any, staff: Api) -> None:
    line = {"prompt": "Why?", "a": "x", "b": "y", "training": True}
    bare = staff.post("import", {"kind": "pairs", "text": json.dumps(line)})
    line["known"] = {"outcome": "a", "reason": "b is no answer."}
    done = staff.post("import", {"kind": "pairs", "text": json.dumps(line)})
    voted = json.dumps({**line, "outcome": "a", "annotator": "rater"})
    refused = staff.post("import", {"kind": "pairs", "text": voted})
    del line["training"], line["known"]
    other_use = staff.post("import", {"kind": "pairs", "text": json.dumps(line)})

    assert (bare.status_code, done.status_code) == (400, 200)
    assert "right answer" in bare.json()["message"]
    assert "no votes" in refused.json()["message"]
    assert other_use.json()["code"] == "pair_in_use"
    pair = Pair.objects.get()
    assert pair.is_training
    assert not Pair.objects.open().exists()
    factories.make_judgment(pair, "a")
    assert preview(project=project, recipe=Recipe()).passed_over == {}


def test_a_right_answer_is_added_once_and_not_contradicted(project: Any, staff: Api) -> None:
    def bring(**more: Any) -> Any:
        line = {"prompt": "Why?", "a": "x", "b": "y", **more}
        return staff.post("import", {"kind": "pairs", "text": json.dumps(line)})

    assert bring().status_code == 200
    assert bring(known={"outcome": "a"}).status_code == 200
    assert bring(known={"outcome": "a"}).status_code == 200
    contradicted = bring(known={"outcome": "tie"})

    assert Pair.objects.get().known_outcome in {"a", "b"}
    assert (contradicted.status_code, contradicted.json()["code"]) == (400, "known_otherwise")
    for wrong in ({"outcome": "skip"}, {"outcome": "a", "why": "x"}, "a", {}):
        assert bring(known=wrong).status_code == 400
    assert bring(training="yes").status_code == 400


def test_a_pair_taken_out_is_not_frozen(project: Any) -> None:
    kept, closed = factories.make_pair(project), factories.make_pair(project)
    for pair in (kept, closed):
        factories.make_judgment(pair, "a")
    Pair.objects.filter(pk=closed.pk).update(closed=True)

    found = preview(project=project, recipe=Recipe(test_fraction=0.0))

    assert found.counts["rows"] == 1
    assert found.passed_over == {"closed": 1}


def test_evidence_and_segments_are_frozen_with_the_side_that_won() -> None:
    project = factories.make_project(modality="video")
    clips = [store_upload(project=project, data=video(frames=n)) for n in (6, 12)]
    prompt = factories.make_prompt(project)
    outputs = [factories.make_output(prompt, "", asset=clip) for clip in clips]
    pair, _ = add_pair(first=outputs[0], second=outputs[1], wanted=2)
    evidence = [{"side": "a", "kind": "time", "start": 0, "end": 0.4, "note": "it jumps"}]
    segments = [
        {"start": 0, "end": 0.25, "outcome": "b", "strength": 1},
        {"start": 0.25, "end": 0.5, "outcome": "tie", "strength": 0},
    ]
    judgment = factories.make_judgment(pair, "b", evidence=evidence, segments=segments)
    recipe = Recipe(test_fraction=0.0)

    version = publish_version(project=project, dataset_name="Clips", recipe=recipe, by=None)

    (row,) = read_parquet(version.parquet)
    (rationale,) = row.rationales
    assert rationale["evidence"] == [{**evidence[0], "answer": "rejected"}]
    who = {"judgment": str(judgment.uuid), "annotator": judgment.annotator.name}
    assert row.segments == [
        {**segments[0], **who, "better": "chosen"},
        {**segments[1], **who, "better": "tie"},
    ]


def test_an_archive_brings_lines_and_pictures(owner: Any, as_user: Any) -> None:
    project = factories.make_project(modality="image")
    api = Api(factories.make_user("owner-too", project=project, role="admin"), project)
    known = asset_of(project, 40)
    files = {"set/kites/1.png": picture(width=20), "set/kites/2.png": picture(width=22)}
    lines = [
        {"prompt": "A kite", "media_a": "kites/1.png", "media_b": "./kites/2.png"},
        {"prompt": "A kite", "media_a": "set/kites/1.png", "media_b": known.sha256},
        {
            "prompt": "As here",
            "media": "kites/2.png",
            "media_a": known.sha256,
            "media_b": "kites/1.png",
        },
    ]
    data = packed(lines, files, compression=zipfile.ZIP_DEFLATED)

    first, again = send(api, data), send(api, data)

    assert first.status_code == 200, first.content
    assert (first.json()["pairs"], again.json()["pairs"]) == (3, 0)
    assert Asset.objects.filter(project=project).count() == 3
    about = Prompt.objects.exclude(media=[]).get()
    assert [asset.width for asset in about.assets] == [22]
    page = as_user(factories.make_user("another", project=project, role="admin"))
    answer = page.post(
        reverse("annotation:import", args=[project.slug]),
        {"kind": "pairs", "file": SimpleUploadedFile("x.zip", data)},
        follow=True,
    )
    assert "3 lines read. New: 0 pairs" in answer.content.decode()


LINE = {"prompt": "A kite", "media_a": "1.png", "media_b": "2.png"}
GOOD = {"1.png": picture(width=20), "2.png": picture(width=22)}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (packed([LINE], {"1.png": GOOD["1.png"]}), "no file “2.png”"),
        (packed([{**LINE, "media_a": "../../etc/passwd"}], GOOD), "no file “../../etc/passwd”"),
        (packed([{**LINE, "media_a": "/etc/passwd"}], GOOD), "no file “/etc/passwd”"),
        (packed([LINE], {**GOOD, "2.png": b"%PDF-1.7"}), "2.png: This file is a PDF"),
        (packed([LINE], {**GOOD, "2.png": b""}), "2.png: This file is empty"),
        (packed([LINE], {**GOOD, "2.png": video()}), "compares pictures"),
        (packed([LINE], {**GOOD, "more.jsonl": b"{}"}), "one file of lines"),
        (packed([{"prompt": "A kite", "a": "x", "b": "y"}], GOOD), "compares pictures"),
        (packed([{**LINE, "media_b": "1.png"}], GOOD), "same file"),
        (packed([{"prompt": "A kite", "media_a": "1.png"}], GOOD), "go together"),
        (packed([LINE], GOOD)[:-30], "cut off or damaged"),
        (packed([LINE], GOOD).replace(b"IDAT", b"IDAX"), "cannot be unpacked"),
        (packed([LINE], GOOD).replace(b"PK\x01\x02", b"PK\x09\x09"), "damaged"),
        (b"PK\x03\x04" + b"\x00" * 50, "cut off or damaged"),
        (b"PK\x05\x06" + b"\xff" * 18, "more than 50,000 files"),
    ],
)
def test_a_wrong_archive_is_refused_and_nothing_is_kept(data: bytes, said: str) -> None:
    project = factories.make_project(modality="image")
    api = Api(factories.make_user(project=project, role="admin"), project)

    answer = send(api, data)

    assert answer.status_code == 400
    assert said in answer.json()["message"]
    assert not Asset.objects.exists()
    assert not Pair.objects.exists()


def test_an_archive_that_unpacks_to_too_much_is_stopped(
    project: Any, staff: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "MAX_UNPACKED", 10_000_000)
    many = b'{"prompt": "Why?", "a": "' + b"x" * 20_000_000 + b'", "b": "y"}'

    answer = send(staff, packed(many, {}, compression=zipfile.ZIP_DEFLATED))

    assert (answer.status_code, answer.json()["code"]) == (400, "too_large")


def test_held_out_prompts_may_be_about_pictures(project: Any, staff: Api) -> None:
    data = packed([{"prompt": "What is it?", "media": ["1.png"]}], GOOD)

    assert send(staff, data, kind="held_out").json()["prompts"] == 1
    prompt = Prompt.objects.get()
    assert prompt.held_out
    assert [asset.width for asset in prompt.assets] == [20]


def test_only_staff_bring_archives_in(project: Any, member: Any, stranger: Any) -> None:
    for user in (member, stranger):
        assert send(Api(user, project), packed([LINE], GOOD)).status_code == 404
    assert not Asset.objects.exists()


def test_a_crowds_training_pairs_and_guidelines_come_in(project: Any, tmp_path: Any) -> None:
    def write(name: str, *rows: dict[str, Any]) -> None:
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))

    one = {
        "id": 1,
        "text": "Why?",
        "type": "sums",
        "model_x": 7,
        "result_x": "So.",
        "model_y": 8,
        "result_y": "Thus.",
    }
    write("models.jsonl", {"id": 7, "name": "seven"}, {"id": 8, "name": "eight"})
    write("pairs-crowd.jsonl", one)
    golden = {**one, "id": -1, "result_x": "No.", "golden": "right", "reason": "B answers."}
    write("pairs-crowd-training.jsonl", golden)
    (tmp_path / "crowd-comparisons.csv").write_text("id,worker,winner\n1,3,left\n")
    (tmp_path / "crowd-instruction.md").write_text("# Which is better?\n")

    for _ in range(2):
        call_command("import_llmfao", project.slug, str(tmp_path))

    training = Pair.objects.get(is_training=True)
    right = training.output_a if training.known_outcome == "a" else training.output_b
    assert (right.text, training.known_reason) == ("Thus.", "B answers.")
    assert training.known_first == ("b" if training.known_outcome == "a" else "a")
    assert Pair.objects.filter(is_training=False).count() == Judgment.objects.count() == 1
    project.refresh_from_db()
    assert project.guidelines == "# Which is better?"
