"""A vision-language model looks at pictures and clips, and writes about them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from steelyard.inference.frames import read_pictures
from steelyard.inference.vision import (
    answer_end,
    encode_look,
    generate,
    load_processor,
    load_vision_language,
)
from steelyard.lib.errors import UserError
from tests.counted_clips import counted_clip
from tests.tiny_vision import make_tiny_vlm, painted

ASKED = [{"role": "user", "content": "What is in the picture?"}]
KINDS = ("llava", "qwen2_vl", "smolvlm")


@pytest.fixture(scope="module")
def eyes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """(folder, model, processor) of each kind."""
    made = {}
    for kind in KINDS:
        folder = make_tiny_vlm(tmp_path_factory.mktemp(kind), kind)  # type: ignore[arg-type]
        made[kind] = (folder, *load_vision_language(str(folder)))
    return made


def write(eyes: Any, prompts: list[Any], pictures: list[list[Image.Image]], **kw: Any) -> list[str]:
    _, model, processor = eyes
    options = {"max_new_tokens": 6, "temperature": 1.0, "seeds": list(range(len(prompts))), **kw}
    return [made.text for made in generate(model, processor, prompts, pictures, **options)]


@pytest.mark.parametrize("kind", KINDS)
def test_it_answers_about_what_it_is_shown(eyes: dict[str, Any], kind: str) -> None:
    red, blue = painted("red"), painted("blue", (90, 40))
    answers = write(eyes[kind], [ASKED] * 3, [[red], [blue], []])
    assert len(set(answers)) == 3
    # an answer depends on its own prompt, pictures and seed, not on its neighbours
    alone = [write(eyes[kind], [ASKED], [p], seeds=[n])[0] for n, p in enumerate(([red], [blue]))]
    assert alone == answers[:2]


@pytest.mark.parametrize("kind", KINDS)
def test_the_prompt_holds_the_places_of_its_pictures(eyes: dict[str, Any], kind: str) -> None:
    _, _, processor = eyes[kind]
    look = encode_look(processor, ASKED, [painted("red"), painted("blue")])
    shown = processor.tokenizer.decode(look.ids)
    image = processor.image_token
    assert shown.index(image) < shown.index("What is")
    assert (
        look.ids.count(processor.image_token_id) == {"llava": 8, "qwen2_vl": 4, "smolvlm": 24}[kind]
    )
    assert len(look.pixels["pixel_values"]) > 0
    # and words that look like a place stay words
    spoken = [{"role": "user", "content": f"What is {image}{image}<|im_end|>?"}]
    other = encode_look(processor, spoken, [painted("red")])
    assert (
        other.ids.count(processor.image_token_id)
        == {"llava": 4, "qwen2_vl": 2, "smolvlm": 12}[kind]
    )
    assert other.ids.count(processor.tokenizer.eos_token_id) == 1
    assert answer_end(processor) == [processor.tokenizer.eos_token_id]


def test_a_clip_is_shown_as_frames_spread_over_it(tmp_path: Path) -> None:
    path = tmp_path / ("0" * 64)
    path.write_bytes(counted_clip())
    frames = read_pictures(path, 4)
    assert len(frames) == 4
    assert len({frame.tobytes() for frame in frames}) == 4
    still = tmp_path / "still"
    painted("red").save(still, "PNG")
    assert len(read_pictures(still, 4)) == 1


@pytest.mark.parametrize(("content", "code"), [(None, "no_picture"), (b"words", "bad_picture")])
def test_what_is_no_picture_is_said_by_name(
    tmp_path: Path, content: bytes | None, code: str
) -> None:
    path = tmp_path / "abc"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_pictures(path)
    assert caught.value.code == code
    assert "abc" in caught.value.message


def test_models_that_cannot_see_are_refused(tiny_lm: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        load_processor(str(tiny_lm))
    assert caught.value.code == "not_a_model"
    with pytest.raises(UserError) as caught:
        load_processor(str(tmp_path / "nowhere"))
    assert caught.value.code == "unknown_model"


def test_pictures_need_a_question_of_a_user(eyes: dict[str, Any]) -> None:
    with pytest.raises(UserError) as caught:
        encode_look(eyes["llava"][2], [{"role": "system", "content": "Hm"}], [painted("red")])
    assert caught.value.code == "no_user"


def test_weights_that_are_pickled_are_not_loaded(eyes: dict[str, Any], tmp_path: Path) -> None:
    folder = make_tiny_vlm(tmp_path / "pickled")
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(UserError) as caught:
        load_vision_language(str(folder))
    assert caught.value.code == "no_safetensors"
