"""Outputs of several models on the same prompts, by the real engine process."""

from __future__ import annotations

import json
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from evaluation.engine.generate import _tasks, work
from steelyard.inference.revising import ASKED, revision_messages
from steelyard.inference.streaming import load_speaker
from steelyard.inference.text import generate, load_causal_lm
from steelyard.lib.engine import Stop
from steelyard.lib.errors import UserError
from steelyard.lib.hashing import sha256_file, stable_int
from steelyard.lib.rundir import RunDir
from tests.chat_server import ChatServer
from tests.engines import (
    drive,
    endpoint_spec,
    lines,
    make_rundir,
    model_spec,
    start,
    wait_until,
)
from tests.tiny_pictures import make_tiny_class_unet

ENGINE = "evaluation.engine"


def _spec(models: list[dict[str, Any]], prompts: int = 6, **overrides: Any) -> dict[str, Any]:
    spec = {
        "kind": "generate",
        "models": models,
        "prompts": [
            {
                "key": f"key-{number}",
                "messages": [
                    {"role": "user", "content": f"Question {number}? " * (number % 5 + 1)}
                ],
            }
            for number in range(prompts)
        ],
        "sampling": {"temperature": 1.0, "max_new_tokens": 12},
        "samples": 1,
        "seed": 3,
    }
    return {**spec, **overrides}


def _made(rundir: RunDir) -> dict[tuple[str, str, int], dict[str, Any]]:
    found = lines(rundir, "outputs.jsonl")
    made = {(line["model"], line["prompt"], line["sample"]): line for line in found}
    assert len(made) == len(found), "an output was made twice"
    return made


def _so_far(rundir: RunDir) -> int:
    return len(rundir.read_lines("outputs.jsonl", 0)[0])


def test_it_works(tiny_lm: Path, tmp_path: Path) -> None:
    spec = _spec(
        [
            model_spec(tiny_lm, name="base"),
            model_spec(tiny_lm, name="other", sampling={"top_p": 0.5, "temperature": 0.0}),
        ]
    )
    rundir = make_rundir(tmp_path / "run", spec)
    assert drive(ENGINE, rundir, cold=True) == {"status": "succeeded", "counts": {"outputs": 12}}
    made = _made(rundir)
    assert set(made) == {(m, f"key-{n}", 0) for m in ("base", "other") for n in range(6)}

    # what stands there can be made again by hand from the line alone
    model, tokenizer = load_causal_lm(str(tiny_lm))
    for prompt in spec["prompts"]:
        line = made["base", prompt["key"], 0]
        assert line["seed"] == stable_int(3, prompt["key"], 0) & 0x7FFF_FFFF
        assert line["parameters"] == {"temperature": 1.0, "top_p": 1.0, "max_new_tokens": 12}
        again = generate(
            model, tokenizer, [prompt["messages"]], seeds=[line["seed"]], **line["parameters"]
        )
        assert line["text"] == again[0].text
        # all models are given the same chances
        assert made["other", prompt["key"], 0]["seed"] == line["seed"]
    # what is asked for goes before a model's own setting
    own = {"temperature": 1.0, "top_p": 0.5, "max_new_tokens": 12}
    assert made["other", "key-0", 0]["parameters"] == own
    assert len({line["text"] for line in made.values()}) > 5
    progress = rundir.read_progress()
    assert progress is not None
    assert (progress["done"], progress["total"]) == (12, 12)


def test_models_draw_from_seeds_of_their_own_where_they_are_to() -> None:
    spec = _spec([{"name": "one"}, {"name": "two"}], samples=2, prompts=2)

    def seeds(**said: bool) -> list[set[int]]:
        asked = {**spec, **said}
        return [{task.seed for task in _tasks(asked, one, set())} for one in spec["models"]]

    one, other = seeds(same_seeds=False)
    assert len(one | other) == 8
    # of the model's name, and so the same in another run
    assert stable_int(3, "key-1", 1, "one") & 0x7FFF_FFFF in one
    assert seeds(same_seeds=True) == seeds() == [seeds()[0]] * 2


def test_pictures_cut_off_by_a_kill_are_made_and_those_that_are_there_are_not(
    tmp_path: Path,
) -> None:
    folder = make_tiny_class_unet(tmp_path / "unet")
    models = [
        {"name": name, "family": "class_unet", "source": str(folder), "adapters": []}
        for name in ("one", "two")
    ]
    spec = _spec(models, samples=2, same_seeds=False) | {"sampling": {"steps": 1}}
    spec["prompts"] = [{"key": "k", "messages": [{"role": "user", "content": "A cat."}]}]
    whole, cut = (make_rundir(tmp_path / name, spec) for name in ("whole", "cut"))
    work(whole, Stop(whole))
    kept = (whole.path / "outputs.jsonl").read_text().splitlines(keepends=True)
    # one line is whole, the next was being written, and its picture lies there already
    (cut.path / "outputs.jsonl").write_text(kept[0] + kept[1][:30])
    work(cut, Stop(cut))
    assert _made(cut) == _made(whole)
    assert (cut.path / "outputs.jsonl").read_text().startswith(kept[0])
    assert not (cut.path / json.loads(kept[0])["media"]).exists()
    assert all((cut.path / line["media"]).is_file() for line in lines(cut, "outputs.jsonl")[1:])


