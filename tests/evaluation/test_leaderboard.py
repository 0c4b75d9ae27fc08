"""Which votes a leaderboard counts, and by which rule."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.urls import reverse
from django.utils import timezone

from annotation.held import gather
from annotation.models import Judgment, Pair
from annotation.services.withdrawals import lift, withdraw
from evaluation import kept
from evaluation.board_votes import Options
from evaluation.engine.ratings import ELO
from evaluation.engine.style import markdown_amounts
from evaluation.features import measure
from evaluation.leaderboard import standings
from evaluation.models import OutputMeasure
from evaluation.numbers import read_packed, within
from evaluation.services_routing import route
from tests.factories import make_annotator, make_judgment, make_model, make_output, make_pair
from tests.factories import make_prompt as prompt_of

pytestmark = pytest.mark.django_db
Cast = Callable[..., Pair]


@pytest.fixture
def cast(project: Any) -> Cast:
    """Two models' outputs on a prompt of their own, and votes on them: by annotator's name, which
    model is better, or tie, or both_bad."""
    voters: dict[str, Any] = {}

    def put(first: str, second: str, *, category: str = "", **votes: str) -> Pair:
        prompt = prompt_of(project, category=category)
        pair = make_pair(project, prompt=prompt, models=(first, second))
        for name, said in votes.items():
            kind = "judge" if name.startswith("robot") else "person"
            voters.setdefault(name, None)
            voters[name] = voters[name] or make_annotator(project, name, kind=kind)
            side = "a" if pair.output_a.model.name == said else "b"
            outcome = said if said in {"tie", "both_bad"} else side
            make_judgment(pair, outcome, annotator=voters[name])
        return pair

    return put


def meet(cast: Cast, times: int, **votes: str) -> None:
    """Two wins of alpha to one of beta, as often."""
    for number in range(times):
        winner = "beta" if number % 3 == 0 else "alpha"
        cast("alpha", "beta", **dict.fromkeys(votes or {"rater": ""}, winner))


def points(project: Any, **said: Any) -> dict[str, float]:
    board = standings(project, **said)
    return {one.model.name: one.row.rating for group in board.groups for one in group}


def test_it_works(project: Any, cast: Cast) -> None:
    meet(cast, 30)
    board = standings(project)
    gap = 400 * math.log10(2)
    assert points(project) == pytest.approx({"alpha": 1000 + gap / 2, "beta": 1000 - gap / 2})
    assert (board.votes, board.prompts, board.annotators, board.others) == (30, 30, 1, 0)
    first = board.groups[0][0]
    assert first.prompts == 30
    assert first.expected == pytest.approx((2 / 3, 0.0, 1 / 3))


def test_ties_have_a_share_of_their_own_in_what_is_expected(project: Any, cast: Cast) -> None:
    meet(cast, 12)
    for said in ("tie", "tie", "both_bad", "tie"):
        cast("alpha", "beta", rater=said)
    win, tie, loss = standings(project).groups[0][0].expected or (0, 0, 0)
    assert (win, tie, loss) == pytest.approx((8 / 16, 4 / 16, 4 / 16))
    assert standings(project).tables.bad.sum() == 2


def test_a_vote_knows_its_prompt_and_models_however_it_came(project: Any, cast: Cast) -> None:
    pair = cast("alpha", "beta", rater="alpha")
    vote = Judgment.objects.get(pair=pair)
    assert (vote.battle_prompt, vote.battle_a, vote.battle_b) == (
        pair.prompt_id,
        pair.output_a.model_id,
        pair.output_b.model_id,
    )


def test_people_and_judges_are_apart_and_one_judge_speaks_alone(project: Any, cast: Cast) -> None:
    meet(cast, 9, rater="", robot="", robot_two="")
    assert standings(project).votes == 9
    assert standings(project, source="judges").votes == 18
    robot = project.annotators.get(name="robot")
    assert standings(project, source="judges", judge=robot).votes == 9


def test_who_is_left_out_and_what_came_later_counts_for_nothing(project: Any, cast: Cast) -> None:
    meet(cast, 6)
    meet(cast, 9, scorer="")
    scorer = project.annotators.get(name="scorer")
    assert standings(project, without=(scorer,)).votes == 6
    early = Judgment.objects.filter(annotator=scorer).values("pk")
    Judgment.objects.filter(pk__in=early).update(created_at=timezone.now() - timedelta(days=3))
    yesterday = timezone.now() - timedelta(days=1)
    assert standings(project, until=yesterday).votes == 9


def test_pairs_of_models_can_count_equally(project: Any, cast: Cast) -> None:
    # alpha beats beta by two to one in 90 votes, in 9 of another category it loses by as much
    for number in range(99):
        often = number < 90
        better = (number % 3 > 0) == often
        cast("alpha", "beta" if often else "gamma", rater="alpha" if better else "other")
        cast("beta", "gamma", rater="tie")
    plain, equal = points(project), points(project, equal=True)
    assert plain != equal
    assert set(plain) == set(equal)


def test_a_category_is_a_board_of_its_own(project: Any, cast: Cast) -> None:
    for number in range(8):
        cast("alpha", "beta", category="odd", rater="alpha" if number % 4 else "beta")
        cast("alpha", "beta", category="even", rater="beta" if number % 4 else "alpha")
    odd, even = points(project, category="odd"), points(project, category="even")
    assert odd["alpha"] == pytest.approx(even["beta"])
    assert odd["alpha"] > odd["beta"]


def test_what_style_does_is_taken_out_of_the_ratings(project: Any) -> None:
    # whoever votes likes the longer answer in four of five; beta is as good but more often longer
    rater = make_annotator(project, "rater")
    rng = np.random.default_rng(1)
    alpha, beta = (make_model(project, name) for name in ("alpha", "beta"))
    for _ in range(160):
        prompt = prompt_of(project)
        long_is_beta = rng.random() < 0.7
        words = {True: "A long answer, " * 9 + str(rng.random()), False: f"Short {rng.random()}."}
        one = make_output(prompt, words[not long_is_beta], model=alpha)
        two = make_output(prompt, words[long_is_beta], model=beta)
        from annotation.services.material import add_pair

        pair, _made = add_pair(first=one, second=two)
        longer = two if long_is_beta else one
        best = longer.pk if rng.random() < 0.8 else (one.pk + two.pk - longer.pk)
        make_judgment(pair, "a" if pair.output_a_id == best else "b", annotator=rater)
    plain, held = points(project), points(project, style=True)
    assert plain["beta"] - plain["alpha"] > 60
    assert abs(held["beta"] - held["alpha"]) < 40
    controls = {one.name: one.effect for one in standings(project, style=True).controls[0]}
    assert controls["length"].lo > 0
    assert controls["headers"].elo == 0


def test_outputs_are_measured_once(project: Any) -> None:
    text = "# Title\n\n- one\n- **two**\n"
    make_output(prompt_of(project), text)
    assert measure(project) == 0
    row = OutputMeasure.objects.values("length", "headers", "bold", "list_items").get()
    assert row == markdown_amounts(text)
    assert measure(project, most=1) == 0
    assert OutputMeasure.objects.count() == 1


def test_style_that_only_tells_the_models_apart_is_refused(project: Any, cast: Cast) -> None:
    project.modality = "image"
    project.save()
    meet(cast, 6)
    board = standings(project, style=True)
    # no file has a size here: nothing differs, so nothing is taken out
    assert [one.effect.elo for one in board.controls[0]] == [0.0, 0.0]


class TestCombined:
    def test_few_labels_are_refused_with_the_number(self, project: Any, cast: Cast) -> None:
        meet(cast, 29, rater="", robot="")
        board = standings(project, source="combined")
        assert not board.groups
        assert "29 prompts have votes of people" in board.refused
        assert "at least 30" in board.refused

    def test_judges_that_are_off_are_corrected_by_people(self, project: Any, cast: Cast) -> None:
        # people prefer alpha in two of three; the judge turns every fourth vote to beta
        for number in range(240):
            human = "beta" if number % 3 == 0 else "alpha"
            robot = "beta" if number % 4 == 0 else human
            votes = {"rater": human} if number % 5 in (0, 2) else {}
            cast("alpha", "beta", robot=robot, **votes)
        people, judges = points(project), points(project, source="judges")
        board = standings(project, source="combined")
        together = {one.model.name: one.row for one in board.groups[0]}
        assert judges["alpha"] < people["alpha"]
        assert abs(together["alpha"].rating - people["alpha"]) < 15
        assert board.assisted is not None
        assert board.assisted.labelled == 96
        assert board.assisted.judged_pairs == 144
        assert board.assisted.effective > 100
        alone = standings(project).groups[0][0].row
        assert together["alpha"].hi - together["alpha"].lo < alone.hi - alone.lo
        assert board.groups[0][0].judged == 144

    def test_a_model_that_people_never_saw_is_not_rated_by_judges_alone(
        self, project: Any, owner: Any, as_user: Any, cast: Cast
    ) -> None:
        for number in range(90):
            winner = "beta" if number % 3 == 0 else "alpha"
            cast("alpha", "beta", robot=winner, **({"rater": winner} if number % 2 else {}))
        before = points(project, source="combined")
        for number in range(60):
            cast("alpha", "gamma", robot="gamma" if number % 5 else "alpha")
            cast("beta", "delta", rater="beta" if number % 5 else "delta")
        board = standings(project, source="combined")
        assert points(project, source="combined") == before
        assert {one.model.name: one.why.split(",")[0] for one in board.unrated} == {
            "gamma": "people have not voted on it",
            "delta": "none of its pairs has votes of both people and AI judges",
        }
        assert {row.judged for row in board.groups[0]} == {45}
        assert board.others == 120
        url = reverse("evaluation:leaderboard", args=[project.slug])
        text = as_user(owner).get(url, {"by": "combined"}).content.decode()
        assert "how far AI judges are off about it is unknown" in text
        assert "one prompt" not in text

    def test_two_that_only_judges_have_held_against_each_other_are_of_two_groups(
        self, project: Any, cast: Cast
    ) -> None:
        for number in range(90):
            for first, second in (("alpha", "beta"), ("gamma", "delta")):
                winner = second if number % 3 == 0 else first
                cast(first, second, robot=winner, **({"rater": winner} if number % 2 else {}))
            cast("alpha", "gamma", robot="gamma" if number % 5 else "alpha")
        groups = standings(project, source="combined").groups
        assert [{one.model.name for one in group} for group in groups] == [
            {"alpha", "beta"},
            {"gamma", "delta"},
        ]

    def test_pairs_that_were_drawn_stand_for_those_that_were_not(
        self, project: Any, owner: Any, as_user: Any, cast: Cast
    ) -> None:
        # where the judges differ people prefer beta, elsewhere alpha; of the former all are drawn
        pairs, wanted = [], []
        for number in range(120):
            unsure = number % 3 == 0
            pairs.append(cast("alpha", "beta", robot="alpha", robot2="beta" if unsure else "alpha"))
            wanted.append("beta" if unsure != (number % 4 == 0) else "alpha")
        judges = list(project.annotators.filter(kind="judge"))
        made = route(project=project, judges=judges, base=0.2, slope=0.8, by=owner)
        drawn = set(made.pairs.filter(drawn=True).values_list("pair", flat=True))
        rater = make_annotator(project)
        for pair, winner in zip(pairs, wanted, strict=True):
            if pair.pk in drawn:
                won = "a" if pair.output_a.model.name == winner else "b"
                make_judgment(pair, won, annotator=rater)
        assert points(project)["alpha"] < 1000
        board = standings(project, source="combined")
        alpha = next(one.row for one in board.groups[0] if one.model.name == "alpha")
        # 70 of all 120 would be for alpha
        assert alpha.lo is not None
        assert alpha.lo < 1000 + ELO / 2 * np.log(70 / 50) < alpha.hi
        assert alpha.rating > 1000
        assert board.assisted is not None
        assert (board.assisted.drawn, board.assisted.passed_by) == (len(drawn), 0)
        url = reverse("evaluation:leaderboard", args=[project.slug])
        text = as_user(owner).get(url, {"by": "combined"}).content.decode()
        assert "each stands for as many as its probability says" in text
        assert "are a random part of all" not in text


class TestKept:
    def test_nothing_is_made_again_until_a_vote_changes(
        self, project: Any, cast: Cast, django_assert_max_num_queries: Any
    ) -> None:
        meet(cast, 6)
        before = standings(project)
        with django_assert_max_num_queries(2):
            assert standings(project).votes == before.votes
        cast("alpha", "beta", rater="beta")
        assert standings(project).votes == 7

    def test_withdrawn_and_given_back(self, project: Any, cast: Cast) -> None:
        meet(cast, 6)
        meet(cast, 3, scorer="")
        scorer = project.annotators.get(name="scorer")
        made = withdraw(project=project, annotator=scorer, reason="failed the known", by=None)
        assert (standings(project).votes, standings(project).withdrawn) == (6, 3)
        lift(withdrawal=made, by=None)
        assert (standings(project).votes, standings(project).withdrawn) == (9, 0)

    @pytest.mark.parametrize("at", [0, 1])
    def test_a_vote_with_a_smaller_number_that_comes_in_sight_later_is_a_change(
        self, project: Any, cast: Cast, at: int
    ) -> None:
        meet(cast, 3)
        late = Judgment.objects.filter(project=project).order_by("pk")[at]
        Judgment.objects.filter(pk=late.pk).update(project=make_another(project))
        mark = kept.change_mark(project)
        Judgment.objects.filter(pk=late.pk).update(project=project)
        # what it changed is not looked at here: no board counts a skip, but other pages do
        assert kept.change_mark(project)[:3] != mark[:3]

    def test_a_vote_that_only_ceases_to_stand_is_gone(self, project: Any, cast: Cast) -> None:
        meet(cast, 3)
        first, second, _ = Judgment.objects.filter(project=project).order_by("pk")
        boards = [standings(project)]
        for change in (
            lambda: Judgment.objects.filter(pk=second.pk).update(is_current=False),
            lambda: gather(project),
            lambda: Judgment.objects.filter(pk=first.pk).update(outcome="tie", strength=0),
        ):
            change()
            boards.append(standings(project))
        assert [board.votes + board.others for board in boards] == [3, 2, 2, 2]
        assert [int(board.tables.ties.sum()) // 2 for board in boards] == [0, 0, 0, 1]

    def test_boards_of_many_options_do_not_pile_up(self, project: Any) -> None:
        for number in range(kept.MOST + 5):
            kept.kept(project, ("n", number), lambda number=number: number)  # type: ignore[misc]
        assert len(kept._boards) <= kept.MOST


def make_another(project: Any) -> Any:
    from tests.factories import make_project

    return make_project()


@pytest.mark.parametrize("far", [1, 2**40])
def test_packed_columns_come_back_as_they_are(project: Any, cast: Cast, far: int) -> None:
    meet(cast, 4)
    own = Judgment.objects.filter(project=project).order_by("pk")
    rows = own.values_list("pk", "battle_a", "battle_b")
    pks = [row[0] for row in rows]
    models = (min(min(r[1:]) for r in rows), max(max(r[1:]) for r in rows) + far)
    found = read_packed(rows, pk=(min(pks), max(pks) + far), a=models, b=models)
    assert list(zip(*(column.tolist() for column in found.values()), strict=True)) == list(rows)
    # what has come since is read right as long as it needs no more bits
    assert within({"pk": (5, 8)}, {"pk": (5, 6)}) is False
    assert within({"pk": (5, 8)}, {"pk": (5, 7)})
    assert not within({"pk": (4, 7)}, {"pk": (5, 7)})


def test_the_page_tells_each_rule_and_keeps_it_in_the_address(
    project: Any, owner: Any, as_user: Any, cast: Cast
) -> None:
    meet(cast, 31, rater="", robot="")
    client, url = as_user(owner), reverse("evaluation:leaderboard", args=[project.slug])
    rater = project.annotators.get(name="rater")
    page = client.get(url, {"equal": "on", "until": "2020-01-01", "without": rater.pk})
    text = page.content.decode()
    assert "Votes before 2 January 2020" in text
    assert "Left out:" in text
    assert "Every two models count equally" in text
    assert "equal=on" in text[text.index("views") :]
    combined = client.get(url, {"by": "combined"}).content.decode()
    assert "know as much as" in combined
    assert "Pairs judged by AI alone" in combined
    assert Options.from_json(project, page.context["options"].as_json()) == page.context["options"]
    assert client.get(url, {"format": "json"}).json()["standings"][0]["model"] == "alpha"


def test_the_page_says_what_style_does(project: Any, owner: Any, as_user: Any, cast: Cast) -> None:
    rng = np.random.default_rng(2)
    for number in range(40):
        texts = [f"Answer {number} {at}.\n" + "# Head\n" * rng.integers(4) for at in range(2)]
        texts = [text + "**So** it is.\n" * rng.integers(4) for text in texts]
        pair = make_pair(project, texts=(texts[0], texts[1]), models=("alpha", "beta"))
        make_judgment(pair, "ab"[rng.integers(2)], annotator=make_annotator(project))
    url = reverse("evaluation:leaderboard", args=[project.slug])
    text = as_user(owner).get(url, {"style": "on"}).content.decode()
    assert "What style does" in text
    assert "bold passages" in text
