"""The page that tells how far annotators agree."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from annotation.services.withdrawals import withdraw
from evaluation.agreeing import agreeing
from tests.factories import make_annotator, make_judgment, make_pair

pytestmark = pytest.mark.django_db


@pytest.fixture
def voted(project: Any) -> dict[str, Any]:
    """Twelve pairs: rater and scorer agree on nine of them; the robot, asked in both orders, says
    what was shown first on a third of its six."""
    rater, scorer = make_annotator(project, "rater"), make_annotator(project, "scorer")
    robot = make_annotator(project, "robot", kind="judge")
    for n in range(12):
        pair = make_pair(project)
        outcome = "ab"[n % 2]
        make_judgment(pair, outcome, annotator=rater, swapped=bool(n % 2))
        other = outcome if n < 9 else "ab"[1 - n % 2]
        make_judgment(pair, other, annotator=scorer, swapped=False)
        if n < 6:
            turned = outcome if n < 4 else "b"
            first = outcome if n < 4 else "a"
            orders = [{"outcome": first, "swapped": False}, {"outcome": turned, "swapped": True}]
            make_judgment(pair, outcome, annotator=robot, details={"orders": orders})
    return {"rater": rater, "scorer": scorer, "robot": robot}


def test_each_two_are_held_against_each_other(project: Any, voted: dict[str, Any]) -> None:
    found = agreeing(project)
    assert found.names == ["rater", "scorer", "robot (AI)"]
    assert found.raw[0, 1] == (0.75, 12)
    assert found.raw[1, 0] == (0.75, 12)
    assert found.kappa[0, 1][0] == pytest.approx(0.5, abs=0.02)
    assert found.raw[0, 2] == (1.0, 6)
    assert (found.votes, found.of, found.step, found.left_out) == (30, 30, 1, 0)


def test_coefficients_are_of_people_alone(project: Any, voted: dict[str, Any]) -> None:
    found = agreeing(project)
    assert found.people is not None
    assert found.ceiling is not None
    assert (found.people.annotators, found.people.items) == (2, 12)
    assert found.people.raw.value == pytest.approx(0.75)
    assert found.ceiling.people.value == pytest.approx(0.75)


def test_ac1_takes_for_categories_what_the_project_lets_people_say(
    project: Any, voted: dict[str, Any]
) -> None:
    def ac1(**scheme: bool) -> float | None:
        project.label_scheme = scheme
        people = agreeing(project).people
        return people and people.ac1.value

    # three in four alike, both answers about as common: as 2 · 0.75 − 1
    assert ac1(tie=False, both_bad=False) == pytest.approx(0.5, abs=0.01)
    assert ac1(tie=True, both_bad=False) == pytest.approx(2 / 3, abs=0.01)
    assert ac1() == pytest.approx(0.7, abs=0.01)
    # an imported vote says what nobody can choose
    make_judgment(make_pair(project), "tie", annotator=voted["rater"])
    assert ac1(tie=False, both_bad=False) == pytest.approx(0.64, abs=0.02)


def test_habits_of_people_and_of_judges_asked_in_both_orders(
    project: Any, voted: dict[str, Any]
) -> None:
    habits = {one.annotator.name: one for one in agreeing(project).habits}
    # what the rater was shown first won always
    assert habits["rater"].first.rate == 1.0
    assert habits["rater"].biased
    assert habits["robot"].pairs == 6
    assert habits["robot"].consistency.rate == pytest.approx(4 / 6)
    assert habits["robot"].to_first == pytest.approx(2 / 6)


def test_of_many_votes_a_sample_of_whole_pairs_is_looked_at(
    project: Any, voted: dict[str, Any]
) -> None:
    drawn = []
    for most, step in ((15, 2), (10, 3), (6, 5)):
        found = agreeing(project, most=most)
        assert (found.of, found.step) == (30, step)
        pairs = found.raw[0, 1][1] if found.votes else 0
        # rater and scorer have judged all of them, the robot some
        assert 2 * pairs <= found.votes <= 3 * pairs
        drawn.append(pairs)
    # which are drawn, their numbers decide: of twelve it may be none once, hardly thrice
    assert 0 < sum(drawn) < 3 * 12


def test_withdrawn_votes_and_lone_ones_tell_nothing(
    project: Any, voted: dict[str, Any], owner: Any
) -> None:
    withdraw(project=project, annotator=voted["scorer"], reason="at random", by=owner)
    found = agreeing(project)
    assert found.names == ["rater", "robot (AI)"]
    assert found.people is None


def test_the_page_shows_it_to_staff_alone(
    project: Any, voted: dict[str, Any], owner: Any, member: Any, stranger: Any, as_user: Any
) -> None:
    url = reverse("evaluation:agreement", args=[project.slug])
    page = as_user(owner).get(url).content.decode()
    assert "Krippendorff’s α" in page
    assert "robot (AI)" in page
    assert "leans" in page
    assert as_user(member).get(url).status_code == 404
    assert as_user(stranger).get(url).status_code == 404


def test_without_votes_it_says_what_to_do(project: Any, owner: Any, as_user: Any) -> None:
    page = as_user(owner).get(reverse("evaluation:agreement", args=[project.slug]))
    assert "No pair has been judged by two people yet." in page.content.decode()
