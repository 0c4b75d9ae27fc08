"""A vision-language model learns from pairs whose prompts are about pictures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from steelyard.inference.vision import load_vision_language
from steelyard.lib.engine import Stop
from steelyard.lib.errors import UserError
from steelyard.lib.hashing import sha256_hex
from steelyard.lib.records import PreferenceRecord
from steelyard.lib.rundir import RunDir
from tests.counted_clips import counted_clip
from tests.tiny_vision import painted
from tests.training_engine.rows import events_of, make_record, metrics_of, run_engine
from tests.training_engine.seeing import COLOURS, go, packed, seen
from training.engine.__main__ import train
from training.engine.bases import open_base
from training.engine.data import encode_records
from training.engine.forward import score

LN2 = 0.693147
Make = Callable[..., RunDir]


def test_it_works(make_seeing_run: Make, llava: Path) -> None:
    """From a folder with pictures to an adapter, by the real process."""
    rundir = make_seeing_run(epochs=4.0)
    assert run_engine(rundir) == 0, rundir.log_tail()
    result, metrics = rundir.result(), metrics_of(rundir)
    assert result is not None
    assert (result["status"], result["form"]) == ("succeeded", "adapter")
    assert metrics["loss"][1] == pytest.approx(LN2, abs=1e-5)
    assert metrics["loss"][20] < 0.6
    assert "prompts shared by their answers" in events_of(rundir)
    names = json.loads((rundir.model / "adapter_config.json").read_text())["target_modules"]
    assert "language_model" in names
    # what was kept is laid on the base model as any adapter is
    model, _ = load_vision_language(str(llava), adapters=[str(rundir.model)])
    assert not any("lora" in name for name, _ in model.named_parameters())


def scored(rundir: RunDir, records: list[PreferenceRecord], prefix: bool) -> torch.Tensor:
    words = open_base(rundir.spec()["base"], rundir, records, frames=2)
    dataset = encode_records(
        records,
        words.tokenizer,
        encoder=words.encoder(256),
        max_length=256,
        drop_too_long=False,
    )
    model = words.load(torch.float32, torch.device("cpu"))
    rows = [row for example in dataset.examples for row in example.rows]
    with torch.no_grad():
        return score(model, rows, dtype=torch.float32, prefix=prefix).values


def plainly(base: Path, records: list[PreferenceRecord], pictures: dict[str, Any]) -> torch.Tensor:
    """The same by the processor and the model alone, an answer at a time."""
    model, processor = load_vision_language(str(base))
    found = []
    for record in records:
        for answer in (record.chosen, record.rejected):
            asked = [{"type": "image", "image": pictures[one]} for one in record.prompt_media]
            content = [*asked, {"type": "text", "text": record.prompt[0]["content"]}]
            inputs = processor.apply_chat_template(
                [{"role": "user", "content": content}],
                add_generation_prompt=True,
                tokenize=True,
                return_dict=True,
                return_tensors="pt",
            )
            before = inputs["input_ids"].shape[1]
            ids = processor.tokenizer(answer)["input_ids"] + [processor.tokenizer.eos_token_id]
            more = torch.tensor([ids])
            inputs["input_ids"] = torch.cat([inputs["input_ids"], more], 1)
            inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
            if "mm_token_type_ids" in inputs:
                kinds = inputs["mm_token_type_ids"]
                inputs["mm_token_type_ids"] = torch.cat([kinds, torch.zeros_like(more)], 1)
            with torch.no_grad():
                logits = model(**inputs).logits[0, before - 1 : -1].log_softmax(-1)
            found.append(logits.gather(1, more[0][:, None])[:, 0])
    return torch.cat(found)


@pytest.mark.parametrize("kind", ["llava", "qwen", "smolvlm"])
def test_log_probabilities_are_those_of_the_plain_model(
    make_seeing_run: Make, request: pytest.FixtureRequest, kind: str
) -> None:
    """Packed or not, several pictures of several sizes, and a prompt without any."""
    base = request.getfixturevalue(kind)
    large = packed("green", (120, 60))
    records = [seen(1), seen(2, packed("blue"), large), seen(3, large), make_record(4)]
    rundir = make_seeing_run(records=records, base=base, media=(large,))
    pictures = {sha256_hex(packed(colour)): painted(colour) for colour in COLOURS}
    pictures[sha256_hex(large)] = painted("green", (120, 60))
    want = plainly(base, records, pictures)
    for prefix in (True, False):
        torch.testing.assert_close(scored(rundir, records, prefix), want, atol=2e-5, rtol=0)


def test_a_clip_is_shown_as_its_frames(make_seeing_run: Make) -> None:
    clip = counted_clip()
    records = [seen(n, clip) for n in range(1, 7)]
    rundir = make_seeing_run(records=records, media=(clip,), frames=3, max_steps=1)
    assert go(rundir)["status"] == "succeeded"
    # three pictures of four places each
    assert "<image>" * 12 not in events_of(rundir)
    assert events_of(rundir).count("<image>") == 12


def test_the_tower_is_asked_once_for_each_picture(
    make_seeing_run: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import LlavaModel

    asked: list[int] = []
    plain = LlavaModel.get_image_features

    def counted(self: Any, pixel_values: Any, **more: Any) -> Any:
        asked.append(len(pixel_values))
        return plain(self, pixel_values=pixel_values, **more)

    monkeypatch.setattr(LlavaModel, "get_image_features", counted)
    assert go(make_seeing_run(epochs=2.0))["status"] == "succeeded"
    assert len(asked) == len(COLOURS)
    asked.clear()
    # but where the tower learns, in each step
    assert go(make_seeing_run("all", train="all", learning_rate=1e-4))["form"] == "full"
    assert len(asked) > 2 * len(COLOURS)


def test_it_writes_about_pictures_while_it_is_trained(make_seeing_run: Make) -> None:
    rundir = make_seeing_run(max_steps=2, sample_every=2, sample_prompts=2)
    go(rundir)
    lines, _ = rundir.read_lines("samples.jsonl", 0)
    assert [(line["step"], line["prompt"][0]["content"]) for line in lines] == [
        (step, "What is in the picture?") for step in (0, 0, 2, 2)
    ]
    assert [line["text"] for line in lines[:2]] == [line["reference_text"] for line in lines[2:]]


def test_a_whole_model_is_kept_with_its_processor(make_seeing_run: Make) -> None:
    rundir = make_seeing_run(train="all", learning_rate=1e-4, max_steps=1)
    assert go(rundir)["form"] == "full"
    model, processor = load_vision_language(str(rundir.model))
    assert processor.image_processor is not None
    assert model.config.model_type == "llava"


def refused(rundir: RunDir) -> UserError:
    with pytest.raises(UserError) as caught:
        train(rundir, Stop(rundir))
    assert not list(rundir.checkpoints.glob("step-*"))
    return caught.value


def test_a_model_that_sees_nothing_is_not_asked_about_pictures(
    make_seeing_run: Make, tiny_lm: Path
) -> None:
    error = refused(make_seeing_run(base=tiny_lm, family="causal_lm"))
    assert (error.code, error.field) == ("prompt_media", "base")
    assert "vision-language" in error.message


def test_a_picture_that_is_gone_or_broken_is_named_with_its_row(make_seeing_run: Make) -> None:
    gone = make_seeing_run("gone", records=[seen(1), seen(2, b"nowhere")])
    assert (refused(gone).code, refused(gone).message[:6]) == ("no_picture", "Row 2:")
    broken = make_seeing_run("broken", records=[seen(1), seen(2, b"words")], media=(b"words",))
    assert (refused(broken).code, refused(broken).message[:6]) == ("bad_picture", "Row 2:")
