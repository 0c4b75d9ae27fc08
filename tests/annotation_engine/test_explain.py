"""Machines say why people's verdicts are right: what they are asked, what is paid for, and where
their reasons go."""

from __future__ import annotations

import re
import signal
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from annotation.models import Annotator, Judgment, MachineRationale
from annotation.recipe import Recipe
from annotation.services.explaining import estimate_explaining, start_explaining, waiting
from annotation.services.judging import create_judge
from annotation.services.versions import publish_version
from annotation.services.withdrawals import withdraw
from steelyard.inference.judging.explaining import question, read_reason, swapped_of
from steelyard.lib.errors import UserError
from steelyard.lib.records import read_parquet
from steelyard.registry.services import register_model
from steelyard.runs.models import Run
from steelyard.runs.services import start_run
from tests import engines, factories
from tests.chat_server import ChatServer
from training.engine.objectives.reasons import reason

pytestmark = pytest.mark.django_db(transaction=True)


def make_judge(project: Any, url: str, **more: Any) -> Annotator:
    values = {"modality": "text", "family": "endpoint", "source": url, "options": {"model": "m"}}
    model = register_model(project=project, name="far", **values)
    return create_judge(project=project, name="judge", model=model, criteria="Be right.", **more)


def says(body: dict[str, Any], number: int) -> str:
    """The words of the answer that it was told is better."""
    text = body["messages"][0]["content"]
    if not (found := re.search(r"answer ([AB]) is better", text)):
        return "Answer A says no more." if "found that neither is better" in text else "Wrong."
    letter = found[1]
    said = re.search(rf"answer {letter}>>\n(.*?)\n<<", text, re.S)[1]  # type: ignore[index]
    style = "quote" if "quote the words" in text else "on the whole"
    return f"<think>hm</think>Answer {letter} is right, {style}: {said}"


def test_the_side_that_people_chose_is_named_wherever_it_stands() -> None:
    judge = {"name": "judge", "criteria": "Be right."}
    deals = set()
    for number in range(12):
        pair = {"pair": number, "outcome": "b", "a": "WRONG", "b": "RIGHT"}
        pair["messages"] = [{"role": "user", "content": "Why?"}]
        body = {"messages": question(pair, judge, "general")}
        assert says(body, 0).endswith("RIGHT")
        deals.add(swapped_of(judge, pair))
    assert deals == {True, False}
    said = read_reason("Answer A is kind. I like answer B less.", first="A")
    assert said == "The better answer is kind. I like the other answer less."
    tied = read_reason("Answer B is as kind as answer A.", first="A", won=False)
    assert tied == "The other answer is as kind as the one answer."
    for outcome, words in (("tie", "why neither is better"), ("both_bad", "what is wrong with")):
        body = question({**pair, "outcome": outcome}, judge, "general")[0]["content"]
        assert words in body
        assert "the better answer" not in body


def test_reasons_come_in_and_go_where_they_are_asked_for(
    project: Any, owner: Any, member: Any, as_user: Any, settle: Any
) -> None:
    pairs = [factories.make_pair(project, texts=(f"one {n}", f"two {n}")) for n in range(4)]
    rater = factories.make_annotator(project, "rater")
    for pair, outcome in zip(pairs, ("a", "b", "tie", "both_bad"), strict=True):
        factories.make_judgment(pair, outcome, annotator=rater, rationale="a person's own")
    other = factories.make_judgment(pairs[0], "a")  # the same verdict, so the same reason
    with ChatServer(says) as server:
        judge = make_judge(project, server.url, limits={"price_in": 1.0, "price_out": 1.0})
        with pytest.raises(UserError) as caught:
            start_explaining(judge=judge, style="general", by=member)
        assert caught.value.code == "admins_only"
        found = waiting(judge=judge, style="general")
        assert found.verdicts == list(
            zip((pair.pk for pair in pairs), ("a", "b", "tie", "both_bad"), strict=True)
        )
        told = estimate_explaining(judge=judge, verdicts=found.verdicts, style="general")
        assert (told.calls, told.cost is not None) == (4, True)
        url = f"/api/v1/projects/{project.slug}/judges/{judge.pk}/rationales"
        answer = as_user(owner).post(url, {"style": "general"}, content_type="application/json")
        assert answer.status_code == 201, answer.json()
        run = settle(Run.objects.get(pk=answer.json()["id"]))
        assert run.state == "succeeded", run.error
        assert judge.spendings.get().calls == 4
        assert as_user(owner).get(url).json()["verdicts"] == 0
    best = {pairs[0].pk: pairs[0].output_a.text, pairs[1].pk: pairs[1].output_b.text}
    rows = MachineRationale.objects.order_by("pair")
    neither = {row.outcome: row.text for row in rows if row.outcome in ("tie", "both_bad")}
    assert neither["both_bad"] == "Wrong."
    assert re.fullmatch("The (one|other) answer says no more.", neither["tie"])
    assert {row.pair_id: row.text for row in rows if row.outcome not in neither} == {
        pk: f"The better answer is right, on the whole: {text}" for pk, text in best.items()
    }
    assert not Judgment.objects.filter(rationale__contains="on the whole").exists()
    listed = as_user(owner).get(f"/api/v1/projects/{project.slug}/rationales?judge=judge").json()
    assert {row["pair"] for row in listed["results"]} == {pair.pk for pair in pairs}
    page = as_user(owner).get(f"/p/{project.slug}/pairs/{pairs[0].pk}/").content.decode()
    assert "Why people are right, as machines say" in page

    plain = frozen(project, owner)
    assert not any(record.machine_rationales for record in plain)
    records = frozen(project, owner, machine_rationales="general")
    assert len(records) == 2
    for record in records:
        (said,) = record.machine_rationales
        assert said["text"].endswith(record.chosen)
        assert (said["author"], said["judge"], said["style"]) == ("model", "judge", "general")
        assert record.rationales[0]["text"] == "a person's own"
        assert reason(record, learning_from("machines"), first=True) == said["text"]
        assert reason(record, learning_from("people"), first=True) == "a person's own"
    kept = frozen(project, owner, machine_rationales="general", ties="keep")
    tied = next(record for record in kept if not record.won)
    assert (tied.won, [one["text"] for one in tied.machine_rationales]) == (False, [neither["tie"]])
    assert reason(tied, learning_from("machines"), first=True) == ""
    other_style = frozen(project, owner, machine_rationales="specific")
    assert not any(record.machine_rationales for record in other_style)
    # the only vote of a person for that side is withdrawn; a judge's is none of theirs
    factories.make_judgment(pairs[1], "b", annotator=judge)
    withdraw(project=project, annotator=rater, reason="asleep", by=owner)
    both = frozen(project, owner, machine_rationales="general", annotators="both")
    assert [bool(r.machine_rationales) for r in both if r.pair == pairs[1].key] == [False]
    assert [bool(r.machine_rationales) for r in both if r.pair == other.pair.key] == [True]


