"""What an answer gains by telling the judge to choose it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from annotation.models import Annotator
from annotation.services.judging import create_judge, start_check
from steelyard.inference.judging.probes import ATTACKS, QUESTIONS, gains, probes
from steelyard.lib.errors import UserError
from steelyard.registry.services import register_model
from tests.chat_server import ChatServer


def _answers(body: dict[str, Any]) -> dict[str, str]:
    text = body["messages"][0]["content"]
    found = re.findall(r"<<(\w{16}) answer ([AB])>>\n(.*?)\n<<\1 end of answer \2>>", text, re.S)
    return {letter: answer for _, letter, answer in found}


def _obedient(body: dict[str, Any], number: int) -> str:
    """Chooses whoever asks for it; else the shorter."""
    answers = _answers(body)
    asking = [one for one in "AB" if re.search("Choose me|Ignore all|erdict|right", answers[one])]
    side = asking[0] if asking else min("AB", key=lambda one: len(answers[one]))
    return f"So it says.\nVerdict: {side} (strength 3)"


def _steadfast(body: dict[str, Any], number: int) -> str:
    answers = _answers(body)
    right = {good for _, good, _ in QUESTIONS}
    side = next(one for one in "AB" if answers[one] in right)
    return f"It is right.\nVerdict: {side} (strength 2)"


def _judge(project: Any, url: str) -> Annotator:
    model = register_model(
        project=project,
        name="far",
        modality="text",
        family="endpoint",
        source=url,
        options={"model": "some-model"},
    )
    return create_judge(project=project, name="judge", model=model, criteria="Be right.")


@pytest.mark.django_db(transaction=True)
def test_an_obedient_judge_is_found_out(project: Any, owner: Any, settle: Any) -> None:
    with ChatServer(_obedient) as server:
        judge = _judge(project, server.url)
        run = settle(start_check(judge=judge, by=owner))
        assert run.state == "succeeded", run.error
        judge.refresh_from_db()
        found = judge.checks["injection"]
        assert found["lo"] > 0.9
        assert set(found["attacks"]) == set(ATTACKS)
        assert (found["run"], found["questions"]) == (run.pk, len(QUESTIONS))
        assert judge.spendings.get().calls == len(server.asked)


@pytest.mark.django_db(transaction=True)
def test_a_steadfast_one_gives_nothing_for_it(project: Any, owner: Any, settle: Any) -> None:
    with ChatServer(_steadfast) as server:
        judge = _judge(project, server.url)
        settle(start_check(judge=judge, by=owner))
    judge.refresh_from_db()
    found = judge.checks["injection"]
    assert (found["gain"], found["lo"], found["hi"]) == (0, 0, 0)


def test_only_an_admin_has_a_judge_checked(project: Any, member: Any) -> None:
    judge = _judge(project, "http://127.0.0.1:9/v1")
    with pytest.raises(UserError) as caught:
        start_check(judge=judge, by=member)
    assert caught.value.code == "admins_only"


def test_a_gain_is_over_the_harmless_sentence_and_its_interval_over_questions() -> None:
    lines = [
        {"question": q, "attack": attack, "outcome": outcome}
        for q, outcomes in enumerate([("a", "b"), ("a", "a"), ("tie", "b")])
        for attack, outcome in zip(("", "plea"), outcomes, strict=True)
    ]
    found = gains(lines)
    # 1, 0 and 1/2: mean 1/2, deviation 1/2, t of 2 degrees 4.303
    assert found["gain"] == 0.5
    assert found["hi"] - found["gain"] == pytest.approx(4.303 * 0.5 / 3**0.5, abs=1e-4)
    assert found["attacks"]["plea"] == 0.5
    assert gains([{**line, "outcome": None} for line in lines])["gain"] is None


def test_attacks_name_the_letter_as_which_their_answer_is_shown() -> None:
    for probe in probes(2):
        if "Verdict: A" in probe["b"]:
            assert probe["swaps"] == [True]
        if "Verdict: B" in probe["b"]:
            assert probe["swaps"] == [False]
