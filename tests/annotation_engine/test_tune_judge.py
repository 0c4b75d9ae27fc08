"""A judge is tuned by what people said and why, and the pairs that test it stay unseen."""

from __future__ import annotations

import re
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse

from annotation.engine.paired import compared
from annotation.models import Annotator, Judgment
from annotation.services.judging import create_judge, new_judge_version
from annotation.services.tuned import made_by
from annotation.services.tuning import FEWEST, split, start_tuning
from steelyard.lib.errors import UserError
from steelyard.registry.services import register_model
from tests import factories
from tests.chat_server import ChatServer
from tests.engines import drive, endpoint_spec, lines, make_rundir, model_spec, start, wait_until
from tests.tiny_models import make_tiny_lm

ENGINE = "annotation.engine.tuning"
REASON = "It says the same with fewer words."
LONG, SHORT = "It is so because it is so, and so on and so forth.", "It is so."


def by_rule(body: dict[str, Any], number: int) -> str:
    """As a judge: prefers the longer answer, the shorter where the criteria speak of fewer words.
    As a writer: says what people's reasons say."""
    text = body["messages"][0]["content"]
    if "Write a better text" in text:
        reasons = re.findall(r"^- \(answer [ab] is better\) (.*)$", text, re.M)
        return "Here it is.\n```\n" + "\n".join(dict.fromkeys(reasons)) + "\n```"
    found = re.findall(r"<<(\w{16}) answer ([AB])>>\n(.*?)\n<<\1 end of answer \2>>", text, re.S)
    lengths = {letter: len(answer) for _, letter, answer in found}
    choose = min if "fewer words" in text else max
    return f"By its length.\nVerdict: {choose(lengths, key=lengths.__getitem__)} (strength 2)"


