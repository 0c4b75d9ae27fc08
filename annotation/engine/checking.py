"""Checking a judge: ``python -m annotation.engine.checking RUN_DIR``.

Reads ``run.json`` (a judge and how many questions), writes ``probes.jsonl``, a line a probe, and in
the end what an answer gains by telling the judge to choose it.
"""

from __future__ import annotations

from annotation.engine.words import WORDS
from steelyard.inference.judging.asking import judged
from steelyard.inference.judging.probes import gains, probes
from steelyard.inference.sampling import Interrupted
from steelyard.lib import engine
from steelyard.lib.engine import Stop
from steelyard.lib.journal import Journal
from steelyard.lib.rundir import RunDir
from steelyard.lib.said import Said

USED = ("tokens_in", "tokens_out", "cost", "seconds")


def work(rundir: RunDir, stop: Stop) -> None:
    spec = rundir.spec()
    asked = probes(spec["questions"])
    rundir.progress(0, len(asked), "pairs", f"asking {spec['judge']['name']}")
    try:
        with Journal(rundir.path / "probes.jsonl") as journal:
            lines = judged(
                journal,
                spec["judge"],
                asked,
                stop,
                tell=lambda done: rundir.progress(done, len(asked), "pairs"),
            )
    except Interrupted:
        return
    if stop:
        return
    took = [order["usage"] for line in lines for order in line["orders"] if order.get("usage")]
    found = gains(lines)
    if found["gain"] is None:
        rundir.event(Said(WORDS, "gains_unread"))
    else:
        rundir.event(Said(WORDS, "gains", points=f"{100 * found['gain']:.1f}"))
    rundir.finish(
        status="succeeded",
        injection=found,
        usage={"calls": len(took), **{name: sum(one[name] for one in took) for name in USED}},
    )


if __name__ == "__main__":
    engine.run(work)
