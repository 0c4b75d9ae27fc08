"""Scorers on tiny random weights, by the loaders that load the real ones."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch.nn.functional import cosine_similarity, normalize
from transformers import CLIPImageProcessor, CLIPModel, CLIPTokenizer

from steelyard.inference.scorers.base import Item, open_scorer
from steelyard.inference.scorers.clip import letterbox
from steelyard.inference.scorers.kept import Kept
from steelyard.inference.scorers.outside import open_http
from steelyard.lib.errors import UserError
from tests.chat_server import ChatServer
from tests.tiny_clip import OUT, OpenClip, make_clip
from tests.tiny_videos import moving_square, write_clip

PROMPTS = ["a red square", "green on blue and much more than fits into it"]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder, draw = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    paths = []
    for number, shape in enumerate([(48, 40, 3), (32, 32, 3)]):
        paths.append(folder / f"{number}.png")
        Image.fromarray(draw.integers(0, 256, shape, dtype=np.uint8)).save(paths[-1])
    return paths


@pytest.fixture
def items(pictures: list[Path]) -> list[Item]:
    return [Item(path, prompt) for path, prompt in zip(pictures, PROMPTS, strict=True)]


def opened(kind: str, source: Path, **more: Any) -> Any:
    return open_scorer({"kind": kind, "name": kind, "source": str(source), **more}, device="cpu")


def by_hand(clip: Path, pictures: list[Image.Image], prompt: str) -> torch.Tensor:
    """Cosines of each picture with the prompt, from the two towers' parts."""
    model = CLIPModel.from_pretrained(clip).eval()
    tokens = CLIPTokenizer.from_pretrained(clip)
    ids = tokens(prompt, truncation=True, max_length=16, return_tensors="pt")
    pixels = CLIPImageProcessor.from_pretrained(clip)(pictures, return_tensors="pt")
    with torch.no_grad():
        seen = model.visual_projection(model.vision_model(**pixels).pooler_output)
        said = model.text_projection(model.text_model(**ids).pooler_output)
        return cosine_similarity(seen, said)


@pytest.mark.parametrize(("kind", "scale"), [("clipscore", 1.0), ("pickscore", None)])
def test_the_score_is_the_cosine_of_picture_and_prompt(
    clip: Path, items: list[Item], kind: str, scale: float | None
) -> None:
    scorer = opened(kind, clip)
    scale = scale or CLIPModel.from_pretrained(clip).logit_scale.exp().item()
    expected = [scale * by_hand(clip, item.pictures(), item.prompt).item() for item in items]
    found = [one["score"] for one in scorer.score(items)]
    assert found == pytest.approx(expected, abs=1e-4 * scale)
    assert abs(expected[0] - expected[1]) > 1e-3 * scale
    alone = [scorer.score([item])[0]["score"] for item in items]
    assert alone == pytest.approx(found, abs=1e-5 * scale)


def test_other_weights_are_another_version_and_the_same_are_the_same(
    clip: Path, tmp_path: Path
) -> None:
    first = opened("clipscore", clip).facts.version
    assert first == opened("clipscore", clip).facts.version
    others = {opened("pickscore", clip), opened("clipscore", make_clip(tmp_path, seed=1))}
    others |= {opened("clipscore", clip, frames=3)}
    assert len({first, *(one.facts.version for one in others)}) == 4


