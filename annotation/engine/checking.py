"""Checking a judge: ``python -m annotation.engine.checking RUN_DIR``.

Reads ``run.json`` (a judge and how many questions), writes ``probes.jsonl``, a line a probe, and in
the end what an answer gains by telling the judge to choose it. Started again it goes on with the
probes that have no line; answers that had come are known from the ledger.
"""

from __future__ import annotations

from contextlib import ExitStack

from annotation.engine.askers import asker_of, used_in
from annotation.engine.words import WORDS
from steelyard.inference.interrupted import Interrupted
from steelyard.inference.judging.limits import CapReached, in_words
from steelyard.inference.judging.probes import gains, probes
from steelyard.lib import engine
from steelyard.lib.engine import Stop
from steelyard.lib.journal import Journal
from steelyard.lib.rundir import RunDir
from steelyard.lib.said import Said


def work(rundir: RunDir, stop: Stop) -> None:
    spec = rundir.spec()
    judge, asked = spec["judge"], probes(spec["questions"])
    rundir.progress(0, len(asked), "pairs", Said(WORDS, "asking", name=judge["name"]))
    with Journal(rundir.path / "probes.jsonl") as journal:
        known = {line["pair"] for line in journal.lines()}
        left = {probe["pair"]: probe for probe in asked if probe["pair"] not in known}
        try:
            with ExitStack() as opened:
                asker = asker_of(spec, rundir, stop, opened)
                for line in asker.verdicts(judge, list(left.values())):
                    journal.add({**left[line["pair"]], **line})
                    known.add(line["pair"])
                    rundir.progress(len(known), len(asked), "pairs")
        except Interrupted:
            return
        except CapReached as cap:
            _capped(rundir, Said(WORDS, "check_left", cap=cap.cap, spent=in_words(asker.spent)))
            return
        lines = list(journal.lines())
    if stop:
        return
    found = gains(lines)
    if found["gain"] is None:
        rundir.event(Said(WORDS, "gains_unread"))
    else:
        rundir.event(Said(WORDS, "gains", points=f"{100 * found['gain']:.1f}"))
    rundir.finish(status="succeeded", injection=found, **used_in(rundir))


def _capped(rundir: RunDir, warning: Said) -> None:
    """What some questions alone would say is no check, so nothing of it comes onto the card."""
    rundir.event(warning, "warning")
    rundir.finish(status="succeeded", capped=True, warning=warning, **used_in(rundir))


if __name__ == "__main__":
    engine.run(work)
