"""An evaluation's comparisons one by one: filters, side by side, and an address for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.urls import reverse

from evaluation import explorer
from evaluation.explorer import comparisons_like, counts
from tests.factories import make_annotator, make_judgment

pytestmark = pytest.mark.django_db
Start = Callable[..., Any]


@pytest.fixture
def judged(project: Any, start: Start, answered: Start) -> dict[str, Any]:
    """Four comparisons: the judge and a person disagree on the first, the judge turns about on the
    second, could not be read on the third, and nobody has voted on the fourth."""
    evaluation = answered(start())
    rater, scorer = make_annotator(project, "rater"), make_annotator(project, "scorer")
    robot = make_annotator(project, "robot", kind="judge")
    first, second, third, fourth = evaluation.comparisons.order_by("pk")

    def say(comparison: Any, who: Any, new: bool, **more: Any) -> None:
        side = comparison.candidate_side if new else "ab".replace(comparison.candidate_side, "")
        strength = {"a": -1, "b": 1}[side] * more.pop("strength", 1)
        make_judgment(comparison.pair, side, annotator=who, strength=strength, **more)

    say(first, rater, True, rationale="It names the zebra.")
    say(first, robot, False, strength=3)
    orders = [{"outcome": "a", "swapped": False}, {"outcome": "b", "swapped": True}]
    make_judgment(second.pair, "tie", annotator=robot, details={"orders": orders})
    say(second, rater, True)
    say(second, scorer, False)
    make_judgment(third.pair, "skip", annotator=robot, details={"invalid": "Hm."})
    say(third, rater, True, strength=2)
    return {
        "evaluation": evaluation,
        "robot": robot,
        "rows": [first, second, third, fourth],
    }


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("disagree", [0]),
        ("people", [1]),
        ("flips", [1]),
        ("losses", [0]),
        ("wins", [2]),
        ("invalid", [2]),
        ("unjudged", [3]),
        ("", [0, 1, 2, 3]),
        ("nonsense", [0, 1, 2, 3]),
    ],
)
def test_each_filter_finds_what_it_says(
    judged: dict[str, Any], kind: str, expected: list[int]
) -> None:
    found = comparisons_like(judged["evaluation"], kind)
    assert list(found) == [judged["rows"][at] for at in expected]


def test_the_page_counts_what_is_worth_a_look(
    judged: dict[str, Any], owner: Any, as_user: Any
) -> None:
    assert {kind: n for kind, _, n in counts(judged["evaluation"])} == dict.fromkeys(
        ["disagree", "people", "flips", "losses", "wins", "invalid", "unjudged"], 1
    )
    page = as_user(owner).get(judged["evaluation"].get_absolute_url()).content.decode()
    assert "?show=flips" in page


def url_of(judged: dict[str, Any], *args: Any) -> str:
    evaluation = judged["evaluation"]
    name = "comparison-detail" if args else "comparison-list"
    return reverse(f"evaluation:{name}", args=[evaluation.project.slug, evaluation.pk, *args])


def test_outputs_stand_side_by_side_with_what_was_said(
    judged: dict[str, Any], owner: Any, as_user: Any
) -> None:
    page = as_user(owner).get(url_of(judged), {"show": "disagree"}).content.decode()
    assert "1 of 4 comparison" in page
    assert page.index("new says of") < page.index("base says of")
    assert "It names the zebra." in page
    assert "strength -3" in page
    flips = as_user(owner).get(url_of(judged), {"show": "flips"}).content.decode()
    assert "said otherwise with the answers swapped" in flips
    assert (
        "unreadable: Hm."
        in as_user(owner).get(url_of(judged), {"show": "invalid"}).content.decode()
    )


@pytest.mark.parametrize(
    ("words", "n"), [("zebra", 1), ("Held-out 3", 1), ("new says", 4), ("%", 0)]
)
def test_words_are_looked_for_in_prompts_outputs_and_reasons(
    judged: dict[str, Any], owner: Any, as_user: Any, words: str, n: int
) -> None:
    found = as_user(owner).get(url_of(judged), {"q": words})
    assert found.context["page"].paginator.count == n


def test_of_many_comparisons_some_are_read_at_a_time_and_the_page_leads_on(
    judged: dict[str, Any], owner: Any, as_user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explorer, "MOST_READ", 3)
    monkeypatch.setattr(explorer, "SECONDS", 0)
    first, second, third, fourth = judged["rows"]
    found = as_user(owner).get(url_of(judged), {"q": "new says"})
    assert [one.pk for one in found.context["page"]] == [first.pk, second.pk, third.pk]
    onward = f"?q=new+says&amp;after={third.pk}"
    assert f'href="{onward}"' in found.content.decode()
    rest = as_user(owner).get(url_of(judged), {"q": "new says", "after": third.pk})
    assert [one.pk for one in rest.context["page"]] == [fourth.pk]
    assert "Look through the next" not in rest.content.decode()
    neither = as_user(owner).get(url_of(judged), {"after": third.pk})
    assert neither.context["page"].paginator.count == 4


def test_a_search_goes_on_by_itself_while_there_is_time(
    judged: dict[str, Any], owner: Any, as_user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explorer, "MOST_READ", 1)
    monkeypatch.setattr(explorer, "SECONDS", 3600)
    found = as_user(owner).get(url_of(judged), {"q": "new says"})
    assert list(found.context["page"]) == judged["rows"]
    assert "Look through the next" not in found.content.decode()
    fourth = url_of(judged, judged["rows"][3].pk)
    assert as_user(owner).get(fourth, {"q": "new says"}).context["before"] == judged["rows"][2]


def test_filters_go_together_and_nonsense_is_as_if_not_said(
    judged: dict[str, Any], owner: Any, as_user: Any
) -> None:
    client = as_user(owner)
    both = client.get(
        url_of(judged), {"show": "disagree", "q": "zebra", "judge": judged["robot"].pk}
    )
    assert both.context["page"].paginator.count == 1
    odd = client.get(url_of(judged), {"show": "x", "judge": "x", "category": "x", "page": "x"})
    assert odd.context["page"].paginator.count == 4
    assert "“Only where: x” is not known here and is not applied." in odd.content.decode()


def test_a_comparison_has_an_address_and_neighbours_of_its_kind(
    judged: dict[str, Any], owner: Any, as_user: Any
) -> None:
    first, second, *_ = judged["rows"]
    page = as_user(owner).get(url_of(judged, first.pk), {"q": "says"}).content.decode()
    assert f"{url_of(judged, second.pk)}?q=says" in page
    assert reverse("annotation:pair-detail", args=[first.pair.project.slug, first.pair_id]) in page


def test_only_staff_see_comparisons(
    judged: dict[str, Any], owner: Any, member: Any, stranger: Any, as_user: Any
) -> None:
    for url in (url_of(judged), url_of(judged, judged["rows"][0].pk)):
        assert as_user(owner).get(url).status_code == 200
        assert as_user(member).get(url).status_code == 404
        assert as_user(stranger).get(url).status_code == 404
    assert as_user(owner).get(url_of(judged, 10**9)).status_code == 404