def test_samples_of_one_prompt_differ(tiny_lm: Path, tmp_path: Path) -> None:
    rundir = make_rundir(tmp_path / "run", _spec([model_spec(tiny_lm)], prompts=1, samples=3))
    drive(ENGINE, rundir)
    made = _made(rundir)
    assert sorted(sample for _, _, sample in made) == [0, 1, 2]
    assert len({line["text"] for line in made.values()}) == 3


def test_killed_half_way_it_makes_the_same_outputs_once_each(tiny_lm: Path, tmp_path: Path) -> None:
    spec = _spec(
        [model_spec(tiny_lm, name="base"), model_spec(tiny_lm, name="other")],
        prompts=48,
        sampling={"temperature": 1.0, "max_new_tokens": 32},
    )
    whole = make_rundir(tmp_path / "whole", spec)
    drive(ENGINE, whole)

    broken = make_rundir(tmp_path / "broken", spec)
    process = start(ENGINE, broken)
    wait_until(lambda: _so_far(broken) >= 8)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert _so_far(broken) < 96
    with (broken.path / "outputs.jsonl").open("ab") as stream:
        stream.write(
            '{"prompt": "key-23", "model": "oth\N{LATIN SMALL LETTER E WITH ACUTE}'.encode()
        )
    drive(ENGINE, broken)
    assert _made(broken) == _made(whole)


def test_a_finished_run_started_again_loads_nothing(tiny_lm: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(tiny_lm, tmp_path / "model"))
    rundir = make_rundir(tmp_path / "run", _spec([model_spec(source)]))
    drive(ENGINE, rundir)
    (rundir.path / "result.json").unlink()
    shutil.rmtree(source)
    assert drive(ENGINE, rundir)["status"] == "succeeded"
    assert len(_made(rundir)) == 6


def test_cancelled_it_ends_soon_and_keeps_what_it_made(tiny_lm: Path, tmp_path: Path) -> None:
    spec = _spec([model_spec(tiny_lm)], prompts=2000)
    rundir = make_rundir(tmp_path / "run", spec)
    process = start(ENGINE, rundir)
    wait_until(lambda: _so_far(rundir) >= 8)
    rundir.request_cancel()
    assert process.wait(120) == 0
    assert rundir.result() == {"status": "cancelled"}
    assert 8 <= len(_made(rundir)) < 2000


def test_a_prompt_too_long_is_told_before_anything_is_made(tiny_lm: Path, tmp_path: Path) -> None:
    spec = _spec([model_spec(tiny_lm)], prompts=3)
    spec["prompts"][2]["messages"][0]["content"] = "The sea is wide. " * 400
    rundir = make_rundir(tmp_path / "run", spec)
    result = drive(ENGINE, rundir)
    assert (result["status"], result["code"]) == ("failed", "prompt_too_long")
    assert "The sea is wide." in result["message"]
    assert not lines(rundir, "outputs.jsonl")


def test_a_second_model_that_is_gone_is_told_before_the_first_works(
    tiny_lm: Path, tmp_path: Path
) -> None:
    gone = model_spec(tmp_path / "gone", name="gone")
    rundir = make_rundir(tmp_path / "run", _spec([model_spec(tiny_lm), gone]))
    assert drive(ENGINE, rundir)["code"] == "unknown_model"
    assert not lines(rundir, "outputs.jsonl")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"family": "imported"}, "cannot_generate"),
        ({"sampling": {"top_p": "warm"}}, "bad_sampling"),
        ({"adapters": ["/nowhere"]}, "bad_adapter"),
    ],
)
def test_a_model_that_cannot_be_used(
    tiny_lm: Path, tmp_path: Path, change: dict[str, Any], code: str
) -> None:
    rundir = make_rundir(tmp_path / "run", _spec([model_spec(tiny_lm, **change)]))
    assert drive(ENGINE, rundir)["code"] == code


def test_an_endpoint_is_asked_with_the_seed_and_the_sampling(tmp_path: Path) -> None:
    def reply(body: dict[str, Any], number: int) -> str:
        time.sleep(0.05)
        return f"You asked: {body['messages'][0]['content']}"

    with ChatServer(reply) as server:
        rundir = make_rundir(tmp_path / "run", _spec([endpoint_spec(server.url)], prompts=10))
        drive(ENGINE, rundir)
        assert 2 <= server.most_at_once <= 4
    made = _made(rundir)
    first = made["far", "key-0", 0]
    assert first["text"] == "You asked: Question 0?"
    # this server does not say how many tokens: a quarter of the characters, and a few a message
    assert first["usage"] == {"tokens_in": 7, "tokens_out": 6, "counted": False}
    assert {body["seed"] for body in server.asked} == {line["seed"] for line in made.values()}
    assert all(body["max_tokens"] == 12 for body in server.asked)


