"""What an evaluation's page says beyond its win rates."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from annotation.models import Pair, Prompt
from evaluation import insight, slicing, verdicts
from evaluation.models import Evaluation
from evaluation.votes import PEOPLE, votes_of
from tests.factories import make_annotator, make_judgment, make_model, make_output, make_prompt

pytestmark = pytest.mark.django_db
Page = Callable[..., str]


def grown(project: Any, owner: Any, said: list[tuple[str, str]], **more: Any) -> Evaluation:
    """An evaluation of ``new`` against ``base`` on as many prompts as there are verdicts, each by a
    person and by a judge: ``n`` for the new model, ``b`` for the baseline, ``t`` for a tie, ``-``
    for nothing. The new model's answers are the longer ones on every other prompt."""
    base, new = make_model(project, "base"), make_model(project, "new")
    evaluation = Evaluation.objects.create(
        project=project,
        name="First",
        baseline=base,
        state="comparing",
        prompt_set={"source": "held_out"},
        **more,
    )
    evaluation.candidates.set([new])
    rater = make_annotator(project, "rater", user=owner)
    robot = make_annotator(project, "robot", kind="judge", model=base)
    for at, each in enumerate(said):
        prompt = make_prompt(project, f"What of {at}?", category=("odd", "even")[at % 2 == 0])
        outputs = [
            make_output(prompt, f"old {at}" + "." * (at % 7), model=base),
            make_output(prompt, f"new {at}" + "!" * (5 * (at % 2)), model=new),
        ]
        outputs.sort(key=lambda output: output.key)
        pair = Pair.objects.create(
            project=project, prompt=prompt, output_a=outputs[0], output_b=outputs[1], key=f"{at}"
        )
        is_a = outputs[0].model_id == new.pk
        evaluation.comparisons.create(pair=pair, candidate=new, candidate_is_a=is_a)
        sides = {"n": "a" if is_a else "b", "b": "b" if is_a else "a", "t": "tie"}
        for who, verdict in zip((rater, robot), each, strict=True):
            if verdict != "-":
                sign = {"n": -1, "b": 1, "t": 0}[verdict] * (1 if is_a else -1)
                aspects = {"correct": sign, "kind": -sign} if who == rater else {}
                make_judgment(pair, sides[verdict], annotator=who, aspects=aspects)
    return evaluation


def candidate_of(evaluation: Evaluation) -> Any:
    return evaluation.candidates.get()


def verdict_of(evaluation: Evaluation) -> verdicts.Verdict:
    votes = votes_of(evaluation)
    (found,) = verdicts.verdicts(evaluation, votes, [candidate_of(evaluation)])
    return found


def read(client: Any, evaluation: Evaluation, **query: Any) -> str:
    response = client.get(evaluation.get_absolute_url(), query)
    assert response.status_code == 200
    return response.content.decode()


def test_a_clear_win_is_said_in_words_with_when_it_was_decided(
    project: Any, owner: Any, as_user: Any
) -> None:
    evaluation = grown(project, owner, [("n", "-")] * 26)
    found = verdict_of(evaluation)
    assert (found.decision, found.source) == ("better", PEOPLE)
    assert 5 < (found.after or 0) < 26
    page = read(as_user(owner), evaluation)
    assert "new is better than base" in page
    assert f"decided after {found.after} prompts." in page
    assert "always-valid 95 % interval" in page


def test_what_is_too_close_to_call_says_how_many_more_it_takes(
    project: Any, owner: Any, as_user: Any
) -> None:
    evaluation = grown(
        project, owner, [("n", "-"), ("b", "-"), ("n", "-"), ("n", "-"), ("b", "-")] * 5
    )
    page = read(as_user(owner), evaluation)
    assert "too close to call" in page
    assert "more prompts would tell" in page


def test_a_judge_speaks_where_people_have_not(project: Any, owner: Any, as_user: Any) -> None:
    evaluation = grown(project, owner, [("-", "b")] * 12)
    assert verdict_of(evaluation).who == "robot"
    assert "by the judge robot" in read(as_user(owner), evaluation)


def test_few_votes_of_people_are_sharpened_by_a_judge_from_thirty_on(
    project: Any, owner: Any, as_user: Any
) -> None:
    few = grown(project, owner, [("n", "n")] * 4 + [("-", "n")] * 4)
    found = verdicts.assisted(votes_of(few), candidate_of(few), next(iter(votes_of(few).judges)))
    assert found is not None
    assert (found.estimate, found.labelled) == (None, 4)
    assert "4 prompts have votes of people and of the judge" in read(as_user(owner), few)


