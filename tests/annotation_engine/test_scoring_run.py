"""From a scorer in a project to judgments in the database, by the real engine."""

from __future__ import annotations

import io
import json
import signal
import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.urls import reverse
from PIL import Image

from annotation.agreement import judge_reports
from annotation.models import Annotator, Judgment, Pair
from annotation.scores import spread_of, verdict_of
from annotation.services.judging import pairs_for, start_judging
from annotation.services.material import add_output, add_pair
from annotation.services.scoring import create_scorer
from evaluation.forms import EvaluationForm
from evaluation.runner import ask_seat
from evaluation.services import start_evaluation
from steelyard.assets.blobs import blob_path
from steelyard.assets.services import store_upload
from steelyard.lib.errors import UserError
from steelyard.lib.rundir import RunDir
from steelyard.runs.services import cancel_run
from tests.chat_server import ChatServer
from tests.engines import drive, start
from tests.factories import make_judgment, make_model, make_project, make_prompt, make_user
from tests.tiny_clip import make_clip

pytestmark = pytest.mark.django_db(transaction=True)
_number = count()


@pytest.mark.parametrize(
    ("difference", "verdict"),
    [
        (0.0, ("tie", 0)),
        (0.2, ("tie", 0)),
        (-0.2, ("tie", 0)),
        (0.5, ("a", -1)),
        (-1.9, ("b", 1)),
        (2.0, ("a", -2)),
        (-4.0, ("b", 3)),
    ],
)
def test_a_difference_says_which_is_better_and_by_how_much(
    difference: float, verdict: tuple[str, int]
) -> None:
    assert verdict_of(difference, spread=2.0, tie_band=0.1) == verdict


def test_a_spread_does_not_ask_which_side_is_a() -> None:
    assert spread_of([3.0, -4.0]) == spread_of([-3.0, -4.0]) == pytest.approx(12.5**0.5)
    assert spread_of([]) == 0.0
    assert verdict_of(0.0, 0.0, 0.1) == ("tie", 0)


@pytest.fixture
def pictures() -> tuple[Any, Any]:
    """A project of pictures, and its admin."""
    project = make_project(modality="image")
    return project, make_user(project=project, role="admin")