def test_a_dead_endpoint_is_told_before_the_other_models_work(
    tiny_lm: Path, tmp_path: Path
) -> None:
    models = [model_spec(tiny_lm), endpoint_spec("http://127.0.0.1:9/v1")]
    rundir = make_rundir(tmp_path / "run", _spec(models))
    result = drive(ENGINE, rundir)
    assert result["code"] == "endpoint_unreachable"
    assert not lines(rundir, "outputs.jsonl")


def test_pictures_lie_under_media_by_their_content(tmp_path: Path) -> None:
    unet = make_tiny_class_unet(tmp_path / "unet")
    models = [model_spec(unet, name="painter", modality="image", family="class_unet")]
    spec = _spec(models, sampling={"steps": 2})
    for number, prompt in enumerate(spec["prompts"]):
        prompt["messages"][0]["content"] = "A cat." if number % 2 else "A dog."
    rundir = make_rundir(tmp_path / "run", spec)
    assert drive(ENGINE, rundir)["status"] == "succeeded"
    made = _made(rundir)
    assert len(made) == 6
    for line in made.values():
        path = rundir.path / line["media"]
        assert path.name == f"{sha256_file(path)}.png"
        assert path.parent == rundir.media
        assert Image.open(path).size[0] > 0
        assert line["parameters"] == {"steps": 2, "guidance": 2.0, "size": 0}
        assert "text" not in line
    assert len({line["media"] for line in made.values()}) == 6


def test_the_folder_is_all_it_needs(tiny_lm: Path, tmp_path: Path) -> None:
    """A run directory moved elsewhere goes on there."""
    rundir = make_rundir(tmp_path / "run", _spec([model_spec(tiny_lm)]))
    moved = RunDir(tmp_path / "elsewhere")
    shutil.move(rundir.path, moved.path)
    assert drive(ENGINE, moved)["status"] == "succeeded"
    assert len(_made(moved)) == 6
    assert json.loads((moved.path / "run.json").read_text())["kind"] == "generate"


def test_a_model_with_revisions_hands_on_the_last_of_the_answers_that_it_improves(
    tmp_path: Path, tiny_lm: Path
) -> None:
    plain = model_spec(tiny_lm, name="plain")
    revised = {**plain, "name": "revised", "revisions": {"times": 2, "asked": "Better, please."}}
    spec = _spec([plain, revised], prompts=2)
    rundir = make_rundir(tmp_path / "run", spec)
    work(rundir, Stop(rundir))
    made = _made(rundir)
    first = [made["plain", prompt["key"], 0] for prompt in spec["prompts"]]
    last = [made["revised", prompt["key"], 0] for prompt in spec["prompts"]]
    assert [line["seed"] for line in last] == [line["seed"] for line in first]
    model, tokenizer = load_causal_lm(str(tiny_lm))
    texts = [line["text"] for line in first]
    for number in (1, 2):
        asked = [
            revision_messages(prompt["messages"], text, "Better, please.")
            for prompt, text in zip(spec["prompts"], texts, strict=True)
        ]
        seeds = [stable_int(line["seed"], number) & 0x7FFF_FFFF for line in first]
        answers = generate(model, tokenizer, asked, max_new_tokens=12, temperature=1.0, seeds=seeds)
        texts = [answer.text for answer in answers]
    assert [line["text"] for line in last] == texts
    assert texts != [line["text"] for line in first]
    # who reads it as it is written reads none of the answers before
    told: list[str] = []
    speaker = load_speaker(revised, stop=lambda: False)
    said = speaker.speak(
        spec["prompts"][0]["messages"],
        sampling={"top_p": 1.0, **spec["sampling"]},
        seed=first[0]["seed"],
        say=told.append,
    )
    assert said
    assert not told


def test_a_prompt_without_room_for_a_revision_is_told_before_any_work(
    tmp_path: Path, tiny_lm: Path
) -> None:
    plain = model_spec(tiny_lm, name="plain")
    revised = {**plain, "name": "revised", "revisions": {"times": 1, "asked": ASKED}}
    # an answer of so many has room, one behind another has not
    sampling = {"temperature": 1.0, "max_new_tokens": 200}
    rundir = make_rundir(tmp_path, _spec([plain, revised], prompts=1, sampling=sampling))
    with pytest.raises(UserError, match="more than the model's context of 512"):
        work(rundir, Stop(rundir))
    assert not _made(rundir)
