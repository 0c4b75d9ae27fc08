"""The views of a leaderboard, and leaderboards that are published."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable
from typing import Any

import pytest
from django.urls import reverse
from rest_framework.test import APIClient

from annotation.models import Judgment
from annotation.services.withdrawals import withdraw
from evaluation.board_votes import Options
from evaluation.categories import of_model
from evaluation.headtohead import matrix
from evaluation.leaderboard import standings
from evaluation.models import PublishedBoard
from evaluation.outputs import store_output
from evaluation.services_board import ballots_of, code_version, publish_board, since
from steelyard.lib.errors import UserError
from steelyard.registry.models import ModelVersion
from steelyard.runs.models import Run
from tests.factories import make_annotator, make_judgment, make_model, make_pair, make_prompt

pytestmark = pytest.mark.django_db
ROOM = ("leaderboard", "leaderboard-matrix", "leaderboard-categories", "leaderboard-published-list")


@pytest.fixture
def votes(project: Any) -> None:
    """Three models round a circle, six times each two, in two categories; delta met gamma once."""
    rater, scorer = make_annotator(project, "rater"), make_annotator(project, "scorer")
    robot = make_annotator(project, "robot", kind="judge")
    for number in range(18):
        models = (("alpha", "beta"), ("beta", "gamma"), ("gamma", "alpha"))[number % 3]
        prompt = make_prompt(project, category="odd" if number % 2 else "even")
        pair = make_pair(project, prompt=prompt, models=models)
        first = "a" if pair.output_a.model.name == models[0] else "b"
        second = "b" if first == "a" else "a"
        make_judgment(pair, second if number > 14 else first, annotator=rater)
        make_judgment(pair, "tie", annotator=robot)
    lone = make_pair(project, models=("delta", "gamma"))
    make_judgment(lone, "tie", annotator=scorer)


def client_of(user: Any) -> APIClient:
    client = APIClient()
    client.force_authenticate(user)
    return client


def url_of(name: str, project: Any, *args: Any) -> str:
    return reverse(f"evaluation:{name}", args=[project.slug, *args])


def published(project: Any, **said: Any) -> PublishedBoard:
    said = {"title": "The first", "options": Options(), "by": None, **said}
    return publish_board(project=project, **said)


def test_only_staff_see_any_of_it(
    project: Any, owner: Any, member: Any, stranger: Any, as_user: Callable[..., Any], votes: None
) -> None:
    board = published(project)
    alpha, beta = (project.models.get(name=name).pk for name in ("alpha", "beta"))
    urls = [url_of(name, project) for name in ROOM]
    urls += [url_of("leaderboard-match", project, alpha, beta), board.get_absolute_url()]
    api = f"/api/v1/projects/{project.slug}/leaderboard"
    apis = [f"{api}/matrix", f"{api}/categories", f"{api}s", f"{api}s/{board.number}"]
    for user, status in ((owner, 200), (member, 404), (stranger, 404)):
        assert {as_user(user).get(url).status_code for url in urls} == {status}
        assert {client_of(user).get(url).status_code for url in apis} == {status}


def test_only_admins_publish(
    project: Any, owner: Any, member: Any, stranger: Any, as_user: Callable[..., Any], votes: None
) -> None:
    from tests.factories import make_user

    researcher = make_user("researcher", project=project, role="researcher")
    url, api = (
        url_of("leaderboard-publish", project),
        f"/api/v1/projects/{project.slug}/leaderboards",
    )
    for user in (researcher, member, stranger):
        assert as_user(user).post(url, {"title": "Mine"}).status_code == 404
        assert client_of(user).post(api, {}, format="json").status_code == 404
    assert "Publish this" not in as_user(researcher).get(url_of("leaderboard", project)).text
    assert not PublishedBoard.objects.exists()
    answer = as_user(owner).post(f"{url}?equal=on", {"title": "Ours"}, follow=True)
    assert "Every two models count equally" in answer.text
    said = {"title": "By the API", "by": "people", "without": ["scorer"]}
    made = client_of(owner).post(api, said, format="json")
    assert (made.status_code, made.json()["number"], made.json()["votes"]) == (201, 2, 18)
    assert [one["number"] for one in client_of(owner).get(api).json()["results"]] == [2, 1]


class TestMatrix:
    def test_what_was_seen_and_what_the_ratings_expect(self, project: Any, votes: None) -> None:
        rows = {row.model.name: row for row in matrix(standings(project))}
        cells = {cell.other.name: cell for cell in rows["alpha"].cells}
        assert (cells["beta"].wins, cells["beta"].losses, cells["beta"].votes) == (5, 1, 6)
        assert cells["beta"].observed == pytest.approx(5 / 6)
        # round a circle all are alike, so what was seen is nothing that ratings can tell
        assert cells["beta"].predicted == pytest.approx(0.5, abs=1e-9)
        assert cells["beta"].residual == pytest.approx(1 / 3)
        assert cells["gamma"].tilt("observed") == pytest.approx(-2 / 3)

    def test_a_cell_of_few_votes_is_blank_and_models_that_never_met_are_still_compared(
        self, project: Any, votes: None
    ) -> None:
        rows = {row.model.name: row for row in matrix(standings(project))}
        cells = {cell.other.name: cell for cell in rows["delta"].cells}
        assert (cells["gamma"].votes, cells["gamma"].observed) == (1, None)
        assert (cells["alpha"].votes, cells["alpha"].predicted) == (0, pytest.approx(0.5))
        assert cells["delta"].is_self

    @pytest.mark.parametrize("show", ["observed", "predicted", "residual", "nonsense"])
    def test_the_page(
        self, project: Any, owner: Any, as_user: Callable[..., Any], votes: None, show: str
    ) -> None:
        client, url = as_user(owner), url_of("leaderboard-matrix", project)
        page = client.get(url, {"show": show, "top": "10"})
        alpha, beta = (project.models.get(name=name).pk for name in ("alpha", "beta"))
        assert f'href="{url_of("leaderboard-match", project, alpha, beta)}' in page.text
        assert {"observed": ">83<", "residual": ">+33<", "predicted": ">50<"}.get(
            show, ">83<"
        ) in page.text
        rows = list(
            csv.DictReader(io.StringIO(client.get(url, {"format": "csv"}).getvalue().decode()))
        )
        assert len(rows) == 12


def test_a_match_opens_the_pairs_of_two_models(
    project: Any, owner: Any, as_user: Callable[..., Any], votes: None
) -> None:
    alpha, beta = (project.models.get(name=name).pk for name in ("alpha", "beta"))
    url, client = url_of("leaderboard-match", project, alpha, beta), as_user(owner)
    page = client.get(url)
    assert "alpha is preferred in" in page.text
    assert page.context["page"].paginator.count == 6
    assert client.get(url, {"outcome": "loss"}).context["page"].paginator.count == 1
    assert client.get(url, {"outcome": "tie"}).context["page"].paginator.count == 0
    assert client.get(url, {"by": "judges"}).context["matches"][0][1].rate.ties == 6
    assert "No votes between" in client.get(url, {"category": "none", "until": "2020-01-01"}).text
    other = make_model(project, "omega").pk
    assert (
        "No votes between the two."
        in client.get(url_of("leaderboard-match", project, alpha, other)).text
    )
    assert client.get(url_of("leaderboard-match", project, alpha, 10**9)).status_code == 404


def test_a_win_rate_by_category_is_that_of_the_categorys_leaderboard(
    project: Any, owner: Any, as_user: Any
) -> None:
    raters = [make_annotator(project, f"rater {n}") for n in range(5)]
    for said in (["a"] * 5, ["b"], ["tie", "a"]):
        pair = make_pair(
            project, prompt=make_prompt(project, category="odd"), models=("alpha", "beta")
        )
        flip = {"a": "b", "b": "a"} if pair.output_a.model.name == "beta" else {}
        for rater, outcome in zip(raters, said, strict=False):
            make_judgment(pair, flip.get(outcome, outcome), annotator=rater)
    alpha = ModelVersion.objects.get(project=project, name="alpha")
    (row,) = [one for one in standings(project).groups[0] if one.model == alpha]
    (odd,) = of_model(project, Options(), alpha)
    assert odd.rate.rate == row.row.win_rate == 6.5 / 8
    assert odd.rate.lo < odd.rate.rate < odd.rate.hi
    page = as_user(owner).get(url_of("leaderboard", project)).text
    assert "Only 3 prompts: intervals are wide and rough." in page


def test_categories_have_boards_of_their_own_and_say_of_how_many_they_are(
    project: Any, owner: Any, as_user: Callable[..., Any], votes: None
) -> None:
    beta = project.models.get(name="beta").pk
    page = as_user(owner).get(url_of("leaderboard-categories", project), {"model": beta})
    assert [one.name for one in page.context["split"].categories] == ["even", "odd", ""]
    assert "beta from category to category" in page.text
    assert "not for all 3 together" in page.text
    assert "Holm" in page.text
    api = client_of(owner).get(f"/api/v1/projects/{project.slug}/leaderboard/categories")
    assert [one["votes"] for one in api.json()] == [9, 9, 1]
    refused = client_of(owner).get(api.wsgi_request.path, {"by": "combined"})
    assert refused.status_code == 400


@pytest.mark.parametrize(
    "said", [{"until": "soon"}, {"without": "nobody"}, {"by": "combined", "style": "true"}]
)
def test_the_api_refuses_what_makes_no_sense(project: Any, owner: Any, said: Any) -> None:
    url = f"/api/v1/projects/{project.slug}/leaderboard"
    assert client_of(owner).get(url, said).status_code == 400


class TestPublished:
    def test_it_works(
        self, project: Any, owner: Any, as_user: Callable[..., Any], votes: None
    ) -> None:
        board = published(project, note="For the paper.", by=owner)
        uuids = sorted(
            str(one) for one in Judgment.objects.by_people().values_list("uuid", flat=True)
        )
        assert board.digest == hashlib.sha256("\n".join(uuids).encode()).hexdigest()
        assert board.votes == 19
        assert set(ballots_of(board)) == set(
            Judgment.objects.by_people().values_list("pk", flat=True)
        )
        assert board.code_version == code_version()
        page = as_user(owner).get(board.get_absolute_url()).text
        assert "For the paper." in page
        assert board.digest in page
        assert "The first" in as_user(owner).get(url_of("leaderboard-published-list", project)).text

    def test_what_comes_later_changes_nothing_and_is_told(
        self, project: Any, owner: Any, as_user: Callable[..., Any], votes: None
    ) -> None:
        board = published(project)
        before = PublishedBoard.objects.values("result", "digest").get()
        scorer = project.annotators.get(name="scorer")
        withdraw(project=project, annotator=scorer, reason="clicked at random", by=None)
        pair = make_pair(project, models=("alpha", "beta"))
        make_judgment(pair, "tie", annotator=project.annotators.get(name="rater"))
        old = Judgment.objects.filter(annotator__name="rater").earliest("pk")
        Judgment.objects.filter(pk=old.pk).update(is_current=False)
        make_judgment(old.pair, "tie", annotator=old.annotator, supersedes=old)

        assert since(board) == type(since(board))(withdrawn=1, corrected=1, added=2)
        page = as_user(owner).get(board.get_absolute_url(), {"now": 1}).text
        assert PublishedBoard.objects.values("result", "digest").get() == before
        assert "1 of its votes has been withdrawn since." in page
        assert "1 of its votes has been corrected" in page
        assert "Then and now" in page
        assert "Only 19 prompts: intervals are wide and rough." in page
        api = f"/api/v1/projects/{project.slug}/leaderboards/{board.number}"
        again = client_of(owner).get(api, {"recompute": "true"}).json()
        assert again["since"] == {"withdrawn": 1, "corrected": 1, "added": 2}
        gone = next(one for one in again["now"] if one["model"] == "delta")
        assert (gone["rating_now"], gone["ranks_now"]) == (None, "")
        assert client_of(owner).get(api).json()["now"] is None

    def test_it_cannot_be_saved_again(self, project: Any, votes: None) -> None:
        board = published(project)
        with pytest.raises(TypeError, match="never changes"):
            board.save()

    def test_a_board_without_ratings_is_not_published(
        self, project: Any, owner: Any, as_user: Callable[..., Any]
    ) -> None:
        with pytest.raises(UserError, match="nothing to publish"):
            published(project)
        page = as_user(owner).post(url_of("leaderboard-publish", project), {"title": "x"})
        assert page.status_code == 400

    @pytest.mark.parametrize("form", ["csv", "json"])
    def test_it_leaves_as_a_file(
        self, project: Any, owner: Any, as_user: Callable[..., Any], votes: None, form: str
    ) -> None:
        board = published(project)
        answer = as_user(owner).get(board.get_absolute_url(), {"format": form})
        assert answer["Content-Disposition"].endswith(f'-leaderboard-1.{form}"')
        text = answer.text if form == "json" else answer.getvalue().decode()
        assert "alpha" in text


def test_what_a_filter_does_not_know_is_told_and_not_applied(
    project: Any, owner: Any, as_user: Any, votes: None
) -> None:
    url = reverse("evaluation:leaderboard", args=[project.slug])
    said = {"category": "zzz", "until": "xyz", "without": "nobody"}
    found = as_user(owner).get(url, said)
    page = found.content.decode()
    assert found.status_code == 200
    for label, words in (("Category", "zzz"), ("Votes until", "xyz"), ("Votes left out", "nobody")):
        assert f"“{label}: {words}” is not known here and is not applied." in page
    assert found.context["standings"].rated == standings(project).rated
    assert "is not applied" not in as_user(owner).get(url, {"category": "odd"}).content.decode()


def test_what_a_filter_does_not_know_makes_no_file(
    project: Any, owner: Any, as_user: Any, votes: None
) -> None:
    client, api = as_user(owner), client_of(owner)
    matrix_url = url_of("leaderboard-matrix", project)
    page = client.get(matrix_url, {"show": "nonsense", "top": "7"}).text
    assert "“What the cells show: nonsense” is not known here and is not applied." in page
    assert "“How many models: 7” is not known here and is not applied." in page
    for url in (url_of("leaderboard", project), matrix_url):
        for form in ("csv", "json"):
            answer = client.get(url, {"category": "zzz", "format": form})
            assert answer.status_code == 400
            assert "“Category: zzz” is not known here, so there is no file." in answer.text
    assert client.get(matrix_url, {"top": "7", "format": "csv"}).status_code == 400
    for call in ("leaderboard", "leaderboard/matrix", "leaderboard/categories"):
        for said in ({"category": "zzz"}, {"judge": "robot", "by": "people"}, {"top": "7"}):
            answer = api.get(f"/api/v1/projects/{project.slug}/{call}", said)
            assert (answer.status_code, set(answer.json()["fields"])) == (400, {next(iter(said))})


def test_a_board_says_how_long_outputs_are_and_what_they_cost(
    project: Any, owner: Any, as_user: Any, votes: None
) -> None:
    alpha = project.models.get(name="alpha")
    prompt = make_prompt(project)
    line = {"seed": 1, "parameters": {}, "text": "x" * 4000}
    for seed, asked, answered in ((1, 100, 300), (2, 300, 500)):
        used = {"tokens_in": asked, "tokens_out": answered, "counted": True}
        for _ in range(2):  # again is the same
            store_output(Run(), {**line, "seed": seed, "usage": used}, prompt, alpha)
    client, url = as_user(owner), url_of("leaderboard", project)
    assert "Cost of 1000" not in client.get(url).text
    ModelVersion.objects.filter(pk=alpha.pk).update(
        family="endpoint", options={"price_in": 1.0, "price_out": 10.0}
    )
    page = client.get(url).text
    # 200 tokens asked and 400 answered of each on average
    assert "Cost of 1000, EUR" in page
    assert '<td class="num">4.20</td>' in page
    assert '<td class="num">—</td>' in page
    api = client_of(owner).get(f"/api/v1/projects/{project.slug}/leaderboard").json()
    rows = {row["model"]: row for row in api["standings"]}
    assert rows["alpha"]["cost"] == pytest.approx(4.2)
    assert rows["beta"]["cost"] is None
    assert rows["alpha"]["median_length"] < 100 < rows["alpha"]["mean_length"]
    board = published(project)
    assert '<td class="num">4.20</td>' in client.get(board.get_absolute_url()).text
    # one that was published before knows neither
    for row in board.result["standings"]:
        del row["cost"], row["median_length"]
    PublishedBoard.objects.filter(pk=board.pk).update(result=board.result)
    assert client.get(board.get_absolute_url()).status_code == 200
    assert client.get(board.get_absolute_url(), {"format": "csv"}).status_code == 200
    answer = client_of(owner).get(f"/api/v1/projects/{project.slug}/leaderboards/{board.number}")
    assert answer.status_code == 200


def test_an_empty_board_speaks_of_its_own_votes(
    project: Any, owner: Any, as_user: Any, votes: None
) -> None:
    url = reverse("evaluation:leaderboard", args=[project.slug])
    arena = as_user(owner).get(url, {"by": "arena"}).content.decode()
    assert "No votes of arenas yet." in arena
    assert "AI judges between" not in arena
    together = as_user(owner).get(url, {"by": "combined"}).content.decode()
    assert "at least 30 are needed" in together
    assert "18 prompts have votes of people on a pair that a judge has judged too" in together
    assert "No model can be rated yet" not in together
    assert "start an evaluation" not in together
