"""Arenas: whoever is invited asks, two contestants answer without names, and a vote comes of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from annotation.models import Annotator, Judgment, Pair, Prompt
from evaluation import arena_runner
from evaluation.arena import change_arena, open_arena, standing_of
from evaluation.leaderboard import standings
from evaluation.models_arena import Arena, Battle, Turn
from steelyard.lib.errors import UserError
from steelyard.runs import supervisor
from steelyard.runs.models import Run
from tests.factories import make_model, make_prompt, make_user

pytestmark = pytest.mark.django_db
Answer = Callable[..., None]
CONTESTANTS = ("base-1B", "tuned-2B", "other")
"""Names that no random token of a page holds by chance, as it might four letters."""


@pytest.fixture
def contestants(project: Any) -> list[Any]:
    return [
        make_model(project, name, family="endpoint", source="http://127.0.0.1:9/v1", options={})
        for name in CONTESTANTS
    ]


@pytest.fixture
def arena(project: Any, owner: Any, contestants: list[Any]) -> Arena:
    project.label_scheme = {"steps": 3}
    project.save()
    return open_arena(project=project, name="Try both", contestants=contestants, by=owner)


@pytest.fixture
def answer() -> Answer:
    """Write into the engine's folder what it would; ``says(side)`` gives the texts."""

    def write(battle: Battle, says: Callable[[str], str] = lambda side: f"I say {side}.") -> None:
        turn = battle.turns.order_by("number").last()
        assert turn is not None
        for side in ("left", "right"):
            end = {"end": "done", "text": says(side), "parameters": {"temperature": 0.7}}
            put(turn, side, {"begin": 1}, end)

    return write


def put(turn: Turn, side: str, *lines: dict[str, Any]) -> None:
    assert turn.run is not None
    place = turn.run.dir.path / "answers"
    place.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (place / f"{turn.request_name(side)}.jsonl").write_text(text)


def ask(client: Client, arena: Arena, text: str = "Why is the sea salt?", **said: str) -> Battle:
    body = {"question": text, "agreed": "on"} | said
    response = client.post(arena.path, body)
    assert response.status_code == 302, response.content.decode()[:3000]
    uuid = response["Location"].rstrip("/").rpartition("/")[2]
    return Battle.objects.get(uuid=uuid)


def address(battle: Battle, name: str = "battle") -> str:
    return reverse(f"arena:{name}", args=[battle.arena.token, battle.uuid])


def vote(client: Client, battle: Battle, verdict: str = "a1") -> Judgment:
    response = client.post(address(battle, "vote"), {"verdict": verdict})
    assert response.status_code == 302, response.content.decode()[:3000]
    battle.refresh_from_db()
    assert battle.judgment is not None
    return battle.judgment


def test_it_works(project: Any, arena: Arena, answer: Answer) -> None:
    guest = Client()
    assert b"Ask both" in guest.get(arena.path).content
    battle = ask(guest, arena)
    turn = battle.turns.get()
    waiting = guest.get(address(battle))
    names = {battle.left.name, battle.right.name}
    assert b"free place" in waiting.content
    requests = turn.run.dir.path / "requests"
    laid = [json.loads(path.read_text()) for path in requests.iterdir()]
    assert {request["model"] for request in laid} == names
    assert laid[0]["messages"] == [{"role": "user", "content": "Why is the sea salt?"}]
    assert laid[0]["seed"] != laid[1]["seed"]

    put(turn, "left", {"begin": 1}, {"piece": "Half "}, {"piece": "an answ"})
    said = guest.get(address(battle, "answers"), {"left": "5", "right": "9"}).json()
    assert said["left"] == {"from": 5, "text": "an answ", "state": "waiting"}
    assert said["right"] == {"from": 0, "text": "", "state": "waiting"}
    assert (said["state"], said["wait"]) == ("waiting", "")

    answer(battle)
    assert guest.get(address(battle, "answers")).json()["state"] == "done"
    before = guest.get(address(battle)).content.decode()
    assert "I say left." in before
    assert not any(name in before for name in names), "no name before the vote"

    judgment = vote(guest, battle)
    after = guest.get(address(battle)).content.decode()
    assert f"A was {battle.left.name}, B was {battle.right.name}" in after
    assert "You said: A is better." in after
    pair = judgment.pair
    winner = pair.output_a if judgment.outcome == "a" else pair.output_b
    assert winner.model == battle.left
    assert judgment.swapped == (pair.output_a.model == battle.right)
    assert judgment.strength in (-1, 1)
    assert (pair.origin, pair.judged, pair.wanted) == ("arena", 1, 1)
    assert pair.prompt.text == "Why is the sea salt?"
    assert pair.output_a.parameters == {"temperature": 0.7}
    assert judgment.annotator.name == "guest 1"
    assert judgment.annotator.user is None
    assert not Pair.objects.open().exists()
    assert vote(guest, battle, "b1") == judgment, "the first vote stays"