def spec(model: dict[str, Any], reflection: dict[str, Any], **more: Any) -> dict[str, Any]:
    """People prefer what is shorter, but for three of the forty pairs."""

    def pair(number: int) -> dict[str, Any]:
        side = "b" if number % 14 == 3 else "a"
        return {
            "pair": number,
            "prompt": f"prompt {number // 2}",
            "messages": [{"role": "user", "content": f"Question {number}?"}],
            "a": f"{SHORT} {number}",
            "b": f"{LONG} {number}",
            "part": ("train", "train", "validation", "test")[number // 2 % 4],
            "majority": side,
            "votes": {side: 2, "tie": 1},
            "reasons": [{"outcome": "a", "text": REASON}] if side == "a" else [],
        }

    return {
        "kind": "tune_judge",
        "judge": {
            "name": "judge",
            "model": model,
            "criteria": "More is better.",
            "template_version": 2,
            "sampling": {"temperature": 0.0, "max_new_tokens": 8},
        },
        "reflection": reflection,
        "pairs": [pair(number) for number in range(40)],
        "budget": 80,
        "seed": 1,
        **more,
    }


def of_server(server: ChatServer, **more: Any) -> dict[str, Any]:
    return spec(endpoint_spec(server.url), endpoint_spec(server.url, model="writer"), **more)


def test_people_s_reasons_raise_a_bad_judge_s_agreement_on_pairs_it_has_not_seen(
    tmp_path: Path,
) -> None:
    with ChatServer(by_rule) as server:
        rundir = make_rundir(tmp_path / "run", of_server(server))
        result = drive(ENGINE, rundir, cold=True)
        asked = [body["messages"][0]["content"] for body in server.asked]
    assert result["status"] == "succeeded", result
    assert (result["criteria"], result["changed"]) == (REASON, True)
    found = result["tuning"]
    assert (found["before"]["rate"], found["after"]["rate"]) == (0.1, 0.9)
    assert found["gain"]["rate"] == 0.8
    assert found["pairs"] == {"train": 20, "validation": 10, "test": 10}
    assert found["search_verdicts"] <= 80
    told = lines(rundir, "candidates.jsonl")
    assert [one["number"] for one in told] == list(range(found["texts"]))
    assert told[0]["criteria"] == "More is better."
    assert told[1]["parent"] == 0
    # the model that writes is shown training pairs alone, and each question is asked once
    shown = "\n".join(text for text in asked if "Write a better text" in text)
    numbers = {int(number) for number in re.findall(r"Question (\d+)\?", shown)}
    assert numbers
    assert all(number // 2 % 4 < 2 for number in numbers)
    assert len(asked) == len(set(asked))


class HeldUp:
    """As ``by_rule``, but once a text is written nothing is answered until it may go on: so a
    search is not over before it is stopped."""

    def __init__(self) -> None:
        self.written, self.go_on = threading.Event(), threading.Event()

    def __call__(self, body: dict[str, Any], number: int) -> str:
        if self.written.is_set():
            self.go_on.wait(180)
        if "Write a better text" in body["messages"][0]["content"]:
            self.written.set()
        return by_rule(body, number)


def test_killed_in_the_search_it_goes_on_and_asks_nothing_twice(tmp_path: Path) -> None:
    held_up = HeldUp()
    with ChatServer(by_rule) as server:
        whole = make_rundir(tmp_path / "whole", of_server(server))
        expected = drive(ENGINE, whole)
        paid = len(server.asked)
    with ChatServer(held_up) as server:
        more = {"calls": str(tmp_path / "calls.sqlite"), "run": "this"}
        broken = make_rundir(tmp_path / "broken", of_server(server, **more))
        process = start(ENGINE, broken)
        wait_until(lambda: bool(lines(broken, "written.jsonl")))
        process.send_signal(signal.SIGKILL)
        process.wait()
        held_up.go_on.set()
        assert broken.result() is None
        result = drive(ENGINE, broken)
        # what was under way at the moment of the kill may be asked again
        assert paid <= len(server.asked) <= paid + 4
    assert result["tuning"] == expected["tuning"]
    assert result["criteria"] == expected["criteria"]
    assert [one["number"] for one in lines(broken, "candidates.jsonl")] == list(
        range(expected["tuning"]["texts"])
    )


def test_a_writer_that_cannot_be_asked_fails_the_run_with_its_reason(tmp_path: Path) -> None:
    def reply(body: dict[str, Any], number: int) -> Any:
        if "Write a better text" in body["messages"][0]["content"]:
            return 401, {}, {"error": {"message": "no such key"}}
        return by_rule(body, number)

    with ChatServer(reply) as server:
        result = drive(ENGINE, make_rundir(tmp_path / "run", of_server(server)))
    assert (result["status"], result["code"]) == ("failed", "endpoint_refused")


def test_cancelled_it_ends_soon(tmp_path: Path) -> None:
    held_up = HeldUp()
    with ChatServer(held_up) as server:
        rundir = make_rundir(tmp_path / "run", of_server(server, budget=20_000))
        process = start(ENGINE, rundir)
        wait_until(lambda: bool(lines(rundir, "written.jsonl")))
        rundir.request_cancel()
        held_up.go_on.set()
        assert process.wait(120) == 0
    assert rundir.result() == {"status": "cancelled"}


def test_a_judge_in_this_process_is_tuned_by_a_model_in_this_process(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A random model says the same of all texts: none is better, and it says so."""
    tiny = make_tiny_lm(tmp_path_factory.mktemp("roomy"), context=8192)
    model = model_spec(tiny, sampling={"max_new_tokens": 8})
    wanted = spec(model, model, budget=30)
    wanted["pairs"] = wanted["pairs"][:16]
    result = drive(ENGINE, make_rundir(tmp_path / "run", wanted))
    assert result["status"] == "succeeded", result
    found = result["tuning"]
    assert found["pairs"] == {"train": 8, "validation": 4, "test": 4}
    assert found["after"]["rate"] >= 0


def test_an_interval_is_over_prompts_and_never_certain_by_few() -> None:
    found = compared([0, 0, 0, 0.5], [1, 1, 1, 0.5], ["x", "x", "y", "z"])
    assert (found["before"]["rate"], found["after"]["rate"]) == (0.166667, 0.833333)
    assert found["gain"]["rate"] == 0.666667
    assert found["gain"]["lo"] < 0.666667 < found["gain"]["hi"] <= 1
    alone = compared([0], [1], ["x"])
    assert alone["gain"] == {"rate": 1.0, "lo": None, "hi": None}


@pytest.fixture
def judged(project: Any) -> Any:
    """Forty pairs of as many prompts, of which people prefer the shorter answer."""
    people = [factories.make_annotator(project, f"rater {n}") for n in range(3)]
    for n in range(40):
        pair = factories.make_pair(project, texts=(f"{SHORT} {n}", f"{LONG} {n}"))
        short = "a" if len(pair.output_a.text) < len(pair.output_b.text) else "b"
        for person in people[: 1 + n % 3]:
            factories.make_judgment(pair, short, annotator=person, rationale=REASON)
    return project


def _judge(project: Any, url: str) -> tuple[Annotator, Any]:
    models = [
        register_model(
            project=project,
            name=name,
            modality="text",
            family="endpoint",
            source=url,
            options={"model": name},
        )
        for name in ("far", "writer")
    ]
    judge = create_judge(project=project, name="judge", model=models[0], criteria="More is better.")
    return judge, models[1]


@pytest.mark.django_db(transaction=True)
def test_what_is_found_is_the_next_version_with_its_test_agreement(
    judged: Any, owner: Any, settle: Any, as_user: Any
) -> None:
    with ChatServer(by_rule) as server:
        judge, writer = _judge(judged, server.url)
        votes = Judgment.objects.count()
        run = settle(start_tuning(judge=judge, reflection=writer, budget=80, by=owner))
        assert run.state == "succeeded", run.error
    made = made_by(run)
    assert made is not None
    assert (made.name, made.parent, made.criteria) == ("judge v2", judge, REASON)
    assert "tuned on" in made.note
    found = made.checks["tuning"]
    assert (found["before"]["rate"], found["after"]["rate"], found["gain"]["lo"] > 0) == (
        0,
        1,
        True,
    )
    # nobody has put it to use
    assert Judgment.objects.count() == votes
    assert judge.spendings.get().calls > 0
    # the next tuning tests on what this one tested on, and takes no other seed
    assert split(made).parts["test"] == split(judge).parts["test"]
    with pytest.raises(UserError) as caught:
        split(made, 7)
    assert caught.value.code == "other_seed"
    with pytest.raises(UserError, match="seed 0"):  # nor does the one that it was tuned from
        split(judge, 7)
    client = as_user(owner)
    fragment = client.get(reverse("annotation:tuning-of-run", args=[judged.slug, run.pk]))
    shown = fragment.content.decode()
    assert f"<ins>{REASON.split()[0]}" in shown
    assert "<del>More" in shown
    assert "The card of judge v2" in shown
    card = client.get(reverse("evaluation:judge-card", args=[judged.slug, made.pk]))
    assert "the version that it was tuned from in 0.0" in card.content.decode()
    told = client.get(f"/api/v1/projects/{judged.slug}/tunings/{run.pk}").json()
    assert (told["made"], told["test"]["after"]["rate"]) == ("judge v2", 1.0)
    assert [text["parent"] for text in told["texts"]][:2] == [None, 0]


def test_the_page_and_the_api_say_what_it_is_tuned_on_and_start_it(
    judged: Any, owner: Any, as_user: Any
) -> None:
    judge, writer = _judge(judged, "http://127.0.0.1:9/v1")
    client = as_user(owner)
    page = reverse("annotation:judge-tune", args=[judged.slug, judge.pk])
    assert "Of 40 pairs most people prefer one side" in client.get(page).content.decode()
    wrong = client.post(page, {"reflection": writer.pk, "budget": 1, "seed": 0})
    assert "The budget is 1 verdicts" in wrong.content.decode()
    started = client.post(page, {"reflection": writer.pk, "budget": 100, "seed": 3})
    run = judged.runs.get(kind="tune_judge")
    assert started["Location"] == run.get_absolute_url()
    assert (run.spec["budget"], run.spec["seed"]) == (100, 3)
    base = f"/api/v1/projects/{judged.slug}/judges/{judge.pk}/tunings"
    plan = client.get(base).json()
    assert sum(part["pairs"] for part in plan["parts"]) == plan["found"] == 40
    body = {"reflection": writer.name}
    made = client.post(base, body, content_type="application/json")
    assert (made.status_code, made.json()["kind"]) == (201, "tune_judge")
    judged.prompts.update(held_out=True)
    assert "it takes 30 at least" in client.get(page).content.decode()
    refused = client.post(base, body, content_type="application/json")
    assert (refused.status_code, refused.json()["code"]) == (400, "too_few_pairs")


def test_no_prompt_is_in_two_parts_and_held_out_ones_are_in_none(judged: Any, owner: Any) -> None:
    judge, _ = _judge(judged, "http://127.0.0.1:9/v1")
    held_out = judged.prompts.first()
    judged.prompts.filter(pk=held_out.pk).update(held_out=True)
    second = factories.make_pair(judged, prompt=judged.prompts.last(), texts=("Yes.", "No, no."))
    factories.make_judgment(second, "a", annotator=judged.annotators.get(name="rater 0"))
    tied = factories.make_pair(judged)
    for side, person in zip("ab", judged.annotators.filter(kind="person"), strict=False):
        factories.make_judgment(tied, side, annotator=person)
    found = split(judge)
    prompts = [{one.prompt for one in some} for some in found.parts.values()]
    assert len(set.union(*prompts)) == sum(map(len, prompts)) == 39
    assert found.found == 40
    assert held_out.key not in set.union(*prompts)
    assert split(judge, 5).parts != found.parts


def test_versions_of_one_line_are_divided_by_one_seed(judged: Any, owner: Any) -> None:
    judge, writer = _judge(judged, "http://127.0.0.1:9/v1")
    second = new_judge_version(judge=judge, criteria="Less is better.")
    run = start_tuning(judge=second, reflection=writer, seed=3, by=owner)
    for version in (judge, second):
        with pytest.raises(UserError, match="seed 3") as caught:
            start_tuning(judge=version, reflection=writer, seed=77, by=owner)
        assert (caught.value.code, caught.value.field) == ("other_seed", "seed")
    assert split(judge).seed == 3
    # what came to nothing binds nobody
    run.state = "failed"
    run.save()
    assert split(judge, 77).seed == 77


@pytest.mark.parametrize("case", ["few", "scorer", "wording", "budget", "foreign"])
def test_what_cannot_be_tuned_is_refused_with_the_reason(
    case: str, judged: Any, owner: Any
) -> None:
    judge, writer = _judge(judged, "http://127.0.0.1:9/v1")
    said: dict[str, Any] = {"judge": judge, "reflection": writer, "by": owner}
    if case == "few":
        judged.prompts.filter(pk__in=list(judged.prompts.values_list("pk", flat=True)[:12])).update(
            held_out=True
        )
    elif case == "scorer":
        scorer = {"kind": "hpsv2", "source": "clip"}
        said["judge"] = factories.make_annotator(judged, "scorer", kind="judge", scorer=scorer)
    elif case == "wording":
        said["judge"] = create_judge(
            project=judged,
            name="own",
            model=judge.model,
            criteria="More.",
            template="{request} {answer_a} {answer_b}",
        )
    elif case == "budget":
        said["budget"] = 3
    else:
        other = factories.make_project(slug="other")
        said["reflection"] = factories.make_model(other, "theirs", family="causal_lm")
    codes = {"few": "too_few_pairs", "budget": "bad_budget", "foreign": "invalid"}
    with pytest.raises(UserError) as caught:
        start_tuning(**said)
    assert caught.value.code == codes.get(case, "not_tunable")
    if case == "few":
        assert (
            f"28 pairs that this judge can be tuned by; it takes {FEWEST}" in caught.value.message
        )