def noise() -> bytes:
    """A picture like no other."""
    draw, stream = np.random.default_rng(next(_number)), io.BytesIO()
    Image.fromarray(draw.integers(0, 256, (24, 24, 3), dtype=np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def pair_of(project: Any, prompt: str, **more: Any) -> Pair:
    asked = make_prompt(project, prompt, **more)
    outputs = [
        add_output(
            prompt=asked,
            model=make_model(project, name),
            asset=store_upload(project=project, data=noise()),
        )
        for name in ("model-x", "model-y")
    ]
    return add_pair(first=outputs[0], second=outputs[1])[0]


def scores_of(judgment: Judgment) -> list[float]:
    return [judgment.details["scores"][side]["score"] for side in "ab"]


def test_scores_become_judgments(
    pictures: tuple[Any, Any], settle: Callable[..., Any], tmp_path: Path
) -> None:
    project, owner = pictures
    pairs = [pair_of(project, f"a {word} square") for word in ("red", "green", "blue", "white")]
    pair_of(project, "an old house", held_out=True)
    lost = pairs[3].output_b.asset
    blob_path(lost.sha256).unlink()
    source = str(make_clip(tmp_path))
    judge = create_scorer(
        project=project, name="scorer", kind="pickscore", source=source, by=owner, tie_band=0.0
    )
    chosen = pairs_for(judge=judge, which="unlabelled", prompts="training")
    assert [pair.pk for pair in chosen] == [pair.pk for pair in pairs]
    run = settle(start_judging(judge=judge, pairs=chosen, by=owner))
    assert run.state == "succeeded", run.error
    assert run.result["counts"] == {"scored": 3, "unreadable": 1, "kept": 0}
    found = {judgment.pair_id: judgment for judgment in Judgment.objects.filter(annotator=judge)}
    assert set(found) == {pair.pk for pair in pairs}
    assert found[pairs[3].pk].outcome == "skip"
    differences = []
    for pair in pairs[:3]:
        a, b = scores_of(found[pair.pk])
        differences.append(a - b)
        assert found[pair.pk].outcome == ("a" if a > b else "b")
    assert found[pairs[0].pk].details["spread"] == pytest.approx(spread_of(differences))
    assert pairs[0].judged == 0

    make_judgment(pairs[0], found[pairs[0].pk].outcome)
    (report,) = judge_reports(project)
    assert (report.with_people.equal, report.with_people.n, report.unreadable) == (1, 1, 1)
    with pytest.raises(UserError, match="no pair left"):
        start_judging(judge=judge, pairs=pairs, by=owner)


DESCRIBED = {"dimensions": {"noise": False, "beauty": True}, "version": "1"}


def test_a_cancelled_run_keeps_what_it_has_and_another_judge_asks_for_nothing_twice(
    pictures: tuple[Any, Any], settle: Callable[..., Any]
) -> None:
    project, owner = pictures
    pairs = [pair_of(project, f"picture {number}") for number in range(12)]
    cancelled = []

    def reply(body: dict[str, Any], number: int) -> Any:
        if body["op"] == "describe":
            return 200, {}, DESCRIBED
        # first it is asked when it is added, then when the run begins
        if number == 3:
            cancel_run(run=cancelled[0], by=owner)
        scores = [{"noise": float(int(one["sha256"][:6], 16))} for one in body["items"]]
        return 200, {}, {"scores": [{**one, "beauty": 0.0} for one in scores]}

    with ChatServer(reply) as server:
        judge = create_scorer(
            project=project,
            name="far",
            kind="http",
            source=server.url + "/chat/completions",
            api_key="sk-secret",
            by=owner,
        )
        run = start_judging(judge=judge, pairs=pairs, by=owner)
        cancelled.append(run)
        run = settle(run)
        assert run.state == "cancelled"
        assert b"sk-secret" not in (run.dir.path / "run.json").read_bytes()
        first = Judgment.objects.filter(annotator=judge)
        assert 0 < first.count() < 12
        cancelled.clear()
        asked = len(server.asked)
        server.reply = lambda body, number: reply(body, 1)
        run = settle(start_judging(judge=judge, pairs=pairs, by=owner))
        assert run.state == "succeeded", run.error
        assert len(server.asked) > asked
        assert set(server.keys) == {"Bearer sk-secret"}
        server.reply = lambda body, number: (200, {}, DESCRIBED)
        values = {"kind": "http", "source": judge.scorer["source"], "dimension": "beauty"}
        other = create_scorer(project=project, name="other", by=owner, **values)
        again = settle(start_judging(judge=other, pairs=pairs, by=owner))
    assert first.count() == 12
    # of another judge by the same scorer nothing is computed anew
    assert (again.result["counts"]["scored"], again.result["counts"]["kept"]) == (12, 24)
    assert set(Judgment.objects.filter(annotator=other).values_list("outcome")) == {("tie",)}
    for judgment in first:
        a, b = (judgment.details["scores"][side]["noise"] for side in "ab")
        # less noise is better
        assert judgment.details["difference"] == b - a
        assert judgment.outcome in ("tie", "a" if a < b else "b")


def test_killed_half_way_a_run_goes_on_where_it_was(tmp_path: Path) -> None:
    held_up, killed = threading.Event(), threading.Event()
    seen = {"scored": 0}

    def slow(body: dict[str, Any], number: int) -> Any:
        if seen["scored"] >= 40:  # half of them
            held_up.set()
            killed.wait(180)
        seen["scored"] += len(body.get("items", []))
        scores = [{"noise": 1.0, "beauty": 2.0} for _ in body.get("items", [])]
        # without a version nothing is kept but what the run has written
        described = {"dimensions": DESCRIBED["dimensions"]}
        return 200, {}, described if body["op"] == "describe" else {"scores": scores}

    rundir = RunDir(tmp_path / "run")
    said = [{"role": "user", "content": "a house"}]
    pairs = [{"pair": n, "messages": said, "a": f"{n}.a", "b": f"{n}.b"} for n in range(40)]
    with ChatServer(slow) as server:
        address = server.url + "/chat/completions"
        scorer = {"kind": "http", "name": "far", "base_url": address, "frames": 1}
        rundir.create({"kind": "score", "modality": "image", "scorer": scorer, "pairs": pairs})
        for name in (pair[side] for pair in pairs for side in "ab"):
            (rundir.media / name).write_bytes(b"x")
        process = start("annotation.engine.scoring", rundir)
        # what was asked last is with the server, so that nothing is on its way there
        assert held_up.wait(180)
        process.send_signal(signal.SIGKILL)
        process.wait()
        killed.set()
        written = len(rundir.read_lines("scores.jsonl", 0)[0])
        with (rundir.path / "scores.jsonl").open("ab") as stream:
            stream.write(b'{"pair": 39, "scores": [')
        asked = len(server.asked)
        result = drive("annotation.engine.scoring", rundir)
        again = sum(len(body.get("items", [])) for body in server.asked[asked:])
    assert again == 2 * (40 - written) > 0
    assert result["counts"] == {"scored": 40, "unreadable": 0, "kept": 0}
    lines = rundir.read_lines("scores.jsonl", 0)[0]
    assert sorted(line["pair"] for line in lines) == list(range(40))
    assert lines[0]["values"] == [-1.0, -1.0]


def test_an_evaluation_may_choose_a_scorer(pictures: tuple[Any, Any], tmp_path: Path) -> None:
    project, owner = pictures
    make_prompt(project, "a house", held_out=True)
    judge = create_scorer(
        project=project, name="scorer", kind="clipscore", source="some/clip", by=owner
    )
    models = [
        make_model(project, name, family="stable_diffusion", source="x/y")
        for name in ("new", "old")
    ]
    form = EvaluationForm(project=project)
    assert list(form.fields["judges"].queryset) == [judge]  # type: ignore[attr-defined]
    evaluation = start_evaluation(
        project=project,
        name="By a scorer",
        baseline=models[1],
        candidates=models[:1],
        people=False,
        judges=[judge],
        by=owner,
    )
    (seat,) = evaluation.seats
    ask_seat(seat, [pair_of(project, "a house", held_out=True)])
    assert (seat.run.kind, seat.run.spec["judge"]) == ("score", judge.pk)


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"kind": "magic"}, "kind"),
        ({"source": "../secret"}, "source"),
        ({"source": "/nowhere"}, "source"),
        ({"source": "a b"}, "source"),
        ({"source": "~nobody-here/clip"}, "source"),
        ({"kind": "aesthetics", "weights": "/" + 300 * "x" + ".pth"}, "weights"),
        ({"kind": "hpsv2"}, "weights"),
        ({"kind": "hpsv2", "weights": "/etc/hostname"}, "weights"),
        ({"kind": "http", "source": "file:///etc/passwd"}, "source"),
        ({"kind": "http", "source": "http://127.0.0.1:9/score"}, "source"),
        ({"kind": "http", "source": "http://user:word@example.org/"}, "source"),
        ({"kind": "command", "source": "rm"}, "source"),
        ({"tie_band": -1}, "tie_band"),
        ({"frames": 0}, "frames"),
        ({"name": " "}, "name"),
    ],
)
def test_what_is_no_scorer_is_refused(
    pictures: tuple[Any, Any], said: dict[str, Any], field: str
) -> None:
    project, owner = pictures
    values = {"name": "scorer", "kind": "clipscore", "source": "some/clip", **said}
    with pytest.raises(UserError) as caught:
        create_scorer(project=project, by=owner, **values)
    assert caught.value.field == field
    assert not Annotator.objects.exists()