def test_an_arena_vote_is_in_the_arenas_column_and_in_no_other(
    project: Any, arena: Arena, answer: Answer
) -> None:
    guest = Client()
    for verdict in ("a1", "b1", "tie"):
        battle = ask(guest, arena)
        answer(battle)
        vote(guest, battle, verdict)
    votes = Judgment.objects.rated()
    assert votes.count() == 3

    def counted(source: str) -> int:
        board = standings(project, source=source)
        return board.votes + board.others

    assert (counted("arena"), counted("people"), counted("judges")) == (3, 0, 0)


def test_a_vote_after_an_answer_gave_its_writer_away_is_kept_and_not_rated(
    project: Any, owner: Any, arena: Arena, answer: Answer, as_user: Any
) -> None:
    guest = Client()
    battle = ask(guest, arena)
    answer(battle, lambda side: "I am tuned 2B, made by nobody." if side == "left" else "Hm.")
    vote(guest, battle)
    assert [hit["side"] for hit in battle.given_away] == ["left", "left"]
    assert not battle.is_blind
    assert b"left out of ratings" in guest.get(address(battle)).content
    board = standings(project, source="arena")
    assert board.votes + board.others == 0
    found = standing_of(arena)
    assert (found.votes, found.rated, found.not_blind) == (1, 0, 1)
    page = as_user(owner).get(arena.get_absolute_url()).content.decode()
    assert "1 is left out" in page


def test_a_conversation_goes_on_with_each_side_as_it_answered(
    project: Any, arena: Arena, answer: Answer
) -> None:
    guest = Client()
    battle = ask(guest, arena, "First?")
    answer(battle)
    response = guest.post(address(battle, "go-on"), {"question": "Second?"})
    assert response.status_code == 302
    turn = battle.turns.get(number=2)
    path = turn.run.dir.path / "requests" / f"{turn.request_name('right')}.json"
    assert json.loads(path.read_text())["messages"] == [
        {"role": "user", "content": "First?"},
        {"role": "assistant", "content": "I say right."},
        {"role": "user", "content": "Second?"},
    ]
    assert guest.post(address(battle, "vote"), {"verdict": "tie"}).status_code == 409
    answer(battle, lambda side: f"Then {side}.")
    guest.get(address(battle))
    judgment = vote(guest, battle, "tie")
    left = Pair.objects.get(pk=judgment.pair_id).prompt.outputs.get(model=battle.left)
    assert left.text == (
        "I say left.\n\n---\n\n**User:**\n\nSecond?\n\n---\n\n**Assistant:**\n\nThen left."
    )


def test_a_question_taken_from_the_project_needs_no_agreement_and_makes_no_prompt(
    project: Any, arena: Arena, answer: Answer
) -> None:
    guest = Client()
    refused = guest.post(arena.path, {"question": "Mine?"})
    assert refused.status_code == 422
    assert b"Agree that your question is kept" in refused.content
    assert not Turn.objects.exists()
    make_prompt(project, "Trained on?")
    known = make_prompt(project, "Known?", held_out=True)
    battle = ask(guest, arena, "", agreed="", take="1")
    assert battle.prompt == known
    answer(battle)
    assert vote(guest, battle).pair.prompt == known
    assert Prompt.objects.count() == 2
    assert guest.post(address(battle, "go-on"), {"question": "And mine?"}).status_code == 409


