"""What an engine says by code, a page says in its reader's language."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import translation

from annotation.engine.words import WORDS
from steelyard.inference.judging.limits import CapReached
from steelyard.lib.rundir import RunDir
from steelyard.lib.said import Said
from steelyard.runs import said as saying
from steelyard.runs.said import said

GERMAN = {
    "Nothing more may be asked, for %(cap)s is reached: in all its runs together the judge has "
    "used %(spent)s. Raise the cap to go on.": "Schluss: %(cap)s. Verbraucht: %(spent)s.",
    "the cap of %(cap)s of money": "Grenze %(cap)s",
    "%(calls)s calls, %(tokens)s tokens and %(cost)s of money": "%(calls)s, %(tokens)s, %(cost)s",
}


def test_with_the_sentences_in_it_and_numbers_as_that_language_writes_them(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rundir = RunDir(tmp_path)
    cap = Said({"cap_cost": "the cap of %(cap)s of money"}, "cap_cost", cap="0.5")
    rundir.event(Said(WORDS, "no_verdict", pair=7, trouble=CapReached(cap, (3, 40, 0.5)).message))
    line = rundir.last_events(1)[0]
    assert "for the cap of 0.5 of money is reached" in line["text"]
    assert said("judge", line["said"], line["text"]) == line["text"]
    monkeypatch.setattr(saying, "gettext", lambda text: GERMAN.get(text, text))
    with translation.override("de"):
        told = said("judge", line["said"], line["text"])
    assert told == "Pair 7 got no verdict: Schluss: Grenze 0,5. Verbraucht: 3, 40, 0,50."


@pytest.mark.parametrize(
    "coded",
    [None, {"code": "of another day"}, {"code": "left", "values": {}}, {"code": "left"}, "x"],
)
def test_where_code_or_numbers_are_not_known_it_stands_as_it_was_written(coded: Any) -> None:
    assert said("judge", coded, "as written") == "as written"


def test_a_result_names_the_codes_of_its_sentences(tmp_path: Any) -> None:
    rundir = RunDir(tmp_path)
    rundir.finish(status="failed", message=Said(WORDS, "gains", points="1.0"))
    result = rundir.result()
    assert result is not None
    assert result["said"] == {"message": {"code": "gains", "values": {"points": "1.0"}}}
