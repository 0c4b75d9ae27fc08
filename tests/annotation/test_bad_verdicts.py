"""Whatever is sent in the place of a verdict: a clear refusal, nothing half-written, no failure."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone
from PIL import Image

from annotation.models import Assignment, Judgment, Output, Pair
from steelyard.assets.services import store_upload
from tests import factories
from tests.api_client import Api

HUGE = 10**400
SPAN = {"side": "a", "kind": "span", "start": 0, "end": 3}
BOX = {"side": "a", "kind": "box", "x": 0, "y": 0, "width": 0.5, "height": 0.5}
TIME = {"side": "a", "kind": "time", "start": 0, "end": 1}


@pytest.fixture
def api(member: Any, project: Any) -> Api:
    return Api(member, project)


@pytest.fixture
def pair(project: Any, api: Api) -> Pair:
    """A pair that the member holds; the scheme takes everything."""
    project.label_scheme = {"correction": True, "aspects": ["style"]}
    project.save()
    pair = factories.make_pair(project)
    assert api.get("next").status_code == 200
    return pair


def verdict(pair: Pair, /, **change: Any) -> dict[str, Any]:
    return {"uuid": str(uuid4()), "pair": pair.pk, "outcome": "a", **change}


def nothing_written(pair: Pair) -> bool:
    """The lease stands, and there is neither a judgment nor its place taken nor a better answer."""
    pair.refresh_from_db()
    kept = Assignment.objects.filter(pair=pair).exists()
    answers = Output.objects.filter(model__name="people")
    return kept and not (pair.judged or Judgment.objects.exists() or answers.exists())


BAD_FIELDS: list[dict[str, Any]] = [
    {"outcome": "left"},
    {"outcome": ["a"]},
    {"outcome": {"a": 1}},
    {"outcome": "a\0"},
    {"strength": 4},
    {"strength": 1},
    {"strength": HUGE},
    {"strength": 1.5},
    {"strength": [1]},
    {"uuid": "1234"},
    {"uuid": HUGE},
    {"uuid": None},
    {"uuid": {"hex": 1}},
    {"pair": "first"},
    {"pair": HUGE},
    {"pair": 2**63},
    {"pair": -1},
    {"pair": None},
    {"rationale": "x" * 20_001},
    {"rationale": "a\0b"},
    {"rationale": "\ud800"},
    {"rationale": {"text": "x"}},
    {"rationale": ["x"]},
    {"tags": "clear"},
    {"tags": ["murky"]},
    {"tags": ["\ud800"]},
    {"tags": ["clear"] * 51},
    {"tags": {"clear": True}},
    {"aspects": ["style"]},
    {"aspects": {"style": HUGE}},
    {"aspects": {"style": "NaN"}},
    {"aspects": {"\ud800": 1}},
    {"aspects": {"a\0b": 1}},
    {"aspects": None},
    {"evidence": {}},
    {"evidence": "here"},
    {"evidence": [None]},
    {"evidence": [[]]},
    {"evidence": [SPAN] * 10_000},
    {"evidence": [{**SPAN, "end": 9999}]},
    {"evidence": [{**SPAN, "end": HUGE}]},
    {"evidence": [{**SPAN, "start": -HUGE}]},
    {"evidence": [{**SPAN, "quote": "not there"}]},
    {"evidence": [{**SPAN, "note": "a\0b"}]},
    {"evidence": [{**SPAN, "note": "\udfff"}]},
    {"evidence": [{**SPAN, "\ud800": 1}]},
    {"evidence": [{**SPAN, "side": "\ud800"}]},
    {"evidence": [{**SPAN, "kind": ["span"]}]},
    {"evidence": [BOX]},
    {"evidence": [TIME]},
    {"segments": [{"start": 0, "end": 1, "outcome": "a"}]},
    {"segments": "whole"},
    {"segments": [{}] * 10_000},
    {"correction": "x" * 200_001},
    {"correction": "a\0b"},
    {"correction": 7 * [7]},
    {"skip_reason": "broken"},
    {"outcome": "skip", "skip_reason": "\ud800"},
    {"duration_ms": -1},
    {"duration_ms": HUGE},
    {"duration_ms": "soon"},
    {"exposure": []},
    {"exposure": {"a": 7}},
    {"exposure": {"a": {"ms": HUGE}}},
    {"exposure": {"a": {"watched": "NaN"}}},
    {"exposure": {"a": {"watched": "inf"}}},
    {"exposure": {"a": {"watched": 1.5}}},
    {"exposure": {"a": {"zoomed": "sometimes"}}},
    {"exposure": {"width": 0}},
    {"exposure": {"device": "telepathy"}},
    {"exposure": {"\ud800": 1}},
    {"colour": "red"},
    {"\ud800": 1},
    {"swapped": True},
]


def test_what_is_wrong_with_a_field_is_refused_there(api: Api, pair: Pair) -> None:
    # one pair for all, since none of them may take it
    for change in BAD_FIELDS:
        answer = api.post("judgments", json.dumps(verdict(pair, **change)))
        told = answer.json()
        named = {told["field"], *told.get("fields", {})}
        case = f"{ascii(change)[:80]}: {ascii(told)[:200]}"
        assert answer.status_code == 400, case
        assert told["code"] == "parse_error" or named & set(change), case
        assert nothing_written(pair), case


BAD_BODIES = [
    b"",
    b"null",
    b"7",
    b'"a"',
    b"[]",
    b"[[[",
    b"{",
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"uuid": ' + b"[" * 100_000,
    b'{"strength": NaN}',
    b'{"strength": Infinity}',
    b'{"strength": ' + b"9" * 10_000 + b"}",
    b'{"duration_ms": 1e999}',
]


def test_what_is_no_verdict_at_all_is_refused(api: Api, pair: Pair) -> None:
    for body in BAD_BODIES:
        answer = api.client.post(api.root + "judgments", body, content_type="application/json")
        assert answer.status_code == 400, body[:40]
        assert answer.json()["code"], body[:40]
        assert nothing_written(pair), body[:40]


def test_a_form_in_the_place_of_json_is_understood_or_refused(api: Api, pair: Pair) -> None:
    refused = api.client.post(api.root + "judgments", {"outcome": "a", "evidence": "here"})
    assert refused.status_code == 400
    assert nothing_written(pair)
    assert api.client.post(api.root + "judgments", verdict(pair)).status_code == 201


@pytest.mark.parametrize("outcome", ["a", "skip"])
def test_without_a_lease_it_is_refused(api: Api, pair: Pair, project: Any, outcome: str) -> None:
    other = factories.make_pair(project)
    answer = api.post("judgments", verdict(other, outcome=outcome))
    assert (answer.status_code, answer.json()["code"]) == (409, "no_lease")
    assert nothing_written(pair)


def test_a_lease_that_ran_out_counts_only_while_nobody_else_has_begun(
    api: Api, pair: Pair, project: Any
) -> None:
    Assignment.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    other = Api(factories.make_user(project=project), project)
    assert other.get("next").json()["pair"] == pair.pk
    Assignment.objects.live().update(draft={"at": 1})
    answer = api.post("judgments", verdict(pair))
    assert (answer.status_code, answer.json()["code"]) == (409, "pair_held")
    assert nothing_written(pair)
    assert other.post("judgments", verdict(pair)).status_code == 201
    answer = api.post("judgments", verdict(pair))
    assert (answer.status_code, answer.json()["code"]) == (409, "pair_taken")


def test_a_pair_or_a_verdict_of_another_project_is_out_of_reach(
    api: Api, pair: Pair, member: Any
) -> None:
    elsewhere = factories.make_project()
    foreign = factories.make_pair(elsewhere)
    answer = api.post("judgments", verdict(foreign))
    assert (answer.status_code, answer.json()["code"]) == (400, "no_such_pair")
    outside = Api(member, elsewhere)
    assert outside.get("next").status_code == 404
    assert outside.post("judgments", verdict(foreign)).status_code == 404
    theirs = factories.make_judgment(foreign)
    said = {"uuid": str(uuid4()), "outcome": "b"}
    for where in (api, outside):
        assert where.post(f"judgments/{theirs.uuid}/amend", said).status_code == 404
    assert Judgment.objects.get() == theirs


def test_the_verdict_of_a_colleague_is_not_ones_own_to_amend(
    api: Api, pair: Pair, owner: Any, project: Any
) -> None:
    assert api.post("judgments", verdict(pair)).status_code == 201
    [mine] = api.get("judgments/mine").json()["results"]
    said = {"uuid": str(uuid4()), "outcome": "b"}
    staff = Api(owner, project)
    assert staff.post(f"judgments/{mine['uuid']}/amend", said).status_code == 404
    assert staff.get("judgments/mine").json()["results"] == []
    for wrong in ("nonsense", str(uuid4()), "%00"):
        assert api.post(f"judgments/{wrong}/amend", said).status_code == 404


def test_a_bad_amendment_leaves_the_verdict_as_it_is(api: Api, pair: Pair) -> None:
    first = api.post("judgments", verdict(pair)).json()
    changes: list[dict[str, Any]] = [
        {"outcome": "left"},
        {"uuid": "x"},
        {"rationale": "a\0b"},
        {"evidence": [BOX]},
        {"evidence": [SPAN] * 10_000},
        {"pair": 1},
    ]
    for change in changes:
        said = {"uuid": str(uuid4()), "outcome": "b", **change}
        answer = api.post(f"judgments/{first['uuid']}/amend", said)
        assert answer.status_code == 400, change
        judgment = Judgment.objects.get()
        assert (judgment.is_current, judgment.outcome) == (True, "a")


def test_nonsense_in_the_place_of_pairs_is_refused(api: Api, pair: Pair) -> None:
    for holding in ["x", "1,,2", "1" * 40, "-1", "1;2", "\0", ",".join("1" * 51)]:
        answer = api.get("next", holding=holding)
        assert answer.status_code == 400, holding
        assert "holding" in answer.json()["fields"], holding
    for pairs in [None, "1", [], ["x"], [HUGE], [2**63], [-1], [1] * 51, {"a": 1}]:
        assert api.post("leases/renew", {"pairs": pairs}).status_code == 400, ascii(pairs)[:40]


@pytest.mark.django_db
def test_a_box_outside_its_picture_is_refused(tmp_path: Any) -> None:
    project = factories.make_project(modality="image")
    prompt = factories.make_prompt(project)
    outputs = []
    for colour in ("red", "blue"):
        path = tmp_path / f"{colour}.png"
        Image.new("RGB", (8, 8), colour).save(path)
        asset = store_upload(project=project, data=path.read_bytes())
        outputs.append(factories.make_output(prompt, "", asset=asset))
    pair, _ = factories.add_pair(first=outputs[0], second=outputs[1])
    api = Api(factories.make_user(project=project), project)
    api.get("next")
    changes: list[tuple[dict[str, Any], str]] = [
        ({"x": 0.6}, "leaves the picture"),
        ({"x": -0.1}, "from 0 to 1"),
        ({"width": HUGE}, "from 0 to 1"),
        ({"height": 0}, "no height"),
        ({"at": 1}, "a picture has none"),
        ({"kind": "span", "start": 0}, "a span has no"),
        ({"side": "c"}, "a or b"),
    ]
    for change, told in changes:
        answer = api.post("judgments", verdict(pair, evidence=[{**BOX, **change}]))
        assert (answer.status_code, answer.json()["field"]) == (400, "evidence")
        assert told in answer.json()["message"]
        assert nothing_written(pair)
    assert api.post("judgments", verdict(pair, evidence=[BOX])).status_code == 201


def test_html_and_scripts_are_inert_on_the_page(project: Any, member: Any, as_user: Any) -> None:
    hostile = "<script>alert(1)</script><img src=x onerror=alert(2)> [x](javascript:alert(3))"
    project.guidelines = hostile
    project.save()
    prompt = factories.make_prompt(project, hostile)
    factories.make_pair(project, prompt=prompt, texts=(hostile + " 1", hostile + " 2"))
    page = as_user(member).get(f"/p/{project.slug}/label/").content.decode()
    for live in ("<script>alert", "<img src=x", "onerror=alert(2)>", 'href="javascript:'):
        assert live not in page
