"""``python -m evaluation.engine.revisions RUN_DIR``: whether revising an answer makes it better.

``run.json``: ``judge`` (``model``, a model's spec, and ``criteria``; ``template_version`` and
``sampling`` where wanted) and ``revisions``, the path of the ``revisions.jsonl`` that a run of SRPO
has written. Each revision is compared with the answer to the same prompt before any, in both
orders; verdicts stand in ``judged.jsonl`` as they come. The result has for each revision the win
rate against the first answer, with its 95 % interval over prompts.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from annotation.engine.askers import asker_of, used_in
from evaluation.engine.winrate import win_rate
from evaluation.engine.words import WORDS
from steelyard.inference.interrupted import Interrupted
from steelyard.inference.judging.asking import worths
from steelyard.inference.judging.limits import CapReached, in_words
from steelyard.inference.judging.prompting import TEMPLATE_VERSIONS
from steelyard.lib import engine
from steelyard.lib.errors import UserError
from steelyard.lib.journal import Journal
from steelyard.lib.rundir import RunDir
from steelyard.lib.said import Said


def compare(rundir: RunDir, stop: engine.Stop) -> None:
    """
    Raises:
        UserError: ``no_revisions``: the file holds none; or the judge cannot be asked, or gives no
            verdict that can be read.
    """
    spec = rundir.spec()
    spec["judge"] = {"template_version": TEMPLATE_VERSIONS[-1], **spec["judge"]}
    pairs = pairs_of(rundir.path / spec["revisions"])
    more: dict[str, Any] = {}
    with Journal(rundir.path / "judged.jsonl") as journal, ExitStack() as opened:
        try:
            _judge(journal, spec, pairs, rundir, stop, opened)
        except Interrupted:
            return
        except CapReached as cap:
            more["capped"] = True
            more["warning"] = Said(
                WORDS,
                "left",
                left=len(pairs) - sum(1 for _ in journal.lines()),
                cap=cap.cap,
                spent=in_words(cap.spent),
            )
            rundir.event(more["warning"], "warning")
        lines = list(journal.lines())
    if stop:
        return
    read = any(line.get("outcome") for line in lines)
    found = rates(lines) if read or not more else []
    rundir.finish(status="succeeded", revisions=found, **more, **used_in(rundir))


def _judge(
    journal: Journal,
    spec: dict[str, Any],
    pairs: Sequence[dict[str, Any]],
    rundir: RunDir,
    stop: engine.Stop,
    opened: ExitStack,
) -> None:
    """A line in the journal for each pair that has none. Equal answers are a tie that nobody is
    asked about.

    Raises:
        UserError: as an asker's ``verdicts``; and Interrupted.
    """
    known = {line["pair"] for line in journal.lines()}
    left = {pair["pair"]: pair for pair in pairs if pair["pair"] not in known}
    for number in [number for number, pair in left.items() if pair["a"] == pair["b"]]:
        same = {"outcome": "tie", "rationale": "Both answers are the same."}
        journal.add({**left.pop(number), **same})
    judge = spec["judge"]
    if not left:
        return
    done = len(pairs) - len(left)
    rundir.progress(
        done,
        len(pairs),
        "pairs",
        Said(WORDS, "asking", name=judge["name"]) if "name" in judge else "",
    )
    asker = asker_of(spec, rundir, stop, opened)
    for line in asker.verdicts(judge, list(left.values())):
        journal.add({**left[line["pair"]], **line})
        done += 1
        rundir.progress(done, len(pairs), "pairs")


def pairs_of(path: Path) -> list[dict[str, Any]]:
    """Each revision (a) and the first answer to its prompt (b).

    Raises:
        UserError: the file is not there, or holds no revision.
    """
    if not path.is_file():
        raise UserError(Said(WORDS, "no_revisions_file", path=path), code="no_revisions")
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
    first = {line["prompt"]: line["text"] for line in lines if line["revision"] == 0}
    found = [
        {
            "pair": number,
            "prompt": line["prompt"],
            "revision": line["revision"],
            "messages": line["messages"],
            "a": line["text"],
            "b": first[line["prompt"]],
        }
        for number, line in enumerate(lines)
        if line["revision"] > 0
    ]
    if not found:
        raise UserError(Said(WORDS, "no_revisions", file=path.name), code="no_revisions")
    return found


def rates(verdicts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """By number of the revision; those of which no verdict could be read count as ``invalid``."""
    worths(verdicts)
    made = []
    for revision in sorted({line["revision"] for line in verdicts}):
        of_it = [line for line in verdicts if line["revision"] == revision]
        read = [line for line in of_it if line.get("outcome")]
        told: dict[str, Any] = {"revision": revision, "invalid": len(of_it) - len(read)}
        if read:
            told |= asdict(win_rate(worths(read), [line["prompt"] for line in read]))
        made.append(told)
    return made


if __name__ == "__main__":
    engine.run(compare)
