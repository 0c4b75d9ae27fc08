"""A judge's card: the verdicts of GPT-3.5 and GPT-4 beside the crowd's, and what is told of judges
of which little is known. Figures on real votes are counted from the files once more, by hand."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse
from sklearn.metrics import cohen_kappa_score

from annotation.formats import llmfao
from annotation.models import Annotator, JudgeSpending, Judgment
from annotation.services.importing import import_records
from evaluation.judge_card import card_of
from evaluation.makers import maker_of, maker_of_name
from steelyard.runs.models import Run
from tests import factories

pytestmark = pytest.mark.django_db
FOLDER = Path(__file__).resolve().parents[3] / "shared" / "data" / "llmfao"
FILES = {"gpt-4": "gpt4-crowd-comparisons.csv", "gpt-3.5": "gpt3-crowd-comparisons.csv"}


def rows_of(name: str) -> list[dict[str, str]]:
    with (FOLDER / name).open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def card_at(judge: Annotator, **said: Any) -> str:
    return reverse("evaluation:judge-card", args=[judge.project.slug, judge.pk], query=said)


@pytest.mark.skipif(not FOLDER.is_dir(), reason="the crowd comparisons are not beside the checkout")
def test_cards_of_real_judges_are_what_the_files_say(
    project: Any, as_user: Any, owner: Any
) -> None:
    import_records(project=project, records=llmfao.read(FOLDER), by=None)
    crowd = rows_of("crowd-comparisons.csv")
    people: dict[str, list[str]] = defaultdict(list)
    for row in crowd:
        people[row["id"]].append(row["winner"])
    for name, file in FILES.items():
        card = card_of(Annotator.objects.get(project=project, name=name))
        said = {row["id"]: row["winner"] for row in rows_of(file)}
        assert (card.votes, card.people, card.invalid) == (2139, 8931, 0)
        # equal votes, pair by pair
        equal = Counter(said[row["id"]] == row["winner"] for row in crowd)
        assert sum(n for (a, b), n in card.confusion.items() if a == b) == equal[True]
        assert card.agrees is not None
        assert card.agrees.rate == pytest.approx(equal[True] / len(crowd))
        assert card.agrees.lo < card.agrees.rate < card.agrees.hi
        # κ by scikit-learn, of outputs and not of sides
        n = len(crowd)
        verdicts = dict(
            Judgment.objects.filter(annotator=card.judge).values_list("pair", "outcome")
        )
        votes = Judgment.objects.by_people().values_list("pair", "outcome")
        both = [(verdicts[pair], outcome) for pair, outcome in votes]
        assert card.kappa is not None
        assert card.kappa.value == pytest.approx(cohen_kappa_score(*zip(*both, strict=True)))
        # the left side was first; each prompt counts alike
        assert card.habits is not None
        assert not card.drawn
        assert card.habits.first.wins == sum(w == "left" for w in said.values())
        assert card.habits.consistency is None
        # a verdict as a probability, and how often the crowd then chose a side
        assert card.calibrated is not None
        assert card.source == "verdict"
        worth = {"left": 1.0, "tie": 0.5, "right": 0.0}
        brier = sum((worth[said[r["id"]]] - worth[r["winner"]]) ** 2 for r in crowd) / n
        assert card.calibrated.before.brier == pytest.approx(brier)
        assert card.calibrated.after.brier < brier
        # people among themselves are the ceiling
        assert card.ceiling is not None
        assert card.ceiling.people.value == pytest.approx(ceiling_of(people), abs=1e-9)
        assert card.maker == "OpenAI"
        assert card.own is not None
    page = as_user(owner).get(card_at(card.judge)).content.decode()
    assert "votes of people" in page
    assert "may win because it is better" in page
    body = as_user(owner).get(f"/api/v1/projects/{project.slug}/judges/{card.judge.pk}/card").json()
    assert body["people"] == 8931
    assert body["own_maker"]["maker"] == "OpenAI"
    assert body["agrees"]["value"] == pytest.approx(card.agrees.rate)


def ceiling_of(people: dict[str, list[str]]) -> float:
    """Each person against the most common of the others, shared where several are."""
    means = []
    for votes in (votes for votes in people.values() if len(votes) > 1):
        shares = []
        for at, vote in enumerate(votes):
            others = Counter(votes[:at] + votes[at + 1 :])
            most = [w for w, n in others.items() if n == max(others.values())]
            shares.append(1 / len(most) if vote in most else 0.0)
        means.append(sum(shares) / len(shares))
    return sum(means) / len(means)


@pytest.fixture
def judge(project: Any) -> Annotator:
    return factories.make_annotator(project, "robot", kind="judge")


def test_of_a_judge_without_votes_or_without_people_the_page_says_so(
    project: Any, judge: Annotator, as_user: Any, owner: Any
) -> None:
    page = as_user(owner).get(card_at(judge)).content.decode()
    assert "nothing is known of it" in page
    factories.make_judgment(factories.make_pair(project), annotator=judge, outcome="a")
    page = as_user(owner).get(card_at(judge, brief=1)).content.decode()
    assert "nobody knows whether people agree with it" in page
    assert "<html" not in page


def test_a_judge_that_says_a_to_everything_is_seen_through(project: Any, judge: Annotator) -> None:
    rater = factories.make_annotator(project, "rater")
    for n in range(40):
        pair = factories.make_pair(project)
        shown = {"swapped": False, "outcome": "a", "probabilities": chances(0.7 + n % 3 / 10)}
        turned = {"swapped": True, "outcome": "b", "probabilities": chances(0.3)}
        factories.make_judgment(
            pair, annotator=judge, outcome="a", details={"orders": [shown, turned]}
        )
        factories.make_judgment(pair, annotator=rater, outcome="a" if n % 2 else "b")
    card = card_of(judge)
    assert card.agrees is not None
    assert card.agrees.rate == 0.5
    assert card.no_better_than_chance
    assert not card.too_few
    assert card.source == "tokens"
    assert card.habits is not None
    assert card.habits.biased
    assert card.drawn
    assert (card.habits.first.rate, card.habits.to_first) == (1.0, 1.0)
    assert card.habits.consistency is not None
    assert card.habits.consistency.rate == 0.0
    assert card.calibrated is not None
    assert 0.45 < float(card.calibrated.said.mean()) < 0.55


@pytest.mark.parametrize("source", ["tokens", "samples", "posterior", "verdict", "mixed"])
def test_the_card_says_what_probabilities_came_of(
    source: str, project: Any, as_user: Any, owner: Any
) -> None:
    judge = factories.make_annotator(project, "robot", kind="judge", is_jury=source == "posterior")
    Annotator.objects.filter(pk=judge.pk).update(checks={"jury": {"members": [], "pairs": 6}})
    rater = factories.make_annotator(project, "rater")
    sure = {"swapped": False, "outcome": "a", "probabilities": chances(0.75)}
    for n in range(6):
        kind = source if source != "mixed" else ("tokens", "verdict")[n % 2]
        samples = [{"outcome": "a"}, {"outcome": "b"}, {"outcome": None}]
        details: dict[str, Any] = {
            "tokens": {"orders": [{**sure, "samples": [sure, sure]} if n % 2 else sure]},
            "samples": {"orders": [{**sure, "samples": samples}]},
            "posterior": {"p_a": 0.75},
            "verdict": {},
        }[kind]
        pair = factories.make_pair(project)
        factories.make_judgment(pair, annotator=judge, outcome="a", details=details)
        factories.make_judgment(pair, annotator=rater, outcome="ab"[n % 2])
    card = card_of(judge)
    assert card.source == source
    assert card.calibrated is not None
    if source not in {"verdict", "mixed"}:
        assert [one.said for one in card.calibrated.before.bins] == [0.75]
    words = {
        "tokens": "the words that stand for its verdict",
        "samples": "shares of its answers",
        "posterior": "its members’ votes make probable",
        "verdict": "tells no probabilities",
        "mixed": "told of some pairs only",
    }
    page = as_user(owner).get(card_at(judge)).content.decode()
    assert {name for name, text in words.items() if text in page} == {source}
    at = f"/api/v1/projects/{project.slug}/judges/{judge.pk}/card"
    told = as_user(owner).get(at).json()["calibration"]
    assert (told["source"], told["measured"]) == (source, source == "tokens")


def test_a_scorer_sees_one_text_at_a_time_and_has_no_position(
    project: Any, as_user: Any, owner: Any
) -> None:
    scorer = {"kind": "hpsv2", "source": "clip"}
    judge = factories.make_annotator(project, "scorer", kind="judge", scorer=scorer)
    for n in range(4):
        factories.make_judgment(
            factories.make_pair(project), "ab"[n % 2], annotator=judge, swapped=False
        )
    assert card_of(judge).habits is None
    assert 'id="position"' not in as_user(owner).get(card_at(judge)).content.decode()


def chances(a: float) -> dict[str, float]:
    return {"a": a, "b": 1.0 - a, "tie": 0.0, "both_bad": 0.0}


def test_a_judge_that_is_kind_to_its_own_maker_is_flagged(project: Any) -> None:
    judge = factories.make_annotator(project, "gpt-4", kind="judge")
    rater = factories.make_annotator(project, "rater")
    for n in range(40):
        pair = factories.make_pair(project, models=("gpt-3.5-turbo", "claude-2"))
        ours = "a" if pair.output_a.model.name == "gpt-3.5-turbo" else "b"
        factories.make_judgment(pair, annotator=judge, outcome=ours)
        factories.make_judgment(pair, annotator=rater, outcome=ours if n % 2 else "tie")
    card = card_of(judge)
    assert card.own is not None
    assert card.own.favours
    value, lo, _ = card.own.difference
    assert value == pytest.approx(0.25)
    assert lo is not None
    assert lo > 0


def test_what_a_judge_cost_is_the_sum_of_its_runs(project: Any, judge: Annotator) -> None:
    for calls in (10, 30):
        run = Run.objects.create(project=project, kind="judge", title="Judging", spec={})
        JudgeSpending.objects.create(judge=judge, run=run, calls=calls, cost=0.25, seconds=calls)
    card = card_of(judge)
    assert (card.spent["calls"], card.spent["cost"], card.seconds_a_call) == (40, 0.5, 1.0)


def test_a_vote_that_comes_later_is_on_the_card(project: Any, judge: Annotator) -> None:
    pair = factories.make_pair(project)
    factories.make_judgment(pair, annotator=judge, outcome="a")
    assert card_of(judge).people == 0
    vote = factories.make_judgment(pair, annotator=factories.make_annotator(project, "rater"))
    assert card_of(judge).people == 1
    assert Judgment.objects.filter(pk=vote.pk).exists()


def test_makers_are_known_by_name_source_and_what_a_model_was_trained_from(project: Any) -> None:
    assert maker_of_name("GPT-4") == maker_of_name("text-davinci-003") == "OpenAI"
    assert maker_of_name("GPT-NeoX") == maker_of_name("my model") == ""
    assert maker_of_name("vicuna (llama 13b)") == "Meta"
    base = factories.make_model(project, "base", family="causal_lm", source="org/some-model")
    assert maker_of(base) == "org"
    tuned = factories.make_model(project, "tuned", family="causal_lm", base=base)
    assert maker_of(tuned) == "org"


def test_cards_are_for_those_who_manage_the_project(
    judge: Annotator, as_user: Any, owner: Any, member: Any, stranger: Any
) -> None:
    api = f"/api/v1/projects/{judge.project.slug}/judges/{judge.pk}/card"
    for user, status in ((owner, 200), (member, 404), (stranger, 404)):
        for url in (card_at(judge), card_at(judge, brief=1), api):
            assert as_user(user).get(url).status_code == status