def test_a_clip_scores_as_the_mean_of_frames_drawn_evenly(clip: Path, tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", moving_square(frames=9))
    item = Item(path, PROMPTS[0], frames=3)
    assert len(item.pictures()) == 3
    expected = by_hand(clip, item.pictures(), item.prompt).mean().item()
    (found,) = opened("clipscore", clip).score([item])
    assert found["score"] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("ending", ["pt", "safetensors"])
def test_hpsv2_gives_what_its_weights_give_in_openclips_layout(
    clip: Path, items: list[Item], tmp_path: Path, ending: str
) -> None:
    torch.manual_seed(3)
    tokens = CLIPTokenizer.from_pretrained(clip)
    theirs = OpenClip(len(tokens)).eval()
    path = tmp_path / f"HPS.{ending}"
    if ending == "pt":
        torch.save({"epoch": 1, "state_dict": theirs.state_dict()}, path)
    else:
        save_file(theirs.state_dict(), path)
    eye = CLIPImageProcessor.from_pretrained(clip)
    expected = []
    for item in items:
        ids = tokens(item.prompt, truncation=True, max_length=16, return_tensors="pt")["input_ids"]
        pixels = eye([letterbox(item.pictures()[0], 32)], return_tensors="pt")["pixel_values"]
        with torch.no_grad():
            cosine = theirs.encode_image(pixels) @ theirs.encode_text(ids).T
        expected.append(cosine.item())
    found = [one["score"] for one in opened("hpsv2", clip, weights=str(path)).score(items)]
    assert found == pytest.approx(expected, abs=1e-5)


def test_hpsv2_sees_the_whole_picture_in_a_black_square() -> None:
    boxed = letterbox(Image.new("RGB", (40, 20), "white"), 32)
    assert boxed.size == (32, 32)
    assert np.asarray(boxed)[:, 0, 0].tolist() == [0] * 8 + [255] * 16 + [0] * 8


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
def test_the_aesthetic_score_is_linear_in_the_embedding(
    clip: Path, items: list[Item], tmp_path: Path, ending: str
) -> None:
    torch.manual_seed(4)
    shapes = {0: (8, OUT), 2: (4, 8), 4: (3, 4), 6: (2, 3), 7: (1, 2)}
    head = {
        name: value
        for number, shape in shapes.items()
        for name, value in (
            (f"layers.{number}.weight", torch.randn(shape)),
            (f"layers.{number}.bias", torch.randn(shape[0])),
        )
    }
    path = tmp_path / f"head.{ending}"
    torch.save(head, path) if ending == "pth" else save_file(head, path)
    model = CLIPModel.from_pretrained(clip).eval()
    expected = []
    for item in items:
        pixels = CLIPImageProcessor.from_pretrained(clip)(item.pictures(), return_tensors="pt")
        with torch.no_grad():
            seen = normalize(model.visual_projection(model.vision_model(**pixels).pooler_output))
        for number in shapes:
            seen = seen @ head[f"layers.{number}.weight"].T + head[f"layers.{number}.bias"]
        expected.append(seen.item())
    scorer = opened("aesthetics", clip, weights=str(path))
    assert not scorer.facts.needs_prompt
    found = [one["score"] for one in scorer.score(items)]
    assert found == pytest.approx(expected, abs=1e-4)


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("run",))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"state_dict": {"a": Evil()}}, "could run code"),
        ({"state_dict": {"visual.trunk.weight": torch.ones(1)}}, "no tensor of an OpenCLIP"),
        ({"logit_scale": torch.ones(())}, "does not match"),
        ([1, 2], "no tensors by name"),
        (b"nonsense", "cannot be read as weights"),
    ],
)
def test_weights_that_are_none_say_so(
    clip: Path, tmp_path: Path, content: Any, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "weights.pt"
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    with pytest.raises(UserError, match=words) as caught:
        opened("hpsv2", clip, weights=str(path))
    assert caught.value.code == "broken_weights"
    assert capsys.readouterr().out == ""


# ---- over HTTP and in a process of its own

PATH = "/chat/completions"
"""The one address that the server of tests answers at."""
DESCRIBED = {"dimensions": {"quality": True, "noise": False}, "version": "7", "licence": "MIT"}


def scores_by_length(body: dict[str, Any], number: int) -> tuple[int, dict[str, str], Any]:
    if body["op"] == "describe":
        return 200, {}, DESCRIBED
    scores = [{"quality": len(one["data"]), "noise": 0.5} for one in body["items"]]
    return 200, {}, {"scores": scores}


def over_http(url: str, **more: Any) -> Any:
    spec = {"kind": "http", "name": "far", "base_url": url, **more}
    return open_http(spec, attempts=2, first_wait=0.01, timeout=5.0)


def test_a_scorer_over_http_is_given_files_and_gives_numbers(
    items: list[Item], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_KEY", "sk-secret")
    with ChatServer(scores_by_length) as server:
        scorer = over_http(server.url + PATH, api_key_env="A_KEY")
        assert scorer.facts.higher_is_better == {"quality": True, "noise": False}
        assert scorer.facts.licence == "MIT"
        found = scorer.score(items)
        assert set(server.keys) == {"Bearer sk-secret"}
    assert [one["quality"] for one in found] == [
        len(item.path.read_bytes() + b"__") // 3 * 4 for item in items
    ]
    assert server.asked[1]["items"][1]["prompt"] == PROMPTS[1]


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ((200, {}, {"scores": [{"quality": 1.0, "noise": 0.0}]}), "scorer_garbled"),
        ((200, {}, {"scores": [{"quality": "NaN", "noise": 0}] * 2}), "scorer_garbled"),
        ((200, {}, {"scores": [{"quality": 1e999, "noise": 0}] * 2}), "scorer_garbled"),
        ((200, {}, ["no", "object"]), "scorer_garbled"),
        ((200, {}, {"scores": [{"error": "too small"}] * 2}), "scorer_refused"),
        ((500, {}, {"error": "broken"}), "endpoint_unreachable"),
        ((302, {"Location": "http://127.0.0.1:9/"}, {}), "endpoint_rejected"),
        ((401, {}, {"error": "who?"}), "endpoint_refused"),
    ],
)
def test_faults_of_a_server_are_told(items: list[Item], answer: Any, code: str) -> None:
    def reply(body: dict[str, Any], number: int) -> Any:
        return (200, {}, DESCRIBED) if body["op"] == "describe" else answer

    with ChatServer(reply) as server:
        scorer = over_http(server.url + PATH)
        with pytest.raises(UserError) as caught:
            scorer.score(items)
    assert caught.value.code == code


