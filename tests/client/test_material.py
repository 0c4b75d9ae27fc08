"""Pairs and votes go in and come out."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from annotation.models import Judgment, Pair
from steelyard.assets.models import Asset
from steelyard_client import Client, Invalid, NewPair, Project, RunFailed, SteelyardError
from tests import factories
from tests.chat_server import ChatServer


def png(shade: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.full((4, 4, 3), shade, np.uint8)).save(out, "png")
    return out.getvalue()


def test_pairs_go_in_in_batches_and_come_out_page_by_page(mine: Project) -> None:
    given = [{"prompt": f"What is {n}?", "a": f"{n}.", "b": f"No {n}."} for n in range(7)]
    done = mine.add_pairs(given, batch=3)
    assert (done.new, len(done.pairs)) == (7, 7)
    read = list(mine.pairs(state="open"))
    assert [pair.id for pair in reversed(read)] == done.pairs
    assert {pair.prompt.messages[-1]["content"] for pair in read} == {
        row["prompt"] for row in given
    }
    assert {read[0].output_a.text, read[0].output_b.text} == {"6.", "No 6."}


def test_more_than_a_page_is_fetched_by_its_links(mine: Project, monkeypatch: Any) -> None:
    monkeypatch.setattr("steelyard_client.inside.PAGE", 2)
    mine.add_pairs({"prompt": f"What is {n}?", "a": "One.", "b": "Two."} for n in range(5))
    assert len({pair.id for pair in mine.pairs()}) == 5


def test_the_same_pairs_again_change_nothing(mine: Project, tmp_path: Path) -> None:
    pair = NewPair(
        prompt="What is a yard?", a="Three feet.", b="A tree.", outcome="a", annotator="rater"
    )
    first = mine.add_pairs([pair])
    again = mine.add_pairs([pair])
    assert (first.new, again.new) == (1, 0)
    assert first.pairs == again.pairs
    [vote] = mine.judgments()
    assert (vote.annotator, vote.kind) == ("rater", "person")
    assert vote.created_at.tzinfo is not None
    saved = mine.save_lines("judgments", tmp_path / "votes.ndjson")
    assert json.loads(saved.read_text())["uuid"] == vote.uuid


def test_a_wrong_pair_is_named_by_its_place(mine: Project) -> None:
    good = {"prompt": "Good?", "a": "Yes.", "b": "No."}
    bad = {"prompt": "Bad?", "a": "Same.", "b": "Same."}
    with pytest.raises(Invalid, match="Pair 2: “a” and “b” are the same text"):
        mine.add_pairs([good, bad, {**good, "prompt": "Later?"}], batch=1)
    assert Pair.objects.count() == 1
    added = mine.add_pairs([bad, good, {**good, "prompt": "Later?"}], batch=1, strict=False)
    assert (added.new, len(added.pairs)) == (1, 2)
    assert [problem.place for problem in added.problems] == [1]


def test_a_pair_with_a_misspelt_key_is_not_sent(mine: Project) -> None:
    with pytest.raises(SteelyardError, match="Pair 1: a pair has no 'promt'"):
        mine.add_pairs([{"promt": "What?", "a": "One.", "b": "Two."}])


def test_pictures_are_sent_once_by_path_or_bytes(
    client_of: Callable[..., Client], tmp_path: Path
) -> None:
    project = factories.make_project(modality="image")
    mine = client_of(factories.make_user(project=project, role="admin")).project(project.slug)
    (tmp_path / "kite.png").write_bytes(png(10))
    given = {"prompt": "A kite", "media_a": tmp_path / "kite.png", "media_b": png(200)}
    mine.add_pairs([given, {**given, "prompt": "A dark kite"}])
    assert Asset.objects.count() == 2
    [pair, _] = mine.pairs()
    assert pair.output_a.asset
    saved = mine.download_asset(pair.output_a.asset, tmp_path / "back.png")
    assert Image.open(saved).size == (4, 4)
    described = {"dimensions": {"beauty": True}}
    with ChatServer(lambda body, number: (200, {}, described)) as server:
        address = f"{server.url}/chat/completions"
        scorer = mine.add_scorer("far", "http", address, tie_band=0.2)
    assert mine.ask_judge(scorer, which="unlabelled", limit=1).info.kind == "score"


def test_a_file_that_the_site_has_is_not_sent(
    mine: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = mine.upload(png(10))
    saved = mine.download_asset(kept.sha256, tmp_path / "back.png")
    monkeypatch.setattr(Project, "upload", None)
    pair = {"prompt": "What is this?", "a": "A kite.", "b": "A cat.", "media": [saved]}
    mine.add_pairs([pair, {**pair, "prompt": "And this?", "media": [kept.sha256]}])
    assert [row.prompt.media for row in mine.pairs()] == [[kept.sha256]] * 2


def test_a_file_that_is_not_there_is_named(mine: Project) -> None:
    with pytest.raises(SteelyardError, match=r"nowhere\.png cannot be read"):
        mine.add_pairs([{"prompt": "What?", "media_a": "nowhere.png", "media_b": "b.png"}])


def test_a_file_of_lines_and_an_archive_go_in(mine: Project, tmp_path: Path) -> None:
    line = json.dumps({"prompt": "What is it?", "a": "This.", "b": "That.", "media": ["x.png"]})
    with zipfile.ZipFile(tmp_path / "pairs.zip", "w") as archive:
        archive.writestr("pairs.jsonl", line)
        archive.writestr("x.png", png(70))
    done = mine.import_file(tmp_path / "pairs.zip")
    assert (done.format, done.pairs) == ("steelyard_pairs", 1)
    (tmp_path / "ask.jsonl").write_text('{"prompt": "Held out?"}\n')
    assert mine.import_file(tmp_path / "ask.jsonl", kind="held_out").prompts == 1
    assert mine.add_prompts(["And this?"]).prompts == 1
    assert len(list(mine.prompts(held_out=True))) == 2


@pytest.mark.usefixtures("working")
def test_a_file_of_another_format_comes_in_and_its_wrong_rows_are_told(
    mine: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("steelyard_client.runs.EVERY", 0.2)
    good = {"prompt": "What is it?", "chosen": "This.", "rejected": "That."}
    rows = [good, {**good, "chosen": 7}]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(Invalid) as refused:
        mine.import_file(path, "trl_preference", annotator="rater")
    said = refused.value.raw
    assert [error["row"] for error in said["faults"]] == [2]
    saved = mine.save_import_errors(said["run"]["id"], tmp_path / "errors.jsonl")
    assert json.loads(saved.read_text())["row"] == 2
    with pytest.raises(RunFailed) as failed:
        mine.import_file(path, "trl_preference", annotator="rater", background=True)
    assert mine.imported(failed.value.run).faults[0]["row"] == 2
    assert Pair.objects.count() == 0
    done = mine.import_file(path, "trl_preference", annotator="rater", mode="good", background=True)
    assert (done.rows, done.wrong, done.pairs, done.judgments) == (2, 1, 1, 1)


def test_a_bot_labels_until_there_is_nothing_left(
    client_of: Callable[..., Client], member: Any, project: Any
) -> None:
    for _ in range(3):
        factories.make_pair(project)
    bot = client_of(member).project(project.slug)
    for lease in bot.leases():
        assert {lease.output("a").text, lease.output("b").text}
        said = bot.submit(lease, "a", strength=-2, rationale="It answers.")
        assert said.strength == -2
    assert bot.nothing == "done"
    assert bot.progress().done == 3
    assert Judgment.objects.filter(outcome="a", rationale="It answers.").count() == 3
    [latest, *_] = bot.my_judgments()
    assert bot.amend(latest, "b", rationale="No.").supersedes == latest.uuid


def test_the_same_verdict_twice_is_one_judgment(mine: Project, project: Any) -> None:
    factories.make_pair(project)
    lease = mine.next()
    assert lease is not None
    uuid = "6f0c1a52-8e3a-4d0e-9a35-7d2b5c9d0e11"
    first = mine.submit(lease, "tie", uuid=uuid)
    assert mine.submit(lease, "tie", uuid=uuid) == first
    assert Judgment.objects.count() == 1


def test_what_is_right_travels_with_the_prompt_of_a_pair(mine: Any) -> None:
    mine.add_pairs([{"prompt": "1 + 1?", "a": "2", "b": "3", "reference_answer": "Two."}])
    (prompt,) = mine.prompts()
    assert prompt.reference_answer == "Two."
