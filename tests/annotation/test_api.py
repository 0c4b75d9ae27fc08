"""The room's API, as a client with a token meets it."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from PIL import Image

from annotation.models import Assignment, Judgment, Pair
from steelyard.assets.services import store_upload
from tests import factories
from tests.api_client import Api


@pytest.fixture
def staff(owner: Any, project: Any) -> Api:
    return Api(owner, project)


@pytest.fixture
def annotator(member: Any, project: Any) -> Api:
    return Api(member, project)


def messages(text: str = "Why?") -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


@pytest.mark.parametrize("swapped", [False, True])
def test_a_pair_is_leased_and_judged(project: Any, annotator: Api, swapped: bool) -> None:
    pair = factories.make_pair(project, models=("secret-one", "secret-two"))
    annotator.get("next")
    Assignment.objects.update(swapped=swapped)
    answer = annotator.get("next")
    lease = answer.json()
    assert answer.status_code == 200
    assert "secret-" not in answer.content.decode()
    assert lease["pair"] == pair.pk
    assert lease["prompt"]["messages"] == pair.prompt.messages
    assert [output["side"] for output in lease["outputs"]] == (
        ["b", "a"] if swapped else ["a", "b"]
    )
    texts = {output["side"]: output["text"] for output in lease["outputs"]}
    assert texts == {"a": pair.output_a.text, "b": pair.output_b.text}
    assert lease["scheme"]["tie"] is True

    said = {"uuid": str(uuid4()), "pair": pair.pk, "outcome": "b", "strength": 2, "tags": ["clear"]}
    first, again = (annotator.post("judgments", said) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    other = annotator.post("judgments", {**said, "outcome": "a", "strength": -1})
    assert (other.status_code, other.json()["code"]) == (409, "uuid_taken")
    second = annotator.post("judgments", {**said, "uuid": str(uuid4())})
    assert (second.status_code, second.json()["code"]) == (409, "already_judged")
    judgment = Judgment.objects.get()
    assert (judgment.outcome, judgment.strength) == ("b", 2)
    assert judgment.swapped is swapped
    assert annotator.get("next").status_code == 204
    assert annotator.get("progress").json() == {
        "done": 1,
        "left": 0,
        "total": 1,
        "quota": None,
    }


@pytest.mark.django_db
def test_a_picture_is_given_by_its_hash() -> None:
    project = factories.make_project(modality="image")
    assets = []
    for colour in ("red", "blue"):
        out = BytesIO()
        Image.new("RGB", (8, 8), colour).save(out, "png")
        assets.append(store_upload(project=project, data=out.getvalue()))
    admin = factories.make_user(project=project, role="admin")
    api = Api(admin, project)
    body = {
        "messages": messages("a red square"),
        "first": {"model": "m1", "asset": assets[0].sha256},
        "second": {"model": "m2", "asset": assets[1].sha256},
    }
    assert api.post("pairs", body).status_code == 201
    media = [output["media"] for output in api.get("next").json()["outputs"]]
    assert {m["sha256"] for m in media} == {a.sha256 for a in assets}
    assert media[0]["width"] == 8
    assert api.client.get(media[0]["url"]).status_code in {200, 302}
    wrong = {**body, "second": {"model": "m2", "asset": "0" * 64}}
    answer = api.post("pairs", wrong)
    assert (answer.status_code, answer.json()["code"]) == (400, "unknown_asset")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"uuid": "x"}, "uuid"),
        ({"outcome": "left"}, "outcome"),
        ({"outcome": None}, "outcome"),
        ({"strength": 9}, "strength"),
        ({"duration_ms": -1}, "duration_ms"),
        ({"exposure": {"a": {"watched": 3}}}, "exposure"),
        ({"aspects": {"style": "x"}}, "aspects"),
        ({"tags": "clear"}, "tags"),
        ({"rationale": "a\u0000b"}, "rationale"),
    ],
)
def test_a_wrong_judgment_is_refused_at_its_field(
    project: Any, annotator: Api, change: dict[str, Any], field: str
) -> None:
    pair = factories.make_pair(project)
    annotator.get("next")
    said = {"uuid": str(uuid4()), "pair": pair.pk, "outcome": "a", **change}
    answer = annotator.post("judgments", said)
    assert answer.status_code == 400
    assert field in answer.json()["fields"]
    assert not Judgment.objects.exists()


@pytest.mark.parametrize(
    ("path", "body", "wrong"),
    [
        ("judgments", {"uuid": str(uuid4()), "pair": 1, "outcome": "a"}, "foo"),
        ("judgments", {"uuid": str(uuid4()), "pair": 1, "outcome": "a"}, "exposure.foo"),
        ("prompts", {"messages": messages()}, "foo"),
        ("outputs", {"prompt": 1, "model": "m"}, "foo"),
        ("pairs", {"messages": messages(), "first": {}, "second": {"model": "m"}}, "foo"),
        ("pairs", {"messages": messages(), "first": {}, "second": {"model": "m"}}, "first.foo"),
        ("import", {"kind": "pairs", "text": '{"prompt": "Why?", "a": "1", "b": "2"}'}, "foo"),
        ("judges", {"name": "Robot", "model": "m"}, "foo"),
        ("judges/{judge}/runs", {}, "foo"),
        ("versions/publish", {"dataset": "d"}, "foo"),
    ],
)
def test_a_field_that_nobody_reads_is_refused_by_its_name(
    project: Any, staff: Api, path: str, body: dict[str, Any], wrong: str
) -> None:
    judge = factories.make_annotator(project, "robot", kind="judge")
    outer, _, inner = wrong.partition(".")
    said = {**body, outer: {**body.get(outer, {}), inner: 1} if inner else 1}
    answer = staff.post(path.format(judge=judge.pk), said)
    assert answer.status_code == 400
    fields = answer.json()["fields"]
    complaint = fields[outer][inner] if inner else fields[outer]
    assert f"There is no field '{inner or outer}'; the fields are" in complaint[0]
    assert not Pair.objects.exists()


def test_a_verdict_on_a_pair_never_given_or_of_another_project_is_refused(
    project: Any, annotator: Api
) -> None:
    mine = factories.make_pair(project)
    foreign = factories.make_pair(factories.make_project())
    codes = []
    for pair in (mine, foreign):
        said = {"uuid": str(uuid4()), "pair": pair.pk, "outcome": "a"}
        codes.append(annotator.post("judgments", said).json()["code"])
    assert codes == ["no_lease", "no_such_pair"]


def test_judgments_are_listed_and_filtered(project: Any, staff: Api) -> None:
    pair = factories.make_pair(project, models=("small", "large"))
    judge = factories.make_annotator(project, "robot", kind="judge")
    factories.make_judgment(pair, "a", annotator=factories.make_annotator(project, "rater"))
    factories.make_judgment(pair, "b", annotator=judge)
    for query, n in (
        ({}, 2),
        ({"by": "people"}, 1),
        ({"annotator": "robot"}, 1),
        ({"model": "small"}, 2),
        ({"outcome": "tie"}, 0),
        ({"pair": pair.pk}, 2),
    ):
        assert len(staff.get("judgments", **query).json()["results"]) == n, query
    row = staff.get("judgments", by="judges").json()["results"][0]
    assert (row["annotator"], row["kind"]) == ("robot", "judge")
    assert {row["model_a"], row["model_b"]} == {"small", "large"}
    assert staff.get("judgments", model="nobody").status_code == 400
    assert staff.get("judgments", by="nobody").status_code == 400


def test_prompts_outputs_and_pairs_are_known_by_content(project: Any, staff: Api) -> None:
    prompt = {"messages": messages(), "category": "c"}
    answers = [staff.post("prompts", prompt) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 200]
    pk = answers[0].json()["id"]
    conflict = staff.post("prompts", {**prompt, "held_out": True})
    assert (conflict.status_code, conflict.json()["code"]) == (409, "prompt_not_held_out")

    output = {"prompt": pk, "model": "small", "text": " So.\n", "seed": 1}
    answers = [staff.post("outputs", output) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 200]
    assert answers[0].json()["text"] == " So.\n"
    assert staff.post("outputs", {**output, "prompt": 10**6}).status_code == 404

    pair = {
        "messages": messages(),
        "first": {"model": "small", "text": " So.\n", "seed": 1},
        "second": {"model": "large", "text": "Thus."},
        "wanted": 3,
    }
    answers = [staff.post("pairs", pair) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 200]
    turned = staff.post("pairs", {**pair, "first": pair["second"], "second": pair["first"]})
    assert turned.json()["id"] == answers[0].json()["id"]
    assert answers[0].json()["wanted"] == 3
    assert staff.post("pairs", {**pair, "second": pair["first"]}).status_code == 400
    assert Pair.objects.count() == 1
    assert len(staff.get("outputs", model="small").json()["results"]) == 1
    assert len(staff.get("pairs", state="open").json()["results"]) == 1
    assert len(staff.get("prompts", held_out="true").json()["results"]) == 0


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        messages(" "),
        [{"role": "assistant", "content": "x"}],
        [{"role": "robot"}],
        [{"role": "user", "content": "Why?", "name": "x"}],
        "Why?",
    ],
)
def test_messages_must_end_with_a_question(project: Any, staff: Api, wrong: Any) -> None:
    answer = staff.post("prompts", {"messages": wrong})
    assert answer.status_code == 400
    assert "messages" in answer.json()["fields"]


def test_a_held_out_prompt_gets_no_pair(project: Any, staff: Api) -> None:
    staff.post("prompts", {"messages": messages(), "held_out": True})
    first, second = ({"model": "m", "text": text} for text in "ab")
    answer = staff.post("pairs", {"messages": messages(), "first": first, "second": second})
    assert (answer.status_code, answer.json()["code"]) == (409, "prompt_held_out")


def test_lines_are_imported_as_text_and_as_a_file(project: Any, staff: Api) -> None:
    line = json.dumps({"prompt": "Why?", "a": "So.", "b": "Thus."})
    answer = staff.post("import", {"kind": "pairs", "text": line})
    assert answer.json() == {
        "records": 1,
        "prompts": 1,
        "pairs": 1,
        "judgments": 0,
        "sets": 0,
        "rankings": 0,
        "searched": 0,
    }
    file = SimpleUploadedFile("x.jsonl", b'{"prompt": "Who?"}\n{"prompt": 7}')
    answer = staff.client.post(staff.root + "import", {"kind": "held_out", "file": file})
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_line")
    assert answer.json()["message"].startswith("Line 2:")
    assert staff.post("import", {"kind": "pairs"}).status_code == 400


def test_a_judge_is_made_asked_and_listed(project: Any, staff: Api) -> None:
    factories.make_model(project, "writer", family="endpoint", source="http://x/v1")
    answer = staff.post("judges", {"name": "Robot", "model": "writer"})
    assert answer.status_code == 201
    assert answer.json()["sampling"] == {"temperature": 0.0, "max_new_tokens": 256}
    assert staff.post("judges", {"name": "Robot", "model": "writer"}).status_code == 409
    assert staff.post("judges", {"name": "Other", "model": "nobody"}).status_code == 400
    runs = f"judges/{answer.json()['id']}/runs"
    assert staff.post(runs, {}).json()["code"] == "nothing_to_judge"
    factories.make_pair(project)
    run = staff.post(runs, {"limit": 5})
    assert (run.status_code, run.json()["kind"]) == (201, "judge")
    [report] = staff.get("judges").json()
    assert report["judge"]["name"] == "Robot"
    assert report["with_people"] == {"equal": 0, "n": 0, "share": None}
    names = {row["name"] for row in staff.get("annotators").json()["results"]}
    assert names == {"Robot"}


def test_a_version_is_previewed_and_published(project: Any, staff: Api) -> None:
    assert staff.get("versions/preview").json()["problem"]["code"] == "empty_version"
    for number in range(6):
        prompt = factories.make_prompt(project, category="odd" if number % 2 else "even")
        factories.make_judgment(factories.make_pair(project, prompt=prompt), "a")
    seen = staff.get("versions/preview", categories=["odd", "even"], test_fraction=0.2).json()
    assert seen["problem"] is None
    assert {row["category"] for row in seen["categories"]} == {"odd", "even"}
    recipe = {"categories": ["even", "odd"], "test_fraction": 0.2}
    answer = staff.post("versions/publish", {"dataset": "d", "recipe": recipe})
    assert answer.status_code == 201
    assert answer.json()["counts"] == seen["counts"]
    assert staff.post("versions/publish", {"dataset": "d", "recipe": recipe}).status_code == 409
    wrong = staff.post("versions/publish", {"dataset": "d", "recipe": {"colour": 1}})
    assert (wrong.status_code, wrong.json()["code"]) == (400, "bad_recipe")
    assert staff.get("versions/preview", ties="maybe").status_code == 400


def test_every_call_is_in_the_schema(project: Any, owner: Any, as_user: Any) -> None:
    answer = as_user(owner).get(reverse("api-schema"), headers={"Accept": "application/json"})
    schema = json.loads(answer.content) if answer["Content-Type"].endswith("json") else None
    text = answer.content.decode()
    for path in ("next", "judgments", "pairs", "import", "judges/{id}/runs", "versions/publish"):
        assert f"projects/{{project}}/{path}" in text.replace("{pk}", "{id}"), path
    assert schema is None or schema["openapi"].startswith("3.")
