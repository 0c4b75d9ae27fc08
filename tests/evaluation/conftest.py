from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from annotation.services.judging import create_judge
from evaluation import runner
from evaluation.models import Evaluation
from evaluation.services import start_evaluation
from tests.factories import make_model, make_prompt
from tests.tiny_models import make_tiny_lm


@pytest.fixture
def models(project: Any) -> list[Any]:
    """A baseline and two candidates that are never really asked."""
    return [
        make_model(project, name, family="endpoint", source="http://127.0.0.1:9/v1", options={})
        for name in ("base", "new", "other")
    ]


@pytest.fixture
def prompts(project: Any) -> list[Any]:
    """Four held-out prompts of two categories, and one that is not held out."""
    make_prompt(project, "Not held out?")
    return [
        make_prompt(project, f"Held-out {n}?", held_out=True, category="even" if n % 2 else "odd")
        for n in range(4)
    ]


@pytest.fixture
def judge(project: Any, models: list[Any]) -> Any:
    return create_judge(project=project, name="strict", model=models[0], criteria="Be right.")


@pytest.fixture
def start(project: Any, owner: Any, models: list[Any], prompts: list[Any]) -> Callable[..., Any]:
    """Start an evaluation of ``new`` against ``base`` by people, or as said."""

    def begin(**overrides: Any) -> Evaluation:
        values: dict[str, Any] = {
            "name": "First",
            "baseline": models[0],
            "candidates": [models[1]],
        }
        return start_evaluation(project=project, by=owner, **{**values, **overrides})

    return begin


@pytest.fixture
def answered(settings: Any) -> Callable[..., Evaluation]:
    """The evaluation once its models have answered, as the engine would have left it.

    ``say(model, prompt)`` gives the answers.
    """

    def finish(evaluation: Evaluation, say: Callable[[str, str], str] | None = None) -> Evaluation:
        run = evaluation.generation
        assert run is not None
        run.dir.create(runner.prepare(run))
        spec = run.dir.spec()
        lines = [
            {
                "prompt": prompt["key"],
                "model": model["name"],
                "sample": 0,
                "text": (say or default)(model["name"], prompt["messages"][-1]["content"]),
                "seed": 1,
                "parameters": model["sampling"] | spec["sampling"],
            }
            for model in spec["models"]
            for prompt in spec["prompts"]
        ]
        path = run.dir.path / "outputs.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        runner.finish(run, {"status": "succeeded"})
        evaluation.refresh_from_db()
        return evaluation

    def default(model: str, prompt: str) -> str:
        return f"{model} says of {prompt}"

    return finish


@pytest.fixture(scope="session")
def another_tiny_lm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second language model that writes something else than ``tiny_lm``."""
    import torch
    from safetensors.torch import load_file, save_file

    folder = make_tiny_lm(tmp_path_factory.mktemp("another-lm"))
    weights = load_file(folder / "model.safetensors")
    torch.manual_seed(1)
    moved = {name: value + 0.1 * torch.randn_like(value) for name, value in weights.items()}
    save_file(moved, folder / "model.safetensors", metadata={"format": "pt"})
    return folder
