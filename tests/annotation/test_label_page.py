"""The labelling page as a browser without scripts sees it, and as its script does."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

import pytest
from django.urls import reverse

from annotation.models import Assignment, Judgment
from tests import factories

SCRIPT = {"Steelyard-Part": "card"}


def page_url(project: Any) -> str:
    return reverse("annotation:label", args=[project.slug])


def submit_url(project: Any) -> str:
    return reverse("annotation:label-submit", args=[project.slug])


def verdict(pair: Any, **overrides: Any) -> dict[str, Any]:
    return {"pair": pair.pk, "uuid": str(uuid4()), "verdict": "a2", **overrides}


@pytest.fixture
def pair(project: Any) -> Any:
    return factories.make_pair(project)


def test_it_works(project: Any, member: Any, pair: Any, as_user: Any) -> None:
    browser = as_user(member)
    page = browser.get(page_url(project)).content.decode()
    assert pair.prompt.text in page
    uuid = re.search(r'name="uuid" value="([^"]+)"', page)
    assert uuid

    said = verdict(pair, uuid=uuid[1], verdict="a3", rationale="Because.", tags=["clear"])
    answer = browser.post(submit_url(project), said, follow=True)

    assert answer.redirect_chain == [(page_url(project), 302)]
    assert "Saved." in answer.content.decode()
    assert "Nothing left to label" in answer.content.decode()
    judgment = Judgment.objects.get()
    assert (judgment.rationale, judgment.tags) == ("Because.", ["clear"])
    assert str(judgment.uuid) == uuid[1]


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize(
    ("said", "outcome", "strength"),
    [("a3", "a", -3), ("b1", "b", 1), ("tie", "tie", 0), ("both_bad", "both_bad", 0)],
)
def test_the_screen_is_mapped_to_the_pairs_own_sides(
    project: Any,
    member: Any,
    pair: Any,
    as_user: Any,
    swapped: bool,
    said: str,
    outcome: str,
    strength: int,
) -> None:
    browser = as_user(member)
    browser.get(page_url(project))
    Assignment.objects.update(swapped=swapped)
    page = browser.get(page_url(project)).content.decode()
    a, b = page.index(pair.output_a.text), page.index(pair.output_b.text)
    assert (b < a) == swapped

    exposure = '{"visible_ms": 900, "device": "pointer", "a": {"ms": 700}, "b": {"ms": 5}}'
    browser.post(submit_url(project), verdict(pair, verdict=said, exposure=exposure))

    flip = {"a": "b", "b": "a"} if swapped else {}
    judgment = Judgment.objects.get()
    assert judgment.outcome == flip.get(outcome, outcome)
    assert judgment.strength == (-strength if swapped else strength)
    assert judgment.swapped is swapped
    assert judgment.exposure["b" if swapped else "a"] == {"ms": 700}


def test_the_script_gets_the_next_card_in_the_same_answer(
    project: Any, member: Any, pair: Any, as_user: Any
) -> None:
    second = factories.make_pair(project)
    browser = as_user(member)
    browser.get(page_url(project))
    said = verdict(pair, done=0, total=2)
    answer = browser.post(submit_url(project), said, headers=SCRIPT)
    text = answer.content.decode()
    assert answer.status_code == 200
    assert answer["Steelyard-Label"] == "saved"
    assert "<html" not in text
    assert second.prompt.text in text
    assert 'data-done="1" data-total="2"' in text


def test_a_page_loaded_again_shows_the_same_pair_in_the_same_order(
    project: Any, member: Any, as_user: Any
) -> None:
    for _ in range(5):
        factories.make_pair(project)
    browser = as_user(member)
    shown = [browser.get(page_url(project)).context["shown"] for _ in range(3)]
    assert shown[0] == shown[1] == shown[2]


def test_a_card_names_no_model_no_votes_and_no_sides(
    project: Any, member: Any, as_user: Any
) -> None:
    pair = factories.make_pair(project, models=("secret-one", "secret-two"), wanted=3)
    factories.make_judgment(pair, "a", rationale="the-reason-of-another")
    page = as_user(member).get(page_url(project)).content.decode()
    assert "secret-" not in page
    assert "the-reason-of-another" not in page
    assert pair.output_a.key not in page


def test_a_refused_verdict_comes_back_with_what_was_said(
    project: Any, member: Any, pair: Any, as_user: Any
) -> None:
    project.label_scheme = {"rationale_required": True, "aspects": ["style"]}
    project.save()
    browser = as_user(member)
    browser.get(page_url(project))
    said = verdict(pair, verdict="b2", tags=["clear"], aspect_0="-2")
    for headers in ({}, SCRIPT):
        answer = browser.post(submit_url(project), said, headers=headers)
        page = answer.content.decode()
        assert answer.status_code == 422
        assert "Say why" in page
        assert re.search(r'value="b2"[^>]* checked', page)
        assert re.search(r'value="clear" checked', page)
        assert re.search(r'name="aspect_0" value="-2"[^>]* checked', page)
        assert said["uuid"] in page
    browser.post(submit_url(project), {**said, "rationale": "So."})
    judgment = Judgment.objects.get()
    assert judgment.aspects == {"style": 2 if judgment.swapped else -2}


@pytest.mark.parametrize("bad", [{}, {"verdict": "much"}, {"verdict": ""}])
def test_no_verdict_or_an_unknown_one_is_refused(
    project: Any, member: Any, pair: Any, as_user: Any, bad: dict[str, str]
) -> None:
    browser = as_user(member)
    browser.get(page_url(project))
    said = {k: v for k, v in {**verdict(pair), **bad}.items() if bad or k != "verdict"}
    answer = browser.post(submit_url(project), said, headers=SCRIPT)
    assert (answer.status_code, answer["Steelyard-Label"]) == (422, "refused")
    assert not Judgment.objects.exists()


def test_a_pair_completed_meanwhile_is_passed_over_with_a_word(
    project: Any, member: Any, pair: Any, as_user: Any
) -> None:
    browser = as_user(member)
    browser.get(page_url(project))
    Assignment.objects.update(expires_at="2020-01-01T00:00:00Z")
    factories.make_judgment(pair, "a")
    answer = browser.post(submit_url(project), verdict(pair), headers=SCRIPT)
    assert (answer.status_code, answer["Steelyard-Label"]) == (409, "passed")
    assert "others have judged it meanwhile" in unquote(answer["Steelyard-Problem"])
    plain = browser.post(submit_url(project), verdict(pair), follow=True)
    assert "others have judged it meanwhile" in plain.content.decode()
    assert Judgment.objects.count() == 1


@pytest.mark.parametrize("stray", [{"pair": "999999"}, {"pair": "x"}, {"uuid": "x"}, {"pair": ""}])
def test_a_stray_verdict_leads_to_the_next_card(
    project: Any, member: Any, pair: Any, as_user: Any, stray: dict[str, str]
) -> None:
    answer = as_user(member).post(submit_url(project), {**verdict(pair), **stray}, headers=SCRIPT)
    assert (answer.status_code, answer["Steelyard-Label"]) == (409, "passed")
    assert pair.prompt.text in answer.content.decode()


def test_another_projects_pair_is_not_judged_from_here(
    project: Any, member: Any, as_user: Any
) -> None:
    foreign = factories.make_pair(factories.make_project())
    as_user(member).post(submit_url(project), verdict(foreign))
    assert not Judgment.objects.exists()


def test_measurements_that_cannot_be_true_do_not_stand_in_the_way(
    project: Any, member: Any, pair: Any, as_user: Any
) -> None:
    browser = as_user(member)
    browser.get(page_url(project))
    exposure = '{"visible_ms": -5, "a": {"ms": "x", "watched": 7}, "b": [], "spy": 1}'
    browser.post(submit_url(project), verdict(pair, duration_ms=-3, exposure=exposure))
    judgment = Judgment.objects.get()
    assert (judgment.duration_ms, judgment.exposure) == (None, {})


def test_the_progress_is_counted_anew_now_and_then(project: Any, member: Any, as_user: Any) -> None:
    pairs = [factories.make_pair(project) for _ in range(3)]
    browser = as_user(member)
    browser.get(page_url(project))
    said = verdict(pairs[0], done=19, total=500)
    answer = browser.post(submit_url(project), said, headers=SCRIPT)
    assert answer["Steelyard-Progress"] == "1/3"


def test_the_address_of_the_form_leads_back_to_the_page(
    project: Any, member: Any, as_user: Any
) -> None:
    """Where a sign-in sends somebody whose session had ended."""
    answer = as_user(member).get(submit_url(project))
    assert (answer.status_code, answer["Location"]) == (302, page_url(project))


@pytest.mark.parametrize(
    ("modality", "thing"), [("text", "answer"), ("image", "picture"), ("video", "clip")]
)
def test_it_asks_for_what_it_shows(
    project: Any, member: Any, pair: Any, as_user: Any, modality: str, thing: str
) -> None:
    project.modality = modality
    project.save()
    page = as_user(member).get(page_url(project)).content.decode()
    assert f"</span>: which {thing} is better?" in page


@pytest.mark.parametrize("kind", ["demo", "generate"])
@pytest.mark.parametrize("state", ["queued", "running"])
def test_an_empty_page_says_that_pairs_are_being_made(
    project: Any, member: Any, owner: Any, as_user: Any, kind: str, state: str
) -> None:
    run = project.runs.create(kind=kind, title="Two models answer", state=state)
    page = as_user(member).get(page_url(project)).content.decode()
    assert "Pairs are being made in the background" in page
    assert "Nothing left" not in page
    assert 'data-look-again="5"' in page
    assert '<noscript><meta http-equiv="refresh" content="5"></noscript>' in page
    assert run.get_absolute_url() not in page
    assert run.get_absolute_url() in as_user(owner).get(page_url(project)).content.decode()


@pytest.mark.parametrize(("kind", "state"), [("demo", "failed"), ("train", "running")])
def test_an_empty_page_waits_for_no_other_run(
    project: Any, member: Any, as_user: Any, kind: str, state: str
) -> None:
    project.runs.create(kind=kind, title="Something else", state=state)
    page = as_user(member).get(page_url(project)).content.decode()
    assert "Nothing left to label" in page
    assert "look-again" not in page


def test_a_page_with_a_pair_does_not_look_again(
    project: Any, member: Any, pair: Any, as_user: Any
) -> None:
    project.runs.create(kind="demo", title="More", state="running")
    page = as_user(member).get(page_url(project)).content.decode()
    assert pair.prompt.text in page
    assert "look-again" not in page
    assert "refresh" not in page
