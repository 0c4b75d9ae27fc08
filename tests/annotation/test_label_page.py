"""The labelling page as a browser without scripts sees it, and as its script does."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

import pytest
from django.urls import reverse

from annotation.models import Assignment, Flag, Judgment, Pair
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


def post(browser: Any, name: str, project: Any, **said: Any) -> Any:
    return browser.post(reverse(f"annotation:{name}", args=[project.slug]), said)


def test_cards_ahead_are_other_pairs_and_none_are_beyond_the_last(
    project: Any, member: Any, as_user: Any
) -> None:
    pairs = [factories.make_pair(project) for _ in range(3)]
    browser = as_user(member)
    url = reverse("annotation:label-next", args=[project.slug])
    held = [pairs[0].pk]
    assert f'data-pair="{held[0]}"' in browser.get(page_url(project)).content.decode()
    for _ in range(2):
        card = browser.get(url, {"holding": ",".join(map(str, held))}, headers=SCRIPT)
        assert card["Steelyard-Card"] == "pair"
        found = re.search(r'data-pair="(\d+)"', card.content.decode())
        assert found
        held.append(int(found[1]))
    assert len(set(held)) == 3
    last = browser.get(url, {"holding": ",".join(map(str, held))}, headers=SCRIPT)
    assert (last["Steelyard-Card"], last.content) == ("none", b"")


def test_evidence_on_the_shown_text_is_kept_against_its_source(
    project: Any, member: Any, as_user: Any
) -> None:
    pair = factories.make_pair(project, texts=("The **bold** claim.", "The **bold** claim!"))
    browser = as_user(member)
    browser.get(page_url(project))
    item = {"side": "b", "kind": "span", "shown": [4, 8], "quote": "bold", "says": "bad"}
    browser.post(submit_url(project), verdict(pair, evidence=json.dumps([item])))
    judgment = Judgment.objects.get()
    [kept] = judgment.evidence
    text = (pair.output_a if kept["side"] == "a" else pair.output_b).text
    assert kept["side"] == ("a" if judgment.swapped else "b")
    assert text[kept["start"] : kept["end"]] == kept["quote"] == "bold"

    again = browser.get(page_url(project), {"amend": str(judgment.uuid)}).context["said"]
    assert json.loads(again["evidence"]) == [item]


@pytest.mark.parametrize(
    "evidence",
    [
        "{",
        "7",
        "[7]",
        '[{"side": "c", "kind": "span", "shown": [0, 1]}]',
        '[{"side": "a", "kind": "span", "shown": [0, 999]}]',
        '[{"side": "a", "kind": "span", "shown": ["x"]}]',
        '[{"side": "a", "kind": "span", "shown": [0, 3], "note": "\\ud800"}]',
        '[{"kind": "span"}]',
        "[" * 50_000,
    ],
)
def test_evidence_that_makes_no_sense_is_refused_at_its_field(
    project: Any, member: Any, pair: Any, as_user: Any, evidence: str
) -> None:
    browser = as_user(member)
    browser.get(page_url(project))
    answer = browser.post(submit_url(project), verdict(pair, evidence=evidence), headers=SCRIPT)
    assert (answer.status_code, answer["Steelyard-Label"]) == (422, "refused")
    assert not Judgment.objects.exists()


def test_an_amended_verdict_supersedes_and_a_second_try_is_the_same(
    project: Any, member: Any, pair: Any, as_user: Any
) -> None:
    browser = as_user(member)
    browser.get(page_url(project))
    browser.post(submit_url(project), verdict(pair, verdict="a2", rationale="Because."))
    old = Judgment.objects.get()
    said = verdict(pair, verdict="tie", supersedes=str(old.uuid))
    for _ in range(2):
        answer = browser.post(submit_url(project), said, headers=SCRIPT)
        assert answer["Steelyard-Label"] == "saved"
    assert Judgment.objects.count() == 2
    assert Judgment.objects.current().get().outcome == "tie"
    third = browser.post(submit_url(project), {**said, "uuid": str(uuid4())}, headers=SCRIPT)
    assert third["Steelyard-Label"] == "passed"


def test_nobody_amends_or_sees_anothers_verdict(
    project: Any, member: Any, owner: Any, stranger: Any, pair: Any, as_user: Any
) -> None:
    browser = as_user(member)
    browser.get(page_url(project))
    browser.post(submit_url(project), verdict(pair, rationale="Mine alone."))
    judgment = Judgment.objects.get()
    for other in (owner, stranger):
        page = as_user(other).get(page_url(project), {"amend": str(judgment.uuid)})
        assert page.status_code == 404
        said = verdict(pair, supersedes=str(judgment.uuid))
        as_user(other).post(submit_url(project), said, headers=SCRIPT)
    assert Judgment.objects.get() == judgment
    mine = reverse("annotation:label-mine", args=[project.slug])
    assert "Mine alone." in browser.get(mine).content.decode()
    assert "Mine alone." not in as_user(owner).get(mine).content.decode()
    assert as_user(stranger).get(mine).status_code == 404


def test_leases_are_renewed_and_a_draft_is_kept(
    project: Any, member: Any, pair: Any, as_user: Any
) -> None:
    browser = as_user(member)
    browser.get(page_url(project))
    before = Assignment.objects.get().expires_at
    draft = {"at": 5, "fields": [["rationale", "so fa"]]}
    said = {"pairs": f"{pair.pk},999", "draft": json.dumps(draft), "draft_of": pair.pk}
    assert post(browser, "label-keep", project, **said).json() == {"held": [pair.pk]}
    lease = Assignment.objects.get()
    assert lease.expires_at > before
    assert lease.draft == draft
    assert "so fa" in browser.get(page_url(project)).content.decode()


@pytest.mark.parametrize(
    "said",
    [
        {"pairs": "x"},
        {"pairs": str(2**70)},
        {"pairs": "1", "draft": "{", "draft_of": "1"},
        {"pairs": "1", "draft": "{}"},
        {"pairs": "PAIR", "draft": '{"a": "\\u0000"}', "draft_of": "PAIR"},
    ],
)
def test_a_draft_that_is_none_is_refused(
    project: Any, member: Any, pair: Any, as_user: Any, said: dict[str, str]
) -> None:
    browser = as_user(member)
    browser.get(page_url(project))
    said = {name: value.replace("PAIR", str(pair.pk)) for name, value in said.items()}
    assert post(browser, "label-keep", project, **said).status_code == 400


@pytest.mark.parametrize(
    "keys", ["", "[]", "7", '{"a": 7}', '{"a": ""}', '{"a": "x", "b": "x"}', '{"a": "\\u0000"}']
)
def test_keys_that_make_no_sense_are_refused(
    project: Any, member: Any, as_user: Any, keys: str
) -> None:
    answer = post(as_user(member), "label-keys", project, keys=keys)
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_keys_stay_with_the_person(project: Any, member: Any, as_user: Any) -> None:
    member.preferences = {"other": 1}
    member.save()
    keys = {"verdict.tie-letter": "y"}
    assert post(as_user(member), "label-keys", project, keys=json.dumps(keys)).status_code == 200
    member.refresh_from_db()
    assert member.preferences == {"other": 1, "label_keys": keys}
    assert as_user(member).get(page_url(project)).context["settings"]["keys"] == keys


def test_a_flag_reaches_the_owner_once(project: Any, member: Any, pair: Any, as_user: Any) -> None:
    browser = as_user(member)
    browser.get(page_url(project))
    said = {"pair": pair.pk, "uuid": str(uuid4()), "reason": "harmful", "note": "Look."}
    statuses = [post(browser, "label-flag", project, **said).status_code for _ in range(2)]
    assert statuses == [201, 200]
    assert Flag.objects.get().note == "Look."
    for bad in ({"reason": "?"}, {"pair": "x"}, {"uuid": ""}, {"note": "\x00"}):
        fresh = {**said, "uuid": str(uuid4()), **bad}
        assert post(browser, "label-flag", project, **fresh).status_code == 400
    assert post(browser, "label-flag", project, **{**said, "pair": 10**6}).status_code == 404


@pytest.mark.parametrize("name", ["label-keep", "label-flag", "label-keys", "label-submit"])
def test_a_stranger_reaches_none_of_it(
    project: Any, stranger: Any, pair: Any, as_user: Any, name: str
) -> None:
    assert post(as_user(stranger), name, project, pair=pair.pk).status_code == 404
    url = reverse("annotation:label-next", args=[project.slug])
    assert as_user(stranger).get(url).status_code == 404


def test_a_training_pair_without_scripts(project: Any, member: Any, as_user: Any) -> None:
    pair = factories.make_pair(project)
    Pair.objects.filter(pk=pair.pk).update(is_training=True, known_outcome="a")
    browser = as_user(member)
    page = browser.get(page_url(project))
    assert "Training 1 of 1" in page.content.decode()
    first_is_a = page.context["shown"][0][1] == pair.output_a
    said = verdict(pair, verdict="a2" if first_is_a else "b2", training=1)
    answer = browser.post(submit_url(project), said)
    assert answer.status_code == 200
    text = answer.content.decode()
    assert "Right." in text
    assert f"{'A' if first_is_a else 'B'} is better." in text
    assert not Judgment.objects.exists()


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("paused", True, "This project is paused"),
        ("person_cap", 0, "Your share is done"),
        ("day_cap", 0, "Enough for today"),
    ],
)
def test_a_page_without_a_pair_says_why(
    project: Any, member: Any, pair: Any, as_user: Any, field: str, value: Any, words: str
) -> None:
    setattr(project, field, value)
    project.save()
    assert words in as_user(member).get(page_url(project)).content.decode()


def test_an_answer_of_white_space_is_no_answer_and_one_of_markup_is_shown_as_written(
    project: Any, owner: Any, as_user: Any
) -> None:
    pair = factories.make_pair(project, texts=(" \n\t", "> " * 30 + "deep"))
    for url in (page_url(project), reverse("annotation:pair-detail", args=[project.slug, pair.pk])):
        page = as_user(owner).get(url).content.decode()
        assert page.count("(no answer)") == 1
        assert page.count("&gt; deep</pre>") == 1


def test_a_set_says_which_answer_is_white_space(project: Any, owner: Any, as_user: Any) -> None:
    project.label_scheme = {"task": "ranking"}
    project.save()
    prompt = factories.make_prompt(project)
    texts = ("\n", "One.", "Two.")
    outputs = [
        factories.make_output(prompt, text, model=factories.make_model(project, f"model-{n}"))
        for n, text in enumerate(texts)
    ]
    factories.make_set(project, outputs=outputs)
    page = as_user(owner).get(reverse("annotation:rank", args=[project.slug])).content.decode()
    assert page.count("(no answer)") == 1


def test_a_reason_that_is_too_long_is_refused_whole_and_stays(
    project: Any, member: Any, pair: Any, as_user: Any
) -> None:
    browser = as_user(member)
    page = browser.get(page_url(project)).content.decode()
    assert "maxlength" not in page.partition('id="rationale"')[2].partition(">")[0]
    said = verdict(pair, rationale="x" * 20_001)
    answer = browser.post(submit_url(project), said, follow=True).content.decode()
    assert "The rationale has 20001 characters; at most 20000 are kept." in answer
    assert "x" * 20_001 in answer
    assert not Judgment.objects.exists()
