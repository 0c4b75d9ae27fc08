"""Judges that are shown pictures: a model here, and an endpoint."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any, cast

import pytest
from PIL import Image

from annotation.engine.__main__ import work
from annotation.services.judging import create_judge, start_judging
from annotation.services.material import add_pair
from steelyard.assets.services import store_upload
from steelyard.lib.engine import Stop
from steelyard.lib.rundir import RunDir
from steelyard.registry.services import add_model
from tests import factories
from tests.chat_server import ChatServer
from tests.engines import endpoint_spec, lines, make_rundir, model_spec
from tests.tiny_models import make_tiny_lm
from tests.tiny_vision import make_tiny_vlm, painted


def _png(colour: str, size: tuple[int, int] = (60, 30)) -> bytes:
    packed = io.BytesIO()
    painted(colour, size).save(packed, "PNG")
    return packed.getvalue()


def _rundir(folder: Path, model: dict[str, Any]) -> RunDir:
    """Three pairs of pictures; the last one's b is no picture."""
    rundir = make_rundir(
        folder / "run",
        {
            "kind": "judge",
            "judge": {
                "name": "judge",
                "model": model,
                "criteria": "Red is better.",
                "template_version": 2,
                "sampling": {"temperature": 0.0, "max_new_tokens": 8},
                "asking": {"max_side": 64},
            },
            "pairs": [
                {
                    "pair": number,
                    "messages": [{"role": "user", "content": "Paint it red."}],
                    "a": "(see above)",
                    "b": "(see above)",
                    "media": ["blue"] if number == 2 else [],
                    "a_media": ["red"],
                    "b_media": ["broken" if number == 3 else "large"],
                }
                for number in (1, 2, 3)
            ],
        },
    )
    rundir.media.mkdir(exist_ok=True)
    for name, data in {
        "red": _png("red"),
        "blue": _png("blue"),
        "large": _png("green", (300, 150)),
        "broken": b"no picture",
    }.items():
        (rundir.media / name).write_bytes(data)
    return rundir


def test_a_vision_language_model_measures_its_verdict(tmp_path: Path) -> None:
    source = make_tiny_vlm(tmp_path / "vlm", context=2048)
    rundir = _rundir(tmp_path, model_spec(source, family="vision_language"))
    work(rundir, cast(Stop, False))
    one, two, three = lines(rundir, "verdicts.jsonl")
    for line in (one, two):
        assert line["outcome"] in {"a", "b", "tie", "both_bad"}
        assert [order["swapped"] for order in line["orders"]] == [False, True]
        assert 0 <= line["p_a"] <= 1
        assert line["orders"][0]["probabilities"] != line["orders"][1]["probabilities"]
    assert "neither a picture nor a clip" in three["invalid"]


def test_a_language_model_refuses_pictures_pair_by_pair(tmp_path: Path) -> None:
    rundir = _rundir(tmp_path, model_spec(make_tiny_lm(tmp_path / "lm", context=2048)))
    work(rundir, cast(Stop, False))
    first = lines(rundir, "verdicts.jsonl")[0]
    assert "reads text alone" in first["invalid"]


def _shown(body: dict[str, Any]) -> list[Any]:
    """The colours and sizes of the pictures in a question, with the words between them."""
    found: list[Any] = []
    for part in body["messages"][0]["content"][:-1]:
        if part["type"] == "text":
            found.append(part["text"])
        else:
            data = base64.b64decode(part["image_url"]["url"].partition(",")[2])
            picture = Image.open(io.BytesIO(data)).convert("RGB")
            colour = max(zip(picture.getpixel((5, 5)), "rgb", strict=True))[1]  # type: ignore[arg-type]
            found.append((colour, picture.size))
    return found


def test_an_endpoint_is_shown_which_picture_is_whose(tmp_path: Path) -> None:
    def reply(body: dict[str, Any], number: int) -> str:
        shown = _shown(body)
        letter = "A" if shown[shown.index("Answer A:") + 1][0] == "r" else "B"
        return f"It is red.\nVerdict: {letter} (strength 3)"

    with ChatServer(reply) as server:
        rundir = _rundir(tmp_path, endpoint_spec(server.url))
        work(rundir, cast(Stop, False))
    said = {line["pair"]: line for line in lines(rundir, "verdicts.jsonl")}
    assert [(said[n]["outcome"], said[n]["strength"]) for n in (1, 2)] == [("a", -3)] * 2
    assert "invalid" in said[3]
    first = _shown(server.asked[0])
    assert first == ["Answer A:", ("r", (60, 30)), "Answer B:", ("g", (64, 32))]
    with_request = next(body for body in server.asked if len(_shown(body)) == 6)
    assert _shown(with_request)[0] == "What the request is about:"
    assert "answer A, then answer B" in with_request["messages"][0]["content"][-1]["text"]


def test_an_endpoint_that_cannot_see_says_so_for_each_pair(tmp_path: Path) -> None:
    def reply(body: dict[str, Any], number: int) -> Any:
        return 400, {}, {"error": {"message": "this model does not support image input"}}

    with ChatServer(reply) as server:
        rundir = _rundir(tmp_path, endpoint_spec(server.url))
        work(rundir, cast(Stop, False))
    assert "does not support image input" in lines(rundir, "verdicts.jsonl")[0]["invalid"]


@pytest.mark.django_db(transaction=True)
def test_a_project_of_pictures_has_a_judge_that_sees(owner: Any, settle: Any) -> None:
    project = factories.make_project(modality="image")
    prompt = factories.make_prompt(project, "Paint it red.")
    outputs = [
        factories.make_output(
            prompt,
            "",
            model=factories.make_model(project, f"model-{colour}"),
            asset=store_upload(project=project, data=_png(colour, (64, 64))),
        )
        for colour in ("red", "blue")
    ]
    pair, _ = add_pair(first=outputs[0], second=outputs[1])

    def reply(body: dict[str, Any], number: int) -> str:
        shown = _shown(body)
        return f"So.\nVerdict: {'A' if shown[1][0] == 'r' else 'B'}"

    with ChatServer(reply) as server:
        model = add_model(
            project=project,
            name="far",
            source=server.url,
            family="endpoint",
            endpoint_model="m",
            by=owner,
        )
        judge = create_judge(project=project, name="judge", model=model, criteria="Redness.")
        run = settle(start_judging(judge=judge, pairs=[pair], by=owner))
    assert run.state == "succeeded", run.error
    red = "a" if pair.output_a == outputs[0] else "b"
    assert judge.judgments.get().outcome == red
