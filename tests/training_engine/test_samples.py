"""While a model is trained, what it writes is kept beside what it wrote before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from steelyard.inference.text import load_causal_lm
from steelyard.lib.rundir import RunDir
from tests.training_engine.rows import make_record
from training.engine import text
from training.engine.samples import prompts_of


def test_samples_stand_beside_the_references_and_a_resumed_run_writes_none_twice(
    make_run: Callable[..., RunDir],
) -> None:
    records = [make_record(n) for n in range(1, 11)]
    config = {"max_steps": 4, "sample_every": 2, "sample_prompts": 2, "learning_rate": 0.1}
    rundir = make_run(records=records, **config)
    text.train(rundir, Never())
    lines, _ = rundir.read_lines("samples.jsonl", 0)
    assert [line["step"] for line in lines] == [0, 0, 2, 2, 4, 4]
    asked = [line["prompt"][0]["content"] for line in lines[:2]]
    assert asked == ["What is 5 + 5?", "What is 10 + 10?"]
    assert all(line["text"] == line["reference_text"] for line in lines[:2])
    assert [line["reference_text"] for line in lines[2:4]] == [line["text"] for line in lines[:2]]
    assert any(line["text"] != line["reference_text"] for line in lines[4:])
    (rundir.path / "result.json").unlink()
    text.train(rundir, Never())
    assert rundir.read_lines("samples.jsonl", 0)[0] == lines


def test_only_prompts_of_words_that_leave_room_are_asked(tiny_lm: Path) -> None:
    long = [{"role": "user", "content": "What is this? " * 200}]
    records = [
        make_record(5, prompt=long),
        make_record(10, prompt_media=["0" * 64]),
        make_record(15),
        make_record(1),
    ]
    model, tokenizer = load_causal_lm(str(tiny_lm))
    found = prompts_of(records, tokenizer, model, 5)
    assert [prompt[0]["content"] for prompt in found] == ["What is 15 + 15?", "What is 1 + 1?"]


class Never:
    """A run that nobody stops."""

    terminated = False

    def __bool__(self) -> bool:
        return False