@pytest.mark.parametrize(
    ("question", "words"), [("", "Write a question"), ("x" * 41, "at most 40 are taken here")]
)
def test_what_cannot_be_asked_is_refused_beside_its_field(
    arena: Arena, question: str, words: str
) -> None:
    arena.longest_prompt = 40
    arena.save()
    response = Client().post(arena.path, {"question": question, "agreed": "on"})
    assert response.status_code == 422
    assert words in response.content.decode()


def test_one_question_at_a_time_and_so_many_a_minute(
    arena: Arena, answer: Answer, settings: Any, monkeypatch: Any
) -> None:
    guest = Client()
    battle = ask(guest, arena)
    again = guest.post(arena.path, {"question": "And?", "agreed": "on"})
    assert b"being answered still" in again.content
    answer(battle)
    settings.ARENA_QUESTIONS = 1
    asked = {"question": "And?", "agreed": "on"}
    monkeypatch.setattr("evaluation.arena_views.wait_for", lambda limits: 12.5)
    assert b"Ask again in 13 seconds" in guest.post(arena.path, asked).content


def test_a_failed_answer_is_told_without_saying_whose_and_can_be_asked_again(
    arena: Arena, owner: Any, as_user: Any, answer: Answer
) -> None:
    guest = Client()
    battle = ask(guest, arena)
    turn = battle.turns.get()
    why = "The endpoint http://secret.example knows no model “x”."
    put(turn, "left", {"begin": 1}, {"end": "failed", "code": "x", "message": why})
    put(turn, "right", {"begin": 1}, {"end": "done", "text": "Well.", "parameters": {}})
    page = guest.get(address(battle)).content.decode()
    assert "a contestant could not give one" in page
    assert "secret.example" not in page
    assert guest.post(address(battle, "vote"), {"verdict": "a1"}).status_code == 409
    for_staff = as_user(owner).get(arena.get_absolute_url()).content.decode()
    assert "secret.example" in for_staff
    assert guest.post(address(battle, "again")).status_code == 302
    turn.refresh_from_db()
    assert (turn.left_state, turn.right_state, turn.runs) == ("waiting", "done", 2)
    put(turn, "left", {"begin": 1}, {"end": "done", "text": "Now.", "parameters": {}})
    guest.get(address(battle))
    assert vote(guest, battle).pair_id


@pytest.mark.parametrize("state", ["succeeded", "failed", "cancelled"])
def test_a_question_outlives_an_engine_that_shut_down_and_is_told_of_one_that_died(
    arena: Arena, state: str
) -> None:
    guest = Client()
    battle = ask(guest, arena)
    first = battle.turns.get().run
    Run.objects.filter(pk=first.pk).update(state=state, error="It crashed.")
    first.refresh_from_db()
    if state != "succeeded":
        arena_runner.abandoned(first)
    said = guest.get(address(battle, "answers")).json()
    turn = battle.turns.get()
    if state == "succeeded":
        assert said["state"] == "waiting"
        assert turn.run != first
        assert (turn.run.dir.path / "requests" / f"{turn.request_name('left')}.json").exists()
    else:
        assert said["state"] == "failed"
        assert turn.error


def test_answers_that_nobody_waits_for_any_more_are_kept(arena: Arena, answer: Answer) -> None:
    battle = ask(Client(), arena)
    answer(battle)
    run = battle.turns.get().run
    arena_runner.finish(run, {"status": "succeeded"})
    assert battle.turns.get().state == "done"


