"""What a judge has said, beside pairs that people are given: who sees it, whose sides it speaks of,
and what the vote keeps of it."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from annotation import sides
from annotation.models import Annotator, Assignment, Judgment, Pair
from annotation.recipe import Recipe
from annotation.services import prelabels
from annotation.services.prelabels import is_shown, set_prelabelling
from annotation.services.queue import annotator_for
from annotation.services.versions import publish_version
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def judge(project: Any) -> Annotator:
    return factories.make_annotator(project, "robot", kind="judge")


def judged(pair: Any, judge: Annotator, outcome: str = "a", **more: Any) -> Judgment:
    """A verdict of a judge that was asked in both orders, with a reason for each."""
    letter = {False: {"a": "A", "b": "B"}, True: {"a": "B", "b": "A"}}
    orders = [
        {
            "swapped": swapped,
            "outcome": outcome,
            "raw": f"Answer {letter[swapped][outcome]} is right.\nVerdict: "
            f"{letter[swapped][outcome]} (strength 1)",
        }
        for swapped in (False, True)
    ]
    said = {"details": {"orders": orders}, "rationale": f"Answer {outcome.upper()} is right."}
    return factories.make_judgment(pair, outcome, annotator=judge, **{**said, **more})


def of_both_deals(project: Any, annotator: Annotator) -> list[Pair]:
    """Two pairs, of which the annotator is shown a first and b first."""
    found: dict[bool, Pair] = {}
    while len(found) < 2:
        pair = factories.make_pair(project)
        if found.setdefault(sides.drawn(annotator.pk, pair.pk), pair) != pair:
            pair.delete()
    return list(found.values())


def page(as_user: Any, user: Any, project: Any) -> str:
    return str(as_user(user).get(f"/p/{project.slug}/label/").content.decode())


def send(as_user: Any, user: Any, pair: Any, verdict: str = "a1", **more: Any) -> Judgment:
    said = {"pair": pair.pk, "uuid": str(uuid4()), "verdict": verdict, **more}
    said |= {"evidence": "[]", "segments": "[]"}
    answer = as_user(user).post(
        f"/p/{pair.project.slug}/label/submit/", said, headers={"Steelyard-Part": "card"}
    )
    assert answer.headers["Steelyard-Label"] == "saved", answer.content
    return Judgment.objects.get(uuid=said["uuid"])


def test_nobody_sees_a_machine_unless_the_project_says_so(
    project: Any, owner: Any, member: Any, as_user: Any, judge: Annotator
) -> None:
    pair = factories.make_pair(project)
    judged(pair, judge)
    assert "machine’s verdict" not in page(as_user, member, project)
    vote = send(as_user, member, pair)
    assert vote.prelabel == {}


@pytest.mark.parametrize("outcome", ["a", "b"])
def test_the_verdict_speaks_of_the_sides_of_each_screen(
    project: Any, owner: Any, member: Any, as_user: Any, judge: Annotator, outcome: str
) -> None:
    set_prelabelling(project=project, judge=judge, share=100, by=owner)
    mine = annotator_for(user=member, project=project)
    deals = set()
    for pair in of_both_deals(project, mine):
        judged(pair, judge, outcome)
        shown = page(as_user, member, project)
        lease = Assignment.objects.get(annotator=mine)
        place = {"a": "b", "b": "a"}[outcome] if lease.swapped else outcome
        words = f"<strong>{place.upper()} is slightly better</strong>"
        assert words in shown
        assert f"Answer {place.upper()} is right." in shown
        assert "other way round" not in shown
        assert "checked" not in shown.split('class="choices"')[1].split("</fieldset>")[0]
        deals.add(lease.swapped)
        vote = send(as_user, member, pair, f"{place}1")
        assert vote.outcome == outcome
        assert vote.prelabel["shown"] is True
        assert (vote.prelabel["judge"], vote.prelabel["outcome"]) == (judge.pk, outcome)
    assert deals == {True, False}


def test_a_reason_with_the_letters_of_another_order_says_so(
    project: Any, owner: Any, judge: Annotator
) -> None:
    pair = factories.make_pair(project)
    verdict = judged(pair, judge)
    verdict.details["orders"] = verdict.details["orders"][:1]
    assert prelabels._reason(verdict, False) == ("Answer A is right.", "same")
    assert prelabels._reason(verdict, True) == ("Answer A is right.", "turned")
    verdict.details = {}
    verdict.swapped = None
    assert prelabels._reason(verdict, True) == ("Answer A is right.", "unknown")


def test_a_share_sees_nothing_and_the_vote_says_that_it_was_held_back(
    project: Any, owner: Any, member: Any, as_user: Any, judge: Annotator
) -> None:
    setting = set_prelabelling(project=project, judge=judge, share=50, by=owner)
    assert setting is not None
    pairs = [factories.make_pair(project) for _ in range(2)]
    for pair in pairs:
        judged(pair, judge)
    mine = annotator_for(user=member, project=project)
    while len({is_shown(setting, mine.pk, pair.pk) for pair in pairs}) < 2:
        setting.seed += 1
    setting.save()
    seen = []
    for _ in pairs:
        shown = "machine’s verdict" in page(as_user, member, project)
        assert shown == ("machine’s verdict" in page(as_user, member, project))
        pair = Assignment.objects.get(annotator=mine).pair
        assert shown == is_shown(setting, mine.pk, pair.pk)
        vote = send(as_user, member, pair)
        assert vote.prelabel["shown"] == shown
        seen.append(shown)
    assert set(seen) == {True, False}
    # over many the share is kept
    drawn = sum(is_shown(setting, person, pair) for person in range(40) for pair in range(100))
    assert 0.46 < drawn / 4000 < 0.54


def test_amending_shows_again_what_was_shown_and_keeps_it(
    project: Any, owner: Any, member: Any, as_user: Any, judge: Annotator
) -> None:
    set_prelabelling(project=project, judge=judge, share=100, by=owner)
    pair = factories.make_pair(project)
    judged(pair, judge)
    page(as_user, member, project)
    first = send(as_user, member, pair)
    set_prelabelling(project=project, judge=None, by=owner)
    again = as_user(member).get(f"/p/{project.slug}/label/?amend={first.uuid}").content.decode()
    assert "machine’s verdict" in again
    second = send(as_user, member, pair, "b1", supersedes=str(first.uuid))
    assert second.prelabel == first.prelabel


def test_on_pairs_that_are_to_be_blind_nothing_is_shown(
    project: Any, owner: Any, member: Any, as_user: Any, judge: Annotator
) -> None:
    set_prelabelling(project=project, judge=judge, share=100, by=owner)
    held_out = factories.make_prompt(project, held_out=True)
    blind = [factories.make_pair(project, prompt=prompt) for prompt in (None, held_out, None, None)]
    Pair.objects.filter(pk=blind[0].pk).update(known_outcome="a")
    Pair.objects.filter(pk=blind[2].pk).update(origin="evaluation")
    for pair in blind[:3]:
        judged(pair, judge)
    # a verdict that cannot be read is none
    judged(blind[3], judge, outcome="a", details={"invalid": "x"})
    Judgment.objects.filter(pair=blind[3]).update(outcome="skip", strength=0)
    for pair in blind:
        assert "machine’s verdict" not in page(as_user, member, project)
        assert send(as_user, member, pair).prelabel == {}


def test_the_page_that_comes_ahead_has_its_own(
    project: Any, owner: Any, member: Any, as_user: Any, judge: Annotator
) -> None:
    set_prelabelling(project=project, judge=judge, share=100, by=owner)
    pairs = [factories.make_pair(project) for _ in range(2)]
    judged(pairs[1], judge)
    assert "machine’s verdict" not in page(as_user, member, project)
    url = f"/p/{project.slug}/label/next/?holding={pairs[0].pk}"
    ahead = as_user(member).get(url, headers={"Steelyard-Part": "card"}).content.decode()
    assert f'data-pair="{pairs[1].pk}"' in ahead
    assert "machine’s verdict" in ahead


def test_clients_are_told_and_their_votes_keep_it(
    project: Any, owner: Any, member: Any, as_user: Any, judge: Annotator
) -> None:
    base = f"/api/v1/projects/{project.slug}"
    mine = as_user(owner)
    assert mine.get(f"{base}/prelabelling").json() == {"judge": None, "share": None, "set_at": None}
    for body, status in (
        ({"judge": "nobody"}, 400),
        ({"judge": "robot", "share": 0}, 400),
        ({"judge": "robot", "share": 100}, 200),
    ):
        answer = mine.patch(f"{base}/prelabelling", body, content_type="application/json")
        assert answer.status_code == status, answer.json()
    assert answer.json()["judge"] == "robot"
    pair = factories.make_pair(project)
    judged(pair, judge, "b")
    told = as_user(member).get(f"{base}/next").json()
    assert told["prelabel"]["outcome"] == "b"
    assert told["prelabel"]["judge"] == "robot"
    assert told["prelabel"]["letters"] == "same"
    said = {"uuid": str(uuid4()), "pair": pair.pk, "outcome": "b"}
    as_user(member).post(f"{base}/judgments", said, content_type="application/json")
    rows = mine.get(f"{base}/judgments?by=people").json()["results"]
    assert rows[0]["prelabel"]["shown"] is True
    off = mine.patch(f"{base}/prelabelling", {"judge": None}, content_type="application/json")
    assert off.json()["judge"] is None


def test_the_owner_turns_it_on_with_the_card_in_view(
    project: Any, owner: Any, as_user: Any, judge: Annotator
) -> None:
    url = f"/p/{project.slug}/labelling/pre-labels/"
    answer = as_user(owner).post(url, {"judge": judge.pk, "share": 70}, follow=True)
    shown = answer.content.decode()
    assert "on 70 % of the pairs" in shown
    assert f"judges/{judge.pk}/" in shown
    again = as_user(owner).post(url, {"judge": judge.pk, "share": 700}).content.decode()
    assert "less than or equal to 100" in again


def test_datasets_leave_such_votes_out_where_asked(
    project: Any, owner: Any, member: Any, as_user: Any, judge: Annotator
) -> None:
    set_prelabelling(project=project, judge=judge, share=100, by=owner)
    pairs = [factories.make_pair(project) for _ in range(4)]
    for pair in pairs[:2]:
        judged(pair, judge)
    for pair in pairs:
        page(as_user, member, project)
        send(as_user, member, pair)

    def rows(**said: Any) -> int:
        recipe = Recipe(test_fraction=0.0, **said)
        made = publish_version(project=project, dataset_name="All", recipe=recipe, by=owner)
        return int(made.counts["rows"])

    assert rows() == 4
    assert rows(prelabelled="drop") == 2
    assert "prelabelled" not in Recipe().as_dict()
    listed = as_user(owner).get(f"/p/{project.slug}/judgments/").content.decode()
    assert listed.count("saw a machine’s verdict") == 2
    table = b"".join(as_user(owner).get(f"/p/{project.slug}/judgments.csv").streaming_content)
    assert table.decode().count(",True,a") == 2
