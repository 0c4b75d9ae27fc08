"""What a page's script would never send: the labelling page refuses it and does not fail."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from annotation.models import Judgment, Pair
from tests import factories

SPAN = {"side": "a", "kind": "span", "start": 0, "end": 3}


@pytest.fixture
def page(member: Any, project: Any, as_user: Any) -> Client:
    project.label_scheme = {"correction": True, "aspects": ["style"]}
    project.save()
    factories.make_pair(project)
    client = as_user(member)
    assert client.get(reverse("annotation:label", args=[project.slug])).status_code == 200
    return client


BAD_FIELDS = [
    {"verdict": "left"},
    {"verdict": "a\0"},
    {"pair": "9" * 40},
    {"pair": "x"},
    {"uuid": "x"},
    {"supersedes": "x"},
    {"supersedes": str(uuid4())},
    {"rationale": "a\0b"},
    {"rationale": "x" * 20_001},
    {"correction": "a\0b"},
    {"tags": "murky"},
    {"skip_reason": "no mood"},
    {"evidence": "["},
    {"evidence": "[" * 5000},
    {"evidence": "[7]"},
    {"evidence": "[{}]"},
    {"evidence": "{}"},
    {"evidence": json.dumps([SPAN] * 60)},
    {"evidence": json.dumps([{**SPAN, "note": "\ud800"}])},
    {"evidence": json.dumps([{**SPAN, "note": "a\0"}])},
    {"evidence": '[{"side": "a", "kind": "span", "shown": [0, 1e999]}]'},
    {"evidence": '[{"side": "a", "kind": "span", "shown": [0, NaN]}]'},
    {"evidence": '[{"side": ["a"], "kind": "span", "shown": [0, 2]}]'},
    {"evidence": '[{"side": "a", "kind": "span", "shown": [5, 2]}]'},
    {"evidence": '[{"side": "a", "kind": "span", "shown": "ab"}]'},
    {"evidence": '[{"side": "a", "kind": "box", "x": 1e999, "y": NaN}]'},
    {"segments": "[{}]"},
    {"segments": '[{"start": 0, "end": NaN, "outcome": "a"}]'},
]


def test_a_bad_field_is_refused_on_the_page(page: Client, project: Any) -> None:
    url = reverse("annotation:label-submit", args=[project.slug])
    pair = Pair.objects.get()
    for change in BAD_FIELDS:
        said = {"pair": pair.pk, "uuid": str(uuid4()), "verdict": "a1", **change}
        answer = page.post(url, said, headers={"Steelyard-Part": "card"})
        assert answer.status_code in {400, 409, 422}, change
        assert not Judgment.objects.exists(), change


def test_a_measurement_that_cannot_be_never_stands_in_the_way(page: Client, project: Any) -> None:
    url = reverse("annotation:label-submit", args=[project.slug])
    for exposure in (
        "[",
        "[" * 1500,
        "7",
        '{"a": {"ms": 1e999, "watched": NaN}}',
        '{"a": "\\u0000"}',
    ):
        said = {
            "pair": factories.make_pair(project).pk,
            "uuid": str(uuid4()),
            "verdict": "a1",
            "exposure": exposure,
            "duration_ms": "-5",
        }
        page.get(reverse("annotation:label-next", args=[project.slug]))
        assert page.post(url, {**said, "pair": _held(project)}).status_code in {200, 302}, exposure
    assert Judgment.objects.count() == 5


def _held(project: Any) -> int:
    return project.pairs.filter(assignments__isnull=False, judged=0).earliest("pk").pk


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("label-keep", {"pairs": "x"}),
        ("label-keep", {"pairs": "9" * 40}),
        ("label-keep", {"pairs": "1", "draft": "[", "draft_of": "1"}),
        ("label-keep", {"pairs": "1", "draft": '{"rationale": "\\u0000"}', "draft_of": "PAIR"}),
        ("label-keep", {"pairs": "1", "draft": '{"rationale": "\\ud800"}', "draft_of": "PAIR"}),
        ("label-keep", {"pairs": "1", "draft": '{"a": NaN}', "draft_of": "PAIR"}),
        ("label-keep", {"pairs": "1", "draft": "[" * 5000, "draft_of": "PAIR"}),
        ("label-keep", {"pairs": "1", "draft": '{"a": 1e999}', "draft_of": "9" * 40}),
        ("label-flag", {"pair": "x", "reason": "other"}),
        ("label-flag", {"pair": "9" * 40, "reason": "other", "uuid": "x"}),
        ("label-flag", {"pair": "PAIR", "reason": "a\0", "uuid": "x"}),
        ("label-keys", {"keys": "["}),
        ("label-keys", {"keys": "[" * 5000}),
        ("label-keys", {"keys": '{"save": "\\u0000"}'}),
        ("label-keys", {"keys": '{"\\ud800": "\\ud800"}'}),
    ],
)
def test_what_the_page_sends_beside_verdicts_may_be_nonsense(
    page: Client, project: Any, name: str, said: dict[str, str]
) -> None:
    pair = str(Pair.objects.get().pk)
    said = {key: pair if value == "PAIR" else value for key, value in said.items()}
    answer = page.post(reverse(f"annotation:{name}", args=[project.slug]), said)
    assert answer.status_code < 500


@pytest.mark.parametrize("query", ["holding=x", "holding=" + "9" * 40, "amend=x", "holding=%00"])
def test_nonsense_in_an_address_is_no_failure(page: Client, project: Any, query: str) -> None:
    for name in ("label", "label-next"):
        url = reverse(f"annotation:{name}", args=[project.slug])
        assert page.get(f"{url}?{query}").status_code < 500