def test_the_engine_is_told_contestants_and_nothing_secret(arena: Arena, project: Any) -> None:
    keyed = make_model(
        project,
        "keyed",
        family="endpoint",
        source="http://127.0.0.1:9/v1",
        options={"api_key": "sesame", "model": "m"},
    )
    arena.contestants.add(keyed)
    run = ask(Client(), arena).turns.get().run
    spec = arena_runner.prepare(run)
    assert {model["name"] for model in spec["models"]} == {*CONTESTANTS, "keyed"}
    assert "sesame" not in json.dumps(spec)
    assert arena_runner.environment(run) == {keyed.key_variable: "sesame"}


def test_who_may_come(
    project: Any, owner: Any, member: Any, stranger: Any, arena: Arena, as_user: Any
) -> None:
    """By link everybody, and members alone where it says so; a battle is its visitor's alone."""
    guest = Client()
    battle = ask(guest, arena)
    for other in (Client(), as_user(member), as_user(stranger)):
        assert other.get(arena.path).status_code == 200
        for name in ("battle", "answers"):
            assert other.get(address(battle, name)).status_code == 404
        for name in ("vote", "go-on", "again"):
            assert other.post(address(battle, name)).status_code == 404
    assert guest.get(reverse("arena:arena", args=["nothing"])).status_code == 404
    arena.access = Arena.Access.MEMBERS
    arena.save()
    assert guest.get(arena.path).status_code == 302
    assert guest.get(address(battle)).status_code == 302
    assert as_user(stranger).get(arena.path).status_code == 404
    mine = ask(as_user(member), arena)
    assert mine.visitor.user == member
    change_arena(arena=arena, is_open=False, by=owner)
    closed = as_user(member).get(arena.path)
    assert b"closed" in closed.content
    assert b"Ask both" not in closed.content


def test_a_members_votes_are_in_their_own_name_and_are_not_changed_like_labels(
    project: Any, member: Any, arena: Arena, answer: Answer, as_user: Any
) -> None:
    from annotation.services.queue import annotator_for
    from annotation.services.verdicts import Verdict, amend_judgment

    client = as_user(member)
    battle = ask(client, arena)
    answer(battle)
    judgment = vote(client, battle)
    annotator = annotator_for(user=member, project=project)
    assert judgment.annotator == annotator
    said = Verdict(uuid=battle.uuid, outcome="tie")
    with pytest.raises(UserError) as caught:
        amend_judgment(annotator=annotator, judgment=judgment, verdict=said)
    assert caught.value.code == "of_arena"


def test_staff_see_how_it_stands_and_admins_change_it(
    project: Any, owner: Any, member: Any, stranger: Any, arena: Arena, as_user: Any
) -> None:
    researcher = make_user("researcher", project=project, role="researcher")
    pages = {
        "arena-list": reverse("evaluation:arena-list", args=[project.slug]),
        "arena-new": reverse("evaluation:arena-new", args=[project.slug]),
        "arena-detail": arena.get_absolute_url(),
    }
    change = reverse("evaluation:arena-change", args=[project.slug, arena.pk])
    for user, expected in ((stranger, {404}), (member, {404}), (owner, {200})):
        assert {as_user(user).get(url).status_code for url in pages.values()} == expected
    assert as_user(researcher).get(pages["arena-detail"]).status_code == 200
    assert as_user(researcher).get(pages["arena-new"]).status_code == 404
    for user in (stranger, member, researcher):
        assert as_user(user).post(change, {"do": "close"}).status_code == 404
    old = arena.path
    as_user(owner).post(change, {"do": "new-link"})
    assert Client().get(old).status_code == 404
    as_user(owner).post(change, {"do": "close"})
    arena.refresh_from_db()
    assert not arena.is_open


def test_an_admin_withdraws_a_guests_votes(
    project: Any, owner: Any, arena: Arena, answer: Answer, as_user: Any
) -> None:
    guest = Client()
    battle = ask(guest, arena)
    answer(battle)
    vote(guest, battle)
    who = Annotator.objects.get(name="guest 1")
    other = Annotator.objects.create(project=project, kind="person", name="rater")
    url = "evaluation:arena-withdraw"
    client = as_user(owner)
    assert client.post(reverse(url, args=[project.slug, arena.pk, other.pk])).status_code == 404
    response = client.post(reverse(url, args=[project.slug, arena.pk, who.pk]), follow=True)
    assert "The votes of guest 1 are withdrawn." in response.content.decode()
    assert standing_of(arena).rated == 0
    assert standings(project, source="arena").withdrawn == 1


