"""A run may be killed at any moment; what comes out is what would have come out."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from steelyard.lib.engine import EXIT_AGAIN, Stop
from steelyard.lib.errors import UserError
from steelyard.lib.rundir import RunDir
from tests.training_engine import forked
from tests.training_engine.rows import events_of, metrics_of, wait_for
from training.engine import text

Make = Callable[..., RunDir]
OPTIONS: dict[str, Any] = {
    "max_steps": 60,
    "checkpoint_every": 7,
    "eval_every": 5,
    "accumulation": 2,
    "lora_dropout": 0.2,
}


class StopAfter(Stop):
    """Turns true after it has been looked at so many times."""

    def __init__(self, rundir: RunDir, looks: int) -> None:
        super().__init__(rundir)
        self.left = looks

    def __bool__(self) -> bool:
        self.left -= 1
        return self.left < 0


def lines_in(rundir: RunDir) -> int:
    path = rundir.path / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def weights(rundir: RunDir) -> bytes:
    (path,) = rundir.model.glob("*.safetensors")
    return path.read_bytes()


def _stays_at(place: int) -> None:
    plain = text.check_diverged

    def stay(step: int, *told: Any) -> None:
        plain(step, *told)
        if step == place:
            time.sleep(600)

    text.check_diverged = stay


def stays_at_12() -> None:
    _stays_at(12)


def stays_at_31() -> None:
    _stays_at(31)


@pytest.mark.parametrize(
    "extra",
    [
        pytest.param({}, id="adapter"),
        pytest.param(
            {"lora_rank": 0, "lora_dropout": 0.0, "learning_rate": 1e-4},
            id="full",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_killed_and_started_again_equals_uninterrupted(
    make_run: Make, extra: dict[str, Any]
) -> None:
    whole = make_run("whole", **{**OPTIONS, **extra})
    assert forked.start(whole).wait() == 0, whole.log_tail()
    killed = make_run("killed", **{**OPTIONS, **extra})
    for lines, before in ((10, stays_at_12), (30, stays_at_31)):
        process = forked.start(killed, before)
        wait_for(lambda n=lines: lines_in(killed) >= n, process, killed.log)  # type: ignore[misc]
        process.kill()
        process.wait()
        assert killed.result() is None
    assert forked.start(killed).wait() == 0, killed.log_tail()
    assert "Going on from the checkpoint after step" in events_of(killed)
    assert killed.result() == whole.result()
    assert weights(killed) == weights(whole)
    assert metrics_of(killed) == metrics_of(whole)


def test_sigterm_saves_a_checkpoint_and_asks_to_be_started_again(make_run: Make) -> None:
    rundir = make_run(max_steps=100_000, checkpoint_every=100_000)
    process = forked.start(rundir)
    wait_for(lambda: lines_in(rundir) >= 5, process, rundir.log)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=240) == EXIT_AGAIN
    assert rundir.result() is None
    (checkpoint,) = rundir.checkpoints.glob("step-*")
    assert int(checkpoint.name.removeprefix("step-")) == max(metrics_of(rundir)["loss"])


def test_a_cancelled_run_ends_as_cancelled(make_run: Make) -> None:
    rundir = make_run(max_steps=100_000)
    process = forked.start(rundir)
    wait_for(lambda: lines_in(rundir) >= 3, process, rundir.log)
    rundir.request_cancel()
    assert process.wait(timeout=240) == 0
    assert rundir.result() == {"status": "cancelled"}
    assert not rundir.model.exists()


def test_stopped_anywhere_it_goes_on_to_the_same_end(make_run: Make) -> None:
    options = {**OPTIONS, "max_steps": 6, "eval_every": 2, "checkpoint_every": 100}
    whole = make_run("whole", **options)
    text.train(whole, Stop(whole))
    stopped = make_run("stopped", **options)
    for looks in range(1, 100):
        text.train(stopped, StopAfter(stopped, looks))
        if stopped.result():
            break
    assert looks > 5
    assert stopped.result() == whole.result()
    assert weights(stopped) == weights(whole)
    assert metrics_of(stopped) == metrics_of(whole)


def test_a_finished_checkpoint_is_enough_for_the_result(make_run: Make) -> None:
    """Killed between the last step and the result: nothing is trained again."""
    rundir = make_run(max_steps=3)
    text.train(rundir, Stop(rundir))
    first, lines = rundir.result(), lines_in(rundir)
    (rundir.path / "result.json").unlink()
    text.train(rundir, Stop(rundir))
    assert rundir.result() == first
    # the test rows are measured once more, and that is all
    assert lines_in(rundir) == lines + 1


def test_the_reference_is_computed_once(make_run: Make, monkeypatch: Any) -> None:
    rundir = make_run(max_steps=2)
    text.train(rundir, StopAfter(rundir, 8))
    assert rundir.result() is None
    told: list[str] = []
    progress = RunDir.progress
    monkeypatch.setattr(
        RunDir, "progress", lambda self, *a: told.append(str(a[-1])) or progress(self, *a)
    )
    text.train(rundir, Stop(rundir))
    assert rundir.result() is not None
    assert not any("Reference" in each for each in told)


def test_a_broken_file_of_the_reference_is_made_again(make_run: Make) -> None:
    whole, broken = make_run("whole", max_steps=1), make_run("broken", max_steps=1)
    for rundir in (whole, broken):
        text.train(rundir, Stop(rundir))
    (path,) = (broken.path / "cache").rglob("*.safetensors")
    path.write_bytes(path.read_bytes()[:100])
    for name in ("result.json", "metrics.jsonl"):
        (broken.path / name).unlink()
    shutil.rmtree(broken.checkpoints)
    text.train(broken, Stop(broken))
    assert broken.result() == whole.result()


def test_a_checkpoint_of_other_settings_is_not_gone_on_from(make_run: Make) -> None:
    rundir = make_run(max_steps=4)
    text.train(rundir, StopAfter(rundir, 10))
    assert list(rundir.checkpoints.glob("step-*"))
    spec = rundir.spec()
    spec["config"]["beta"] = 0.3
    rundir.create(spec)
    with pytest.raises(UserError) as caught:
        text.train(rundir, Stop(rundir))
    assert caught.value.code == "other_run"