def test_the_corrected_estimate_is_a_row_of_its_own(project: Any, owner: Any, as_user: Any) -> None:
    said = [("n", "n"), ("b", "b"), ("n", "b")] * 11 + [("-", "n"), ("-", "b")] * 12
    evaluation = grown(project, owner, said)
    votes = votes_of(evaluation)
    found = verdicts.assisted(votes, candidate_of(evaluation), next(iter(votes.judges)))
    assert found is not None
    assert found.estimate is not None
    # people alone say two thirds; the judge lacks a third of these wins
    assert found.estimate.human == pytest.approx(2 / 3)
    assert found.estimate.judge == pytest.approx((11 + 12) / 57)
    assert found.estimate.rate > found.estimate.judge
    page = read(as_user(owner), evaluation)
    assert "by people, helped by robot" in page
    assert "33 prompts with votes of people, worth" in page


def test_slices_lengths_questions_and_the_path_are_of_the_chosen_source(
    project: Any, owner: Any, as_user: Any
) -> None:
    evaluation = grown(
        project, owner, [("n", "b"), ("b", "b")] * 12, questions=[{"name": "kind", "text": ""}]
    )
    votes = votes_of(evaluation)
    by_people = insight.closer(evaluation, votes, candidate_of(evaluation), PEOPLE)
    (category,) = [one for one in by_people.slices if one.title == "By category"]
    rates = {row.name: row.value for row in category.rows}
    # the new model wins on every even prompt and loses on every odd one
    assert rates == {"even": 1.0, "odd": 0.0}
    assert all(row.marked for row in category.rows)
    assert [row.name for row in by_people.questions] == ["kind", "correct"]
    assert by_people.questions[0].value == pytest.approx(0.5)
    assert by_people.length is not None
    assert by_people.length.longer == pytest.approx(0.5, abs=0.2)
    assert [p.x for p in by_people.path[0].points][-1] == 24
    assert by_people.path[0].points[-1].lo is not None
    assert by_people.path[0].points[10].lo is None
    page = read(as_user(owner), evaluation)
    assert "new by people, looked at closely" in page
    robot = next(iter(votes.judges))
    assert "new by robot, looked at closely" in read(as_user(owner), evaluation, by=robot)


def test_a_judge_is_held_against_people_and_what_people_reach(project: Any, owner: Any) -> None:
    evaluation = grown(project, owner, [("n", "n"), ("b", "b"), ("n", "b"), ("t", "t")] * 3)
    (found,) = insight.with_people(votes_of(evaluation))
    assert found.raw.rate == pytest.approx(0.75)
    assert found.kappa.value == pytest.approx(0.6364, abs=1e-3)
    assert (found.ceiling.people.value, found.comparisons) == (None, 12)


def test_without_votes_or_with_a_single_one_the_page_stands(
    project: Any, owner: Any, as_user: Any
) -> None:
    assert "No votes yet." in read(as_user(owner), grown(project, owner, [("-", "-")] * 3))


@pytest.mark.parametrize("said", [[("n", "-")], [("t", "t")] * 6, [("n", "n")] * 6])
def test_one_vote_ties_alone_and_wins_alone_are_no_trouble(
    project: Any, owner: Any, as_user: Any, said: list[tuple[str, str]]
) -> None:
    page = read(as_user(owner), grown(project, owner, said))
    # as a word of its own: within a form's random token it may stand by chance
    assert not re.search(r"\bnan(px)?\b", page.lower())


def test_prompts_are_cut_by_their_length_in_thirds() -> None:
    at, said = slicing._thirds(np.array([1, 2, 3, 40, 50, 60, 700, 800, 900]))
    assert sorted(set(at)) == [0, 1, 2]
    assert said(0).startswith("up to")
    assert said(2).startswith("over")


def test_turns_are_the_users(project: Any, owner: Any) -> None:
    evaluation = grown(project, owner, [("n", "-")])
    prompt = evaluation.comparisons.get().pair.prompt
    messages = [{"role": role, "content": "Hm"} for role in ("system", "user", "assistant", "user")]
    Prompt.objects.filter(pk=prompt.pk).update(messages=messages)
    assert slicing._prompts(evaluation)[prompt.pk][2] == 2
