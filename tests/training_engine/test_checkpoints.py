"""Checkpoints: whole or absent, and going on from one is as if nothing had happened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from steelyard.lib.errors import UserError
from steelyard.lib.hashing import sha256_file
from steelyard.lib.rundir import RunDir
from training.engine.checkpoints import keep_model, resume, save_checkpoint, trainable


class Two(torch.nn.Module):
    """Two layers, the first of them frozen, the second known by two names."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.frozen = torch.nn.Linear(3, 3).requires_grad_(False)
        self.learning = torch.nn.Linear(3, 1)
        self.again = self.learning


def start() -> tuple[dict[str, torch.nn.Parameter], torch.optim.Optimizer]:
    parameters = trainable(Two())
    return parameters, torch.optim.AdamW(parameters.values(), lr=0.1)


def step(parameters: dict[str, torch.nn.Parameter], optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    sum((parameter**2).sum() for parameter in parameters.values()).backward()  # type: ignore[union-attr]
    optimizer.step()


@pytest.fixture
def rundir(tmp_path: Path) -> RunDir:
    folder = RunDir(tmp_path / "run")
    folder.create({"recipe": "dpo", "config": {"beta": 0.1}, "seed": 0})
    return folder


def save(rundir: RunDir, number: int, pair: Any, state: dict[str, Any] | None = None) -> Path:
    return save_checkpoint(rundir, step=number, parameters=pair[0], optimizer=pair[1], state=state)


def test_only_what_is_trained_is_kept_and_tied_weights_once() -> None:
    assert list(trainable(Two())) == ["learning.weight", "learning.bias"]


def test_going_on_equals_never_having_stopped(rundir: RunDir) -> None:
    straight = start()
    for _ in range(3):
        step(*straight)
    save(rundir, 3, straight, {"last": 1.5})
    for _ in range(3):
        step(*straight)

    parameters, optimizer = start()
    assert resume(rundir, parameters=parameters, optimizer=optimizer) == (3, {"last": 1.5})
    for _ in range(3):
        step(parameters, optimizer)
    for name, parameter in parameters.items():
        assert torch.equal(parameter, straight[0][name])


def test_without_one_it_starts_at_zero(rundir: RunDir) -> None:
    parameters, optimizer = start()
    assert resume(rundir, parameters=parameters, optimizer=optimizer) == (0, {})


def test_one_before_the_first_step_is_one_too(rundir: RunDir) -> None:
    save(rundir, 0, start(), {"last": 2})
    parameters, optimizer = start()
    assert resume(rundir, parameters=parameters, optimizer=optimizer) == (0, {"last": 2})


def test_the_newest_two_stay(rundir: RunDir) -> None:
    pair = start()
    for number in (9, 10, 11):
        save(rundir, number, pair)
    assert sorted(p.name for p in rundir.checkpoints.iterdir()) == [
        "step-00000010",
        "step-00000011",
    ]


def test_half_a_checkpoint_is_not_one(rundir: RunDir) -> None:
    """What a kill in the middle of writing leaves is passed over and removed."""
    save(rundir, 2, start())
    partial = rundir.checkpoints / ".partial-00000003"
    partial.mkdir()
    (partial / "parameters.safetensors").write_bytes(b"half")
    parameters, optimizer = start()
    assert resume(rundir, parameters=parameters, optimizer=optimizer)[0] == 2
    assert not partial.exists()


def test_other_settings_do_not_go_on(rundir: RunDir) -> None:
    save(rundir, 2, start())
    rundir.create({"recipe": "dpo", "config": {"beta": 0.2}, "seed": 0})
    parameters, optimizer = start()
    with pytest.raises(UserError) as caught:
        resume(rundir, parameters=parameters, optimizer=optimizer)
    assert caught.value.code == "other_run"


def write(value: float, parts: int = 1) -> Any:
    def into(folder: Path) -> None:
        for part in range(parts):
            save_file({"w": torch.full((2,), value + part)}, folder / f"part-{part}.safetensors")
        (folder / "README.md").write_text("[More Information Needed]")

    return into


def test_a_model_is_kept_whole_and_known_by_its_hash(rundir: RunDir) -> None:
    (rundir.path / ".model.partial").mkdir()
    (rundir.path / ".model.partial" / "left").write_bytes(b"from a process that was killed")
    digest = keep_model(rundir, write(1.0))
    assert [path.name for path in rundir.model.iterdir()] == ["part-0.safetensors"]
    assert digest == sha256_file(rundir.model / "part-0.safetensors")
    assert keep_model(rundir, write(2.0)) != digest
    assert not (rundir.path / ".model.partial").exists()


def test_weights_in_several_files_have_one_hash(rundir: RunDir) -> None:
    one, other = keep_model(rundir, write(1.0, parts=2)), keep_model(rundir, write(2.0, parts=2))
    assert len(one) == len(other) == 64
    assert one != other
