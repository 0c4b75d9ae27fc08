"""The win rate after each revision, by a judge that knows a good word when it sees one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evaluation.engine.revisions import compare, pairs_of
from steelyard.lib.engine import Stop
from steelyard.lib.errors import UserError
from steelyard.lib.rundir import RunDir
from tests.chat_server import ChatServer

TEXTS = (("dull", "good", "good"), ("dull", "dull", "good"), ("dull", "good", "mumbled"))
"""Of three prompts: the first answer and two revisions."""


@pytest.fixture
def revisions(tmp_path: Path) -> Path:
    lines = [
        {
            "prompt": f"{number}" * 64,
            "messages": [{"role": "user", "content": f"Say {number}."}],
            "revision": revision,
            "text": text,
        }
        for number, chain in enumerate(TEXTS)
        for revision, text in enumerate(chain)
    ]
    path = tmp_path / "revisions.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_each_revision_is_compared_with_the_first_answer(tmp_path: Path, revisions: Path) -> None:
    def reply(body: dict[str, Any], number: int) -> str:
        asked = body["messages"][0]["content"]
        if "mumbled" in asked:
            return "Who can say."
        return f"Verdict: {'A' if asked.index('good') < asked.index('dull') else 'B'}"

    rundir = RunDir(tmp_path / "run")
    with ChatServer(reply) as server:
        model = {"name": "critic", "family": "endpoint", "base_url": server.url, "model": "m"}
        judge = {"model": model, "criteria": "Be kind."}
        rundir.create({"kind": "revisions", "judge": judge, "revisions": str(revisions)})
        compare(rundir, Stop(rundir))
    result = rundir.result()
    assert result is not None
    first, second = result["revisions"]
    # an unchanged answer is a tie that nobody is asked about
    assert (first["rate"], first["wins"], first["ties"]) == (pytest.approx(2.5 / 3), 2, 1)
    assert (second["rate"], second["votes"], second["invalid"]) == (1.0, 2, 1)
    assert first["lo"] < first["rate"] < first["hi"]
    # started again, with the judge gone, it asks nothing twice
    (rundir.path / "result.json").unlink()
    compare(rundir, Stop(rundir))
    assert rundir.result() == result


def test_a_file_without_revisions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is no file"):
        pairs_of(tmp_path / "none")
    (tmp_path / "one").write_text('{"prompt": "p", "revision": 0, "text": "t"}\n')
    with pytest.raises(UserError, match="holds no revision"):
        pairs_of(tmp_path / "one")