def test_an_arena_is_opened_on_its_page(
    project: Any, owner: Any, contestants: list[Any], as_user: Any
) -> None:
    client = as_user(owner)
    url = reverse("evaluation:arena-new", args=[project.slug])
    body = {
        "name": "New",
        "contestants": [contestants[0].pk],
        "access": "members",
        "longest_prompt": "100",
        "most_turns": "2",
        "temperature": "0.5",
    }
    assert "Choose two at least." in client.post(url, body).content.decode()
    body["contestants"] = [model.pk for model in contestants[:2]]
    assert client.post(url, body).status_code == 302
    made = Arena.objects.get()
    assert (made.access, made.sampling, made.most_turns) == ("members", {"temperature": 0.5}, 2)


def test_contestants_that_cannot_answer_are_refused(project: Any, owner: Any) -> None:
    models = [make_model(project, name) for name in ("read-in", "read-in-too")]
    with pytest.raises(UserError) as caught:
        open_arena(project=project, name="No", contestants=models, by=owner)
    assert caught.value.code == "cannot_generate"


def test_other_contestants_get_another_engine(
    arena: Arena, owner: Any, contestants: list[Any]
) -> None:
    run = ask(Client(), arena).turns.get().run
    change_arena(arena=arena, contestants=contestants[:2], by=owner)
    run.refresh_from_db()
    assert run.state == "cancelling"
    assert ask(Client(), arena).turns.get().run != run


def test_the_api_opens_reads_and_changes(
    project: Any, owner: Any, member: Any, stranger: Any, contestants: list[Any], as_user: Any
) -> None:
    url = reverse("api:arenas", args=[project.slug])
    body = {"name": "By call", "contestants": ["base-1B", "other"], "most_turns": 1}
    call = {"content_type": "application/json"}
    for user in (stranger, member):
        assert as_user(user).post(url, body, **call).status_code == 404
        assert as_user(user).get(url).status_code == 404
    client = as_user(owner)
    unknown = client.post(url, {**body, "contestants": ["base-1B", "nobody"]}, **call)
    assert unknown.status_code == 400
    made = client.post(url, body, **call).json()
    assert made["contestants"] == ["base-1B", "other"]
    assert client.get(url).json()["results"][0]["path"] == made["path"]
    one = reverse("api:arena", args=[project.slug, made["id"]])
    ask(Client(), Arena.objects.get())
    read = client.get(one).json()
    assert (read["battles"], read["votes"], read["voters"]) == (1, 0, [])
    assert {row["model"]: row["battles"] for row in read["standings"]} == {"base-1B": 1, "other": 1}
    assert as_user(member).patch(one, {"is_open": False}, **call).status_code == 404
    closed = client.patch(one, {"is_open": False, "new_link": True}, **call).json()
    assert not closed["is_open"]
    assert closed["path"] != made["path"]


def test_a_visit_starts_the_engine_once_and_it_waits_for_no_batch_work(
    project: Any, arena: Arena, settings: Any, as_user: Any, owner: Any
) -> None:
    settings.MAX_RUNS_AT_ONCE = 1
    begun = {"created_by": owner, "state": "running", "spec": {}}
    Run.objects.create(project=project, kind="train", title="Long", **begun)
    assert Client().get(arena.path).status_code == 200
    Client().get(arena.path)
    run = Run.objects.get(kind="arena")
    assert supervisor._has_place(run)
    queue = as_user(owner).get(f"/api/v1/projects/{project.slug}/queue").json()
    assert (queue["busy"], queue["arena_busy"], queue["waiting"][0]["place"]) == (1, 0, 1)
    Run.objects.filter(pk=run.pk).update(state="failed")
    Client().get(arena.path)
    assert Run.objects.filter(kind="arena").count() == 1, "a page alone starts no broken engine"
