"""An engine of the tests: counts, checkpoints, and misbehaves as its run.json tells it."""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import time

from steelyard.lib import engine
from steelyard.lib.errors import UserError
from steelyard.lib.hashing import stable_uniform
from steelyard.lib.rundir import RunDir, write_atomically


def count(rundir: RunDir, stop: engine.Stop) -> None:
    spec = rundir.spec()
    if spec.get("refuse"):
        raise UserError(spec["refuse"], code="refused")
    if spec.get("stubborn"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    (rundir.path / "environment.json").write_text(json.dumps(dict(os.environ)))
    place = rundir.checkpoints / "state.json"
    state = json.loads(place.read_text()) if place.exists() else {"step": 0, "sum": 0.0}
    while state["step"] < spec["steps"]:
        if stop and not spec.get("stubborn"):
            write_atomically(place, json.dumps(state).encode())
            return
        step = state["step"] = state["step"] + 1
        value = math.nan if step == spec.get("nan_at") else stable_uniform("count", step)
        state["sum"] += 0.0 if math.isnan(value) else value
        rundir.metric(step, loss=value)
        rundir.progress(step, spec["steps"])
        if step % spec.get("checkpoint_every", 5) == 0:
            write_atomically(place, json.dumps(state).encode())
        if step == spec.get("crash_at") or step in crashes_left(rundir, spec):
            print(f"the wheels came off at step {step}", file=sys.stderr)  # noqa: T201
            os._exit(1)
        held = step >= spec.get("hold_at", math.inf)
        while held and not (stop or (rundir.path / "go-on").exists()):
            time.sleep(0.02)
        time.sleep(spec.get("pause", 0.01))
    rundir.event("counted")
    rundir.finish(status="succeeded", sum=state["sum"])
    time.sleep(spec.get("linger", 0))


def crashes_left(rundir: RunDir, spec: dict[str, object]) -> list[int]:
    """Steps at which it is still to crash, each once."""
    done = [path.name for path in rundir.path.glob("crashed-*")]
    left = [at for at in spec.get("crash_once_at", []) if f"crashed-{at}" not in done]  # type: ignore[attr-defined]
    step = (rundir.read_progress() or {"done": 0})["done"]
    if step in left:
        (rundir.path / f"crashed-{step}").touch()
    return left


if __name__ == "__main__":
    engine.run(count)