def test_only_an_admin_may_have_a_failed_run_tried_again(
    project: Any, owner: Any, member: Any, as_user: Any
) -> None:
    judge = make_judge(project, "http://127.0.0.1:9/v1")
    researcher = factories.make_user("researcher", project=project, role="researcher")
    run = start_run(project=project, kind="explain", title="Why", spec={"judge": judge.pk}, by=None)
    Run.objects.filter(pk=run.pk).update(state="failed")
    url = f"/api/v1/projects/{project.slug}/runs/{run.pk}/retry"
    answers = [as_user(one).post(url).status_code for one in (member, researcher, owner)]
    assert answers == [404, 403, 202]


def learning_from(whom: str) -> Any:
    return SimpleNamespace(
        seed=0,
        rationale_of=whom,
        rationale_pick="longest",
        rationale_evidence=False,
        rationale_tags=False,
    )


def frozen(project: Any, owner: Any, **said: Any) -> list[Any]:
    recipe = Recipe(test_fraction=0.0, **said)
    name = "-".join(map(str, said.values())) or "plain"
    version = publish_version(project=project, dataset_name=name, recipe=recipe, by=owner)
    return read_parquet(version.files)


def test_killed_half_way_it_goes_on_and_pays_for_nothing_twice(tmp_path: Path) -> None:
    pairs = [
        {
            "pair": n,
            "outcome": "a" if n % 2 else "b",
            "messages": [{"role": "user", "content": f"{n}?"}],
            "a": f"one {n}",
            "b": f"two {n}",
        }
        for n in range(12)
    ]
    gate = threading.Event()

    def held_up(body: dict[str, Any], number: int) -> str:
        if number >= 5:
            gate.wait(60)
        return says(body, number)

    with ChatServer(held_up) as server:
        judge = {
            "id": 1,
            "name": "judge",
            "criteria": "Be right.",
            "template_version": 2,
            "model": engines.endpoint_spec(server.url),
            "limits": {"at_once": 1},
        }
        spec = {"judge": judge, "style": "specific", "pairs": pairs, "run": "r"}
        spec["calls"] = str(tmp_path / "calls.sqlite")
        rundir = engines.make_rundir(tmp_path / "run", spec)
        engine = "annotation.engine.explaining"
        process = engines.start(engine, rundir)
        engines.wait_until(lambda: len(engines.lines(rundir, "reasons.jsonl")) >= 3)
        process.send_signal(signal.SIGKILL)
        process.wait(60)
        gate.set()
        assert rundir.result() is None
        result = engines.drive(engine, rundir)
        assert result["counts"]["judged"] == 12
        texts = [one["messages"][0]["content"] for one in server.asked]
        # only what was under way at the very moment may have been asked again
        assert len(texts) - len(set(texts)) <= 2
    written = engines.lines(rundir, "reasons.jsonl")
    assert {line["pair"] for line in written} == set(range(12))
    assert all("quote" in line["text"] for line in written)


def test_a_model_in_this_process_writes_too(tmp_path: Path, tiny_lm: Path) -> None:
    pair = {
        "pair": 1,
        "outcome": "a",
        "messages": [{"role": "user", "content": "Why?"}],
        "a": "So.",
        "b": "No.",
    }
    judge = {
        "name": "judge",
        "criteria": "Be right.",
        "template_version": 2,
        "model": engines.model_spec(tiny_lm),
        "sampling": {"max_new_tokens": 8, "temperature": 1.0},
    }
    spec = {"judge": judge, "style": "general", "pairs": [pair, {**pair, "outcome": "b"}]}
    rundir = engines.make_rundir(tmp_path / "run", spec)
    result = engines.drive("annotation.engine.explaining", rundir)
    counts = result["counts"]
    assert counts["judged"] + counts["invalid"] == 2
