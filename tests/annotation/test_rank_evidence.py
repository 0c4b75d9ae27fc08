"""Evidence in the outputs of a set: what is taken, what the judgments of pairs have of it, where it
is shown."""

from __future__ import annotations

import json
from html import unescape
from typing import Any
from uuid import uuid4

import pytest

from annotation.models import Judgment, Ranking
from annotation.services.queue import annotator_for
from annotation.services.ranking import Order, record_ranking
from annotation.services.ranking_queue import next_set
from steelyard.lib.errors import UserError
from tests import factories

TEXTS = ["It is **not** the sea.", "Air scatters blue.", "No idea 😀 at all."]


@pytest.fixture
def project(db: None) -> Any:
    return factories.make_project(label_scheme={"task": "ranking", "evidence": "required"})


@pytest.fixture
def outputs(project: Any) -> Any:
    prompt = factories.make_prompt(project)
    return [
        factories.make_output(prompt, text, model=factories.make_model(project, f"model-{n}"))
        for n, text in enumerate(TEXTS)
    ]


@pytest.fixture
def output_set(project: Any, outputs: Any) -> Any:
    return factories.make_set(project, outputs=outputs)


def span(output: Any, words: str, **said: Any) -> dict[str, Any]:
    start = output.text.index(words)
    return {
        "output": output.pk,
        "kind": "span",
        "start": start,
        "end": start + len(words),
        "quote": words,
        **said,
    }


def test_each_pair_has_what_points_into_its_two_outputs_by_their_sides(
    project: Any, outputs: Any, output_set: Any, owner: Any, member: Any, as_user: Any
) -> None:
    address = f"/api/v1/projects/{project.slug}/"
    client = as_user(member)
    leased = client.get(f"{address}sets/next").json()
    one, two, three = outputs
    items = [span(one, "**not**", says="bad", note="wrong"), span(three, "😀 at")]
    tiers = [[output.pk] for output in outputs]
    body = {"uuid": str(uuid4()), "set": leased["set"], "tiers": tiers, "evidence": items}
    stored = client.post(f"{address}rankings", json.dumps(body), content_type="application/json")
    assert stored.status_code == 201, stored.content
    assert stored.json()["evidence"] == items
    assert as_user(owner).get(f"{address}rankings").json()["results"][0]["evidence"] == items
    of_pairs = {}
    for judgment in Judgment.objects.select_related("pair"):
        number = {"a": judgment.pair.output_a_id, "b": judgment.pair.output_b_id}
        assert all("output" not in item for item in judgment.evidence)
        of_pairs[frozenset(number.values())] = {
            (number[item["side"]], item["quote"], item.get("note")) for item in judgment.evidence
        }
    first, last = (one.pk, "**not**", "wrong"), (three.pk, "😀 at", None)
    assert of_pairs == {
        frozenset((one.pk, two.pk)): {first},
        frozenset((two.pk, three.pk)): {last},
        frozenset((one.pk, three.pk)): {first, last},
    }
    page = as_user(owner).get(f"/p/{project.slug}/sets/{output_set.pk}/").content.decode()
    assert '<q dir="auto">**not**</q>' in page
    assert '<b class="side-C">C</b>' in page
    # and where it is in the answers, by letters and in the shown text
    marks = page.split('<script id="marks" type="application/json">')[1].split("</script>")[0]
    assert json.loads(marks) == {"A": [[6, 9]], "B": [], "C": [[8, 12]]}


def test_what_points_at_nothing_is_refused_and_what_is_asked_for_missed(
    project: Any, outputs: Any, output_set: Any, member: Any
) -> None:
    annotator = annotator_for(user=member, project=project)
    assert next_set(annotator=annotator)
    here = span(outputs[0], "sea")
    for items, code, words in [
        ([], "evidence_required", "Mark what decides it"),
        ([{**here, "output": 10**9}], "bad_evidence", f"must be {outputs[0].pk} or"),
        ([{**here, "output": [1]}], "bad_evidence", "must be"),
        ([{**here, "side": "a"}], "bad_evidence", "has no 'side'"),
        ([{**here, "quote": "lake"}], "bad_evidence", f"of output {outputs[0].pk}"),
        ([{"output": outputs[1].pk, "kind": "box"}], "bad_evidence", "mark a span there"),
    ]:
        tiers = [[output.pk] for output in outputs]
        order = Order(uuid=uuid4(), tiers=tiers, evidence=items)
        with pytest.raises(UserError, match=words) as refused:
            record_ranking(annotator=annotator, output_set=output_set, order=order)
        assert (refused.value.code, refused.value.field) == (code, "evidence")
    assert not Ranking.objects.exists()


def test_the_page_sends_places_of_what_it_shows_and_gets_them_back(
    project: Any, outputs: Any, output_set: Any, member: Any, as_user: Any
) -> None:
    client = as_user(member)
    page = client.get(f"/p/{project.slug}/rank/").content.decode()
    assert 'name="evidence" value="[]"' in page
    one = outputs[0]
    letter = "ABC"[project.annotators.get().ranking_leases.get().shown.index(one.pk)]
    shown = {"side": letter, "output": one.pk, "kind": "span", "shown": [6, 13], "quote": "not the"}
    fields = {
        "pair": output_set.pk,
        "uuid": str(uuid4()),
        **{f"rank_{output.pk}": n for n, output in enumerate(outputs, 1)},
    }
    address = f"/p/{project.slug}/rank/submit/"
    outside = json.dumps([{**shown, "shown": [6, 1000]}])
    for wrong, words in [("[]", "Mark what decides it"), ("[1]", "list of objects"), (outside, "")]:
        refused = client.post(address, {**fields, "evidence": wrong})
        assert refused.status_code == 422
        assert words in refused.content.decode()
    assert client.post(address, {**fields, "evidence": json.dumps([shown])}).status_code == 302
    ranking = Ranking.objects.get()
    [item] = ranking.evidence
    assert "side" not in item
    assert one.text[item["start"] : item["end"]] == item["quote"] == "not** the"
    again = client.get(f"/p/{project.slug}/rank/?amend={ranking.uuid}").content.decode()
    [kept] = json.loads(unescape(again.split('name="evidence" value="')[1].split('"')[0]))
    assert (kept["side"], kept["output"], kept["shown"]) == (letter, one.pk, [6, 13])