def test_what_is_no_scorer_is_told_at_once() -> None:
    with (
        ChatServer(lambda body, number: "Hello.") as server,
        pytest.raises(UserError, match="describe itself"),
    ):
        over_http(server.url + PATH)
    with pytest.raises(UserError, match="no answer"):
        over_http(server.url + PATH)


CHILD = """
import json, os, sys
for line in sys.stdin:
    asked = json.loads(line)
    if asked["op"] == "describe":
        said = {"dimensions": {"size": True}, "version": "1"}
    elif "die" in asked["items"][0]["prompt"]:
        sys.exit(3)
    elif "babble" in asked["items"][0]["prompt"]:
        print("Loading weights…", flush=True)
        continue
    elif "sleep" in asked["items"][0]["prompt"]:
        continue
    else:
        secret = "STEELYARD_SECRET" in os.environ
        said = {"scores": [{"size": os.path.getsize(i["path"]) - secret} for i in asked["items"]]}
    print(json.dumps(said), flush=True)
"""


def child(tmp_path: Path, seconds: float = 120) -> Any:
    script = tmp_path / "child.py"
    script.write_text(CHILD)
    command = [sys.executable, "-S", str(script)]
    return open_scorer({"kind": "command", "name": "own", "command": command, "seconds": seconds})


def test_a_scorer_in_a_process_of_its_own_is_given_paths_and_no_secrets(
    items: list[Item], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEELYARD_SECRET", "x")
    scorer = child(tmp_path)
    assert scorer.score(items) == [{"size": item.path.stat().st_size} for item in items]
    scorer.close()
    assert scorer._process.returncode == 0


@pytest.mark.parametrize(
    ("prompt", "words", "code"),
    [
        ("die", "ended by itself", "scorer_gone"),
        ("babble", "line of JSON", "scorer_garbled"),
        ("sleep", "no answer within", "scorer_gone"),
    ],
)
def test_faults_of_a_child_are_told(
    pictures: list[Path], tmp_path: Path, prompt: str, words: str, code: str
) -> None:
    scorer = child(tmp_path, 0.5 if prompt == "sleep" else 120)
    with pytest.raises(UserError, match=words) as caught:
        scorer.score([Item(pictures[0], prompt)])
    scorer.close()
    assert caught.value.code == code


def test_scores_are_kept_by_version_and_a_torn_line_is_passed_over(
    clip: Path, tmp_path: Path
) -> None:
    facts = opened("clipscore", clip).facts
    Kept(tmp_path, facts).add({"one": {"score": 1.5}})
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes() + b'{"key": "to')
    Kept(tmp_path, facts).add({"two": {"score": 2.5}})
    again = Kept(tmp_path, facts)
    assert [again.get(key) for key in ("one", "to", "two")] == [
        {"score": 1.5},
        None,
        {"score": 2.5},
    ]
    assert Kept(tmp_path, facts._replace(version="other")).get("one") is None
    Kept(tmp_path, facts._replace(version="")).add({"one": {"score": 1.0}})
    assert len(list(tmp_path.iterdir())) == 1