def test_a_folder_is_an_admins_to_name_and_texts_are_for_other_judges(
    pictures: tuple[Any, Any], tmp_path: Path
) -> None:
    project, _ = pictures
    researcher = make_user(project=project, role="researcher")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "clip"}))
    with pytest.raises(UserError) as caught:
        create_scorer(
            project=project, name="x", kind="clipscore", source=str(tmp_path), by=researcher
        )
    assert caught.value.status == 403
    texts = make_project()
    with pytest.raises(UserError, match="pictures and clips"):
        create_scorer(
            project=texts,
            name="x",
            kind="clipscore",
            source="some/clip",
            by=make_user(project=texts, role="admin"),
        )


def test_a_scorer_is_added_and_started_on_its_pages_and_its_key_is_never_shown(
    pictures: tuple[Any, Any], client: Any
) -> None:
    project, owner = pictures
    pair_of(project, "a house")
    client.force_login(owner)
    said = {"name": "far", "kind": "http", "source": "http://127.0.0.1:9", "tie_band": "0.2"}
    page = reverse("annotation:judge-new-scorer", args=[project.slug])
    assert client.post(page, {**said, "source": "nowhere"}).status_code == 200
    assert b"gives no answer" in client.post(page, said).content
    with ChatServer(lambda body, number: (200, {}, DESCRIBED)) as server:
        said["source"] = f"{server.url}/chat/completions"
        assert b"it gives noise, beauty" in client.post(page, {**said, "dimension": "wit"}).content
        answer = client.post(page, {**said, "api_key": "sk-secret"}, follow=True)
    assert b"Start scoring" in answer.content
    answer = client.post(answer.redirect_chain[-1][0], {"which": "unlabelled", "limit": 0})
    assert answer.status_code == 302
    run = project.runs.get()
    assert (run.kind, len(run.spec["pairs"])) == ("score", 1)
    calls = f"/api/v1/projects/{project.slug}/scorers"
    for place in (reverse("annotation:judge-list", args=[project.slug]), calls):
        answer = client.get(place)
        assert b"far" in answer.content
        assert b"sk-secret" not in answer.content
    (row,) = client.get(calls).json()
    assert row["scorer"]["tie_band"] == 0.2
    assert row["scorer"]["licence"] == "as the scorer says"
