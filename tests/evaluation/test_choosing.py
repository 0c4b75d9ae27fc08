"""Best of n from the scores that a project holds."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from annotation.services.material import add_pair
from evaluation.choosing import choosing, scores_by
from tests.factories import make_annotator, make_judgment, make_model, make_output, make_prompt

pytestmark = pytest.mark.django_db


@pytest.fixture
def scored(project: Any) -> dict[str, Any]:
    """Four outputs to each of twelve prompts. What the robot likes better the scorer likes less
    from the third on; of the robot's dimension a lower number is better."""
    model = make_model(project, "new")
    robot = make_annotator(project, "robot", kind="judge")
    scorer = make_annotator(project, "scorer", kind="judge")
    liked, really = [1.0, 2.0, 3.0, 4.0], [0.2, 0.9, 0.8, 0.1]
    for _ in range(12):
        prompt = make_prompt(project)
        outputs = [make_output(prompt, f"{n} of {prompt.pk}", model=model) for n in range(4)]
        values = {output.pk: (-liked[n], really[n]) for n, output in enumerate(outputs)}
        for one, other in ((0, 1), (2, 3)):
            pair, _ = add_pair(first=outputs[one], second=outputs[other], wanted=0)
            a, b = values[pair.output_a_id], values[pair.output_b_id]
            for who, at, name, sign in ((robot, 0, "blur", -1), (scorer, 1, "taste", 1)):
                details = {
                    "scores": {"a": {name: a[at]}, "b": {name: b[at]}},
                    "dimension": name,
                    "difference": sign * (a[at] - b[at]),
                }
                better = "a" if sign * a[at] > sign * b[at] else "b"
                make_judgment(pair, better, annotator=who, details=details)
    return {"model": model, "robot": robot, "scorer": scorer}


def test_choosing_by_a_proxy_that_is_wrong_at_the_end_does_harm(scored: dict[str, Any]) -> None:
    assert max(scores_by(scored["robot"]).values()) == 4.0
    found = choosing(scored["model"], scored["robot"], scored["scorer"])
    assert found is not None
    points = found.curve.points
    assert [p.n for p in points] == [1, 2, 4]
    assert (points[0].gold, points[-1].gold) == (pytest.approx(0.5), pytest.approx(0.1))
    assert (points[0].proxy, points[-1].proxy) == (pytest.approx(2.5), pytest.approx(4.0))
    # of two, the best of six pairs by the proxy: 0.9, 2 times 0.8, 3 times 0.1
    assert points[1].gold == pytest.approx((0.9 + 2 * 0.8 + 3 * 0.1) / 6)
    assert found.curve.over_optimised_from == 4


def test_the_page_shows_the_curve_to_staff_alone(
    project: Any, scored: dict[str, Any], owner: Any, member: Any, stranger: Any, as_user: Any
) -> None:
    url = reverse("evaluation:best-of-n", args=[project.slug])
    page = as_user(owner).get(url).content.decode()
    assert "From n = 4 on, more choosing does harm: scorer is highest at n = 1." in page
    assert "12 prompts with 4 outputs of new" in page
    turned = {"proxy": scored["scorer"].pk, "gold": scored["robot"].pk}
    assert "robot is highest at" in as_user(owner).get(url, turned).content.decode()
    assert as_user(owner).get(url, {"proxy": "x", "gold": "9" * 30}).status_code == 200
    assert as_user(member).get(url).status_code == 404
    assert as_user(stranger).get(url).status_code == 404


def test_without_scores_it_says_what_is_missing(project: Any, owner: Any, as_user: Any) -> None:
    page = as_user(owner).get(reverse("evaluation:best-of-n", args=[project.slug]))
    assert "No model has several outputs" in page.content.decode()
