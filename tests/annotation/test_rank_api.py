"""Sets and rankings over HTTP: what is taken, what is refused, and by whom; and the page without
scripts."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from annotation.models import Judgment, OutputSet, Ranking
from annotation.services.ranking_queue import next_set
from tests import factories

SET = {
    "messages": [{"role": "user", "content": "Why is the sky blue?"}],
    "answers": [{"model": f"model-{n}", "text": f"Because of {n}."} for n in range(3)],
}


@pytest.fixture
def project(db: None) -> Any:
    return factories.make_project(label_scheme={"task": "ranking"})


@pytest.fixture
def call(project: Any, as_user: Any) -> Any:
    """Ask the API of the project as somebody; a dict is a JSON body."""

    def ask(user: Any, path: str, body: Any = None, **headers: Any) -> Any:
        client = as_user(user)
        address = f"/api/v1/projects/{project.slug}/{path}"
        if body is None:
            return client.get(address, **headers)
        data = json.dumps(body)
        return client.post(address, data, content_type="application/json", **headers)

    return ask


def said(lease: dict[str, Any], **values: Any) -> dict[str, Any]:
    tiers = [[output["output"]] for output in lease["outputs"]]
    return {"uuid": str(uuid4()), "set": lease["set"], "tiers": tiers, **values}


def test_it_works(call: Any, owner: Any, member: Any) -> None:
    made = call(owner, "sets", SET)
    assert made.status_code == 201, made.content
    assert len(made.json()["outputs"]) == 3
    again = call(owner, "sets", {**SET, "answers": SET["answers"][::-1]})
    assert again.status_code == 200
    assert again.json()["id"] == made.json()["id"]
    lease = call(member, "sets/next").json()
    assert [output["letter"] for output in lease["outputs"]] == ["A", "B", "C"]
    assert "model" not in json.dumps(lease["outputs"])
    body = said(lease, rationale="The first is right.", exposure={"outputs": {"1": {"ms": 5}}})
    stored = call(member, "rankings", body)
    assert stored.status_code == 201, stored.content
    assert stored.json()["tiers"] == body["tiers"]
    assert call(member, "rankings", body).status_code == 200
    assert Judgment.objects.count() == 3
    nothing = call(member, "sets/next")
    assert (nothing.status_code, nothing.headers["Steelyard-Nothing"]) == (204, "done")
    change = {"uuid": str(uuid4()), "tiers": body["tiers"][::-1]}
    amended = call(member, f"rankings/{body['uuid']}/amend", change)
    assert amended.status_code == 201
    assert amended.json()["supersedes"] == body["uuid"]
    [row] = call(owner, "rankings").json()["results"]
    assert (row["annotator"], row["tiers"]) == ("member", change["tiers"])
    assert len(call(owner, "rankings?all=1").json()["results"]) == 2
    assert len(call(owner, "rankings?annotator=member").json()["results"]) == 1
    assert call(owner, "rankings?set=1000000").json()["results"] == []


def test_sets_are_listed_for_staff(call: Any, owner: Any, member: Any, stranger: Any) -> None:
    made = [call(owner, "sets", {**SET, "category": name}).json() for name in ("one", "one")]
    other = call(owner, "sets", {**SET, "messages": [{"role": "user", "content": "And this?"}]})
    assert call(owner, "sets").json()["results"] == [other.json(), made[0]]
    assert call(owner, "sets?category=one&state=open").json()["results"] == [made[0]]
    assert call(owner, f"sets?prompt={other.json()['prompt']}").json()["results"] == [other.json()]
    assert call(owner, "sets?state=complete").json()["results"] == []
    assert [call(user, "sets").status_code for user in (member, stranger)] == [404, 404]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"tiers": []}, "tiers"),
        ({"tiers": "AB"}, "tiers"),
        ({"tiers": [[1.5]]}, "tiers"),
        ({"tiers": [["x"]]}, "tiers"),
        ({"tiers": [[2**70]]}, "tiers"),
        ({"tiers": [list(range(1, 20))]}, "tiers"),
        ({"set": 10**15}, "set"),
        ({"uuid": "1"}, "uuid"),
        ({"tags": ["no such tag"]}, "tags"),
        ({"skipped": True}, "tiers"),
        ({"skip_reason": "broken"}, "skip_reason"),
        ({"tiers": [], "skipped": True, "skip_reason": "no such reason"}, "skip_reason"),
        ({"rationale": "x" * 20_001}, "rationale"),
        ({"exposure": {"outputs": {"1": {"ms": -1}}}}, "exposure"),
        ({"order": [1, 2]}, "order"),
    ],
)
def test_what_is_no_order_of_the_set_is_refused_by_name(
    call: Any, project: Any, member: Any, change: dict[str, Any], field: str
) -> None:
    factories.make_set(project, 3)
    body = said(call(member, "sets/next").json(), **change)
    refused = call(member, "rankings", body)
    assert refused.status_code == 400, refused.content
    answer = refused.json()
    assert field in (answer["field"], *answer.get("fields", {}))
    assert not Ranking.objects.exists()


def test_missing_unknown_and_double_outputs_are_told_apart(
    call: Any, project: Any, member: Any
) -> None:
    factories.make_set(project, 3)
    lease = call(member, "sets/next").json()
    one, two, three = (output["output"] for output in lease["outputs"])
    for tiers, words in [
        ([[one], [two]], f"output {three} is left out"),
        ([[one], [two], [three], [one]], f"output {one} stands there twice"),
        ([[one], [two], [three], [10**6]], "output 1000000 is not in this set"),
    ]:
        refused = call(member, "rankings", said(lease, tiers=tiers))
        assert refused.status_code == 400
        assert words in refused.json()["message"]
        assert refused.json()["code"] == "bad_tiers"


def test_a_set_that_was_not_given_or_is_anothers_is_refused(
    call: Any, project: Any, member: Any
) -> None:
    mine = factories.make_set(project, 2)
    other = factories.make_set(factories.make_project(label_scheme={"task": "ranking"}), 2)
    for output_set, status, code in [(mine, 409, "no_lease"), (other, 400, "no_such_set")]:
        tiers = [[pk] for pk in output_set.outputs.values_list("pk", flat=True)]
        body = {"uuid": str(uuid4()), "set": output_set.pk, "tiers": tiers}
        refused = call(member, "rankings", body)
        assert (refused.status_code, refused.json()["code"]) == (status, code)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"answers": SET["answers"][:1]}, "at least 2"),
        ({"answers": [{"model": f"m{n}", "text": "x"} for n in range(10)]}, "no more than 9"),
        ({"answers": [SET["answers"][0]] * 2}, "same one"),
        ({"messages": []}, "empty"),
    ],
)
def test_a_set_that_is_none_is_refused(
    call: Any, owner: Any, change: dict[str, Any], words: str
) -> None:
    refused = call(owner, "sets", {**SET, **change})
    assert refused.status_code == 400
    assert words in refused.content.decode()
    assert not OutputSet.objects.exists()


@pytest.mark.django_db
def test_a_project_of_pairs_takes_no_sets(as_user: Any) -> None:
    project = factories.make_project()
    owner = factories.make_user(project=project, role="admin")
    answer = as_user(owner).post(
        f"/api/v1/projects/{project.slug}/sets", json.dumps(SET), content_type="application/json"
    )
    assert (answer.status_code, answer.json()["code"]) == (409, "not_ranking")


def test_each_is_let_in_where_they_belong(
    call: Any, project: Any, owner: Any, member: Any, stranger: Any, as_user: Any
) -> None:
    factories.make_set(project, 2)
    ranking = f"rankings/{uuid4()}/amend"
    body = {"uuid": str(uuid4()), "set": 1, "tiers": [[1]]}
    order = {"uuid": str(uuid4()), "tiers": [[1]]}
    for user, bring, read, work in [(owner, 201, 200, 200), (member, 404, 404, 200)]:
        assert call(user, "sets", SET).status_code == bring
        assert call(user, "rankings").status_code == read
        assert call(user, "sets/next").status_code in (work, 204)
        assert call(user, ranking, order).status_code == 404
        assert as_user(user).get(f"/p/{project.slug}/rank/").status_code == 200
        assert as_user(user).get(f"/p/{project.slug}/rank/mine/").status_code == 200
    for path, sent in [("sets", SET), ("sets/next", None), ("rankings", body), ("rankings", None)]:
        assert call(stranger, path, sent).status_code == 404
    for page in ("", "next/", "mine/"):
        assert as_user(stranger).get(f"/p/{project.slug}/rank/{page}").status_code == 404
    for page in ("submit/", "keep/"):
        assert as_user(stranger).post(f"/p/{project.slug}/rank/{page}").status_code == 404


# ---- the page without scripts ----


def test_the_label_page_leads_to_the_ranking_page_and_back(
    project: Any, member: Any, as_user: Any
) -> None:
    client = as_user(member)
    answer = client.get(f"/p/{project.slug}/label/")
    assert answer.headers["Location"] == f"/p/{project.slug}/rank/"
    pairs = factories.make_project()
    client = as_user(factories.make_user(project=pairs))
    answer = client.get(f"/p/{pairs.slug}/rank/")
    assert answer.headers["Location"] == f"/p/{pairs.slug}/label/"


def test_a_plain_form_ranks_and_shows_what_is_missing(
    project: Any, member: Any, as_user: Any
) -> None:
    output_set = factories.make_set(project, 3)
    client = as_user(member)
    page = client.get(f"/p/{project.slug}/rank/").content.decode()
    annotator = project.annotators.get()
    lease = next_set(annotator=annotator)
    assert lease is not None
    one, two, three = lease.shown
    assert page.index(f"rank_{one}") < page.index(f"rank_{two}") < page.index(f"rank_{three}")
    fields = {"pair": output_set.pk, "uuid": str(uuid4()), f"rank_{one}": 2, f"rank_{two}": 1}
    address = f"/p/{project.slug}/rank/submit/"
    refused = client.post(address, {**fields, "rationale": "<script>alert(1)</script>"})
    assert refused.status_code == 422
    said = refused.content.decode()
    assert "Give every answer a rank first." in said
    assert "<script>alert" not in said
    wrong = client.post(address, {**fields, f"rank_{three}": 4})
    assert wrong.status_code == 422
    done = client.post(address, {**fields, f"rank_{three}": 2}, follow=True)
    assert "Saved." in done.content.decode()
    ranking = Ranking.objects.get()
    assert ranking.tiers == [[two], sorted([one, three])]
    mine = client.get(f"/p/{project.slug}/rank/mine/").content.decode()
    assert "B, A = C" in mine
    amend = client.get(f"/p/{project.slug}/rank/?amend={ranking.uuid}").content.decode()
    assert "Your ranking, to be changed" in amend
    again = {**fields, "uuid": str(uuid4()), "supersedes": str(ranking.uuid), "skip": "on"}
    client.post(address, again)
    assert Ranking.objects.current().get().skipped


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"pair": "x"},
        {"pair": "1", "uuid": "x"},
        {"pair": str(10**17), "uuid": str(uuid4())},
        {"pair": "9" * 40, "uuid": str(uuid4())},
        {"pair": "1", "uuid": str(uuid4()), "supersedes": str(uuid4()), "skip": "on"},
    ],
)
def test_a_form_that_is_none_of_ours_is_passed_over(
    project: Any, member: Any, as_user: Any, fields: dict[str, str]
) -> None:
    answer = as_user(member).post(
        f"/p/{project.slug}/rank/submit/", fields, headers={"Steelyard-Part": "card"}
    )
    assert (answer.status_code, answer.headers["Steelyard-Label"]) == (409, "passed")


@pytest.mark.parametrize("draft", ["{", "[]", "1", '{"fields": []}', "x" * 200_000])
def test_drafts_and_leases_are_kept_whatever_is_sent(
    project: Any, member: Any, as_user: Any, draft: str
) -> None:
    output_set = factories.make_set(project, 2)
    client = as_user(member)
    client.get(f"/p/{project.slug}/rank/")
    fields = {"pairs": f"{output_set.pk},x,{'9' * 30}", "draft": draft, "draft_of": output_set.pk}
    answer = client.post(f"/p/{project.slug}/rank/keep/", fields)
    assert answer.status_code in (200, 400)
    if answer.status_code == 200:
        assert answer.json() == {"held": [output_set.pk]}


def test_the_owner_sees_how_far_the_sets_are_and_takes_them_back(
    project: Any, owner: Any, member: Any, as_user: Any
) -> None:
    client = as_user(owner)
    address = f"/p/{project.slug}/labelling/"
    assert "No sets to rank yet." in client.get(address).content.decode()
    for _ in range(2):
        factories.make_set(project, 2)
    as_user(member).get(f"/p/{project.slug}/rank/")
    page = client.get(address).content.decode()
    assert "2 of 2 sets want rankings." in page
    assert "0 of 2 rankings" in page
    annotator = project.annotators.get(user=member)
    client.post(f"/p/{project.slug}/labelling/people/{annotator.pk}/release/")
    assert not annotator.ranking_leases.filter(expires_at__gt=timezone.now()).exists()


def test_a_project_with_sets_stays_one_of_rankings(project: Any, owner: Any, as_user: Any) -> None:
    factories.make_set(project, 2)
    body = json.dumps({"label_scheme": {"task": "pair"}})
    address = f"/api/v1/projects/{project.slug}"
    refused = as_user(owner).patch(address, body, content_type="application/json")
    assert (refused.status_code, refused.json()["code"]) == (409, "task_fixed")
