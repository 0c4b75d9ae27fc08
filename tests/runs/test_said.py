"""What an engine says by code, a page says in its reader's language."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.conf import settings
from django.utils import translation

from annotation.engine.words import WORDS
from evaluation.titles import FOLLOWING
from steelyard.inference.judging.limits import CapReached
from steelyard.inference.saying import WORDS as OF_INFERENCE
from steelyard.lib.rundir import RunDir
from steelyard.lib.said import WORDS as OF_ENGINES
from steelyard.lib.said import Said, coded
from steelyard.runs import said as saying
from steelyard.runs import supervisor
from steelyard.runs.models import Run
from steelyard.runs.said import OF_RUNS, said, told, words_of
from steelyard.runs.services import new_run
from training.titles import TITLES

GERMAN = {
    "Nothing more may be asked, for %(cap)s is reached: in all its runs together the judge has "
    "used %(spent)s. Raise the cap to go on.": "Schluss: %(cap)s. Verbraucht: %(spent)s.",
    "the cap of %(cap)s of money": "Grenze %(cap)s",
    "%(calls)s, %(tokens)s and %(cost)s of money": "%(calls)s, %(tokens)s, %(cost)s",
    "%(n)s calls": "%(n)s Fragen",
    "%(n)s token": "%(n)s Wort",
    "%(n)s tokens": "%(n)s Worte",
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
    monkeypatch.setattr(saying, "ngettext", lambda one, many, n: GERMAN[one if n == 1 else many])
    with translation.override("de"):
        read = said("judge", line["said"], line["text"])
    assert (
        read == "Pair 7 got no verdict: Schluss: Grenze 0,5. Verbraucht: 3 Fragen, 40 Worte, 0,50."
    )


def test_thousands_are_not_taken_for_decimals() -> None:
    known = [
        ("921,600", "921\u202f600"),
        ("1,234.5", "1\u202f234,5"),
        ("0.5", "0,5"),
        ("a,b", "a,b"),
    ]
    for value, wanted in known:
        sentence = Said(OF_ENGINES, "asking", name=value)
        with translation.override("en"):
            assert said("judge", sentence.as_dict(), "") == f"Asking {value}"
        with translation.override("de"):
            assert wanted in said("judge", sentence.as_dict(), "")


def test_one_is_told_otherwise_than_many_also_where_that_is_text() -> None:
    known = [
        ("1", "the cap of 1 call"),
        ("2", "the cap of 2 calls"),
        ("1.5", "the cap of 1.5 calls"),
    ]
    for cap, wanted in known:
        sentence = Said(OF_INFERENCE, "cap_calls", cap=cap)
        assert (str(sentence), said("judge", sentence.as_dict(), "")) == (wanted, wanted)


def test_what_a_run_is_called_is_at_and_failed_with_is_read_in_each_language(
    project: Any, owner: Any, as_user: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    title = Said(TITLES, "title_try", name="base")
    run = new_run(project=project, kind="try", title=title, spec={}, by=owner)
    run.state, run.done, run.total, run.unit = "running", 1, 3, "models"
    run.status_text = Said(OF_ENGINES, "asking", name="base")
    run.said["status_text"] = run.status_text.as_dict()
    run.save()
    old = Run.objects.create(project=project, kind="train", title="Train it", unit="steps", total=3)
    texts = {"Try %(name)s": "%(name)s fragen", "Asking %(name)s": "%(name)s wird gefragt"}
    monkeypatch.setattr(saying, "gettext", lambda text: texts.get(text, text))
    monkeypatch.setattr(saying, "ngettext", lambda one, many, n: f"{many} (deutsch)")
    page = as_user(owner).get(run.get_absolute_url()).content.decode()
    for part in ("<h1>base fragen</h1>", "base wird gefragt", "1 of 3 models (deutsch)"):
        assert part in page.replace("</progress>", "").replace('<span class="muted">', "")
    assert "Try base" not in page
    assert (run.title, old.called, old.doing) == ("Try base", "Train it", "")


def test_a_failure_is_read_by_its_code(project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run.objects.create(project=project, kind="train", title="Train it", state="running")
    supervisor._fail(run, "internal_error", Said(OF_RUNS, "internal_error", number=run.pk))
    run.refresh_from_db()
    assert run.why == run.error
    monkeypatch.setattr(saying, "gettext", lambda text: "Lauf %(number)s")
    assert run.why == f"Lauf {run.pk}"
    Run.objects.filter(pk=run.pk).update(said={})
    run.refresh_from_db()
    assert run.why == run.error


def test_what_is_refused_in_a_request_is_told_in_its_language_and_keeps_its_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(saying, "gettext", lambda text: "Keine neuen Paare: %(why)s")
    refused = told(FOLLOWING, "new_pairs_refused", why="x")
    assert refused == "Keine neuen Paare: x"
    assert coded(refused) == {"code": "new_pairs_refused", "values": {"why": "x"}}
    assert said("train", coded(refused), "") == refused


def test_every_sentence_of_every_kind_can_be_filled_in() -> None:
    wrong = []
    for kind in settings.RUN_KINDS:
        for code, sentence in words_of(kind).items():
            forms = [sentence] if isinstance(sentence, str) else [sentence.one, sentence.many]
            places = {name for form in forms for name in re.findall(r"%\((\w+)\)s", form)}
            places |= set() if isinstance(sentence, str) else {sentence.by}
            if not said(kind, {"code": code, "values": dict.fromkeys(places, "1")}, ""):
                wrong.append((kind, code))
    assert wrong == []


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
