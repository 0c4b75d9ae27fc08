"""Files of any format come in whole, or the rows of them that are right; what does not is told."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import signal
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Route, expect

from annotation.formats import pairs_jsonl
from annotation.formats.base import Writing
from annotation.models import Judgment, Pair
from annotation.recipe import Recipe
from annotation.services import transfer
from annotation.services.importing import import_records
from annotation.services.versions import publish_version
from annotation.transfer import incoming
from steelyard.lib.errors import UserError
from steelyard.lib.records import read_parquet
from steelyard.registry.cards import readme
from steelyard.registry.statistics import statistics
from steelyard.runs import launchers, supervisor
from steelyard.runs.services import cancel_run
from tests import factories
from tests.assets.media import picture
from tests.browser import until
from tests.engines import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
SHOTS = os.environ.get("STEELYARD_SHOTS", "")


def trl(number: int, **changes: Any) -> dict[str, Any]:
    row = {
        "prompt": f"Question {number}?",
        "chosen": f"Good answer {number}.",
        "rejected": f"Bad answer {number}.",
    }
    return {**row, **changes}


def as_lines(rows: list[dict[str, Any]]) -> bytes:
    return "".join(f"{json.dumps(row)}\n" for row in rows).encode()


def bring(project: Any, data: bytes, name: str = "train.jsonl", **said: Any) -> Any:
    background = said.pop("background", False)
    upload = transfer.receive(project=project, name=name, data=io.BytesIO(data), by=None)
    return transfer.start_import(
        project=project, upload=upload, said=said, by=None, background=background
    )


def errors_of(run: Any) -> list[dict[str, Any]]:
    return incoming.read_errors(transfer.errors_of(run), 100)


def test_it_works(project: Any) -> None:
    run = bring(project, as_lines([trl(1), trl(2)]))
    assert (run.state, run.error) == ("succeeded", "")
    assert run.spec["asked"]["format"] == "trl_preference"
    assert (run.result["rows"], run.result["pairs"], run.result["judgments"]) == (2, 2, 2)
    assert Pair.objects.filter(project=project).count() == 2
    assert not errors_of(run)


def test_in_the_background_it_is_the_same_by_a_process_of_its_own(
    project: Any, settle: Any
) -> None:
    run = settle(bring(project, as_lines([trl(n) for n in range(2500)]), background=True))
    assert run.state == "succeeded", run.error
    assert (run.done, run.total) == (2500, 2500)
    assert run.result["judgments"] == Judgment.objects.count() == 2500
    assert not run.dir.data.exists()


def test_the_same_file_twice_changes_nothing(project: Any) -> None:
    data = as_lines([trl(1), trl(2)])
    bring(project, data)
    again = bring(project, data)
    assert (again.state, again.result["pairs"], again.result["judgments"]) == ("succeeded", 0, 0)
    assert again.result["stored"] == 2


BAD = [trl(1), trl(2, chosen=7), trl(3), trl(4, rejected="Good answer 4.")]


def test_of_votes_from_a_file_nobody_claims_which_answer_was_shown_first(
    project: Any, owner: Any, as_user: Browse
) -> None:
    bring(project, as_lines([trl(n) for n in range(6)]))
    screen = factories.make_pair(project)
    factories.make_judgment(screen, annotator=factories.make_annotator(project, "rater"))
    version = publish_version(project=project, dataset_name="All", recipe=Recipe(), by=None)
    assert statistics(version)["position"] == {"of": 1, "first": 1, "unknown": 6}
    assert "in 100.0% of 1 votes" in readme(version)
    client = as_user(owner)
    page = client.get(reverse("registry:version-statistics", args=[project.slug, version.pk]))
    assert "Of 6 votes from files it is not known" in page.content.decode()
    imported = Pair.objects.filter(project=project).exclude(pk=screen.pk)[0]
    pages = [
        reverse("annotation:pair-detail", args=[project.slug, p.pk]) for p in (imported, screen)
    ]
    shown = [
        re.findall(r"<td[^>]*>(a|b|unknown)\s*</td>", client.get(at).content.decode())
        for at in pages
    ]
    assert shown == [["unknown"], ["a"]]


def test_but_a_row_may_say_which_was_shown_first(project: Any) -> None:
    said = {"a": "Yes.", "b": "No.", "outcome": "a", "annotator": "rater"}
    rows = [{**said, "prompt": f"Question {n}?", "first": "ab"[n % 2]} for n in range(8)]
    bring(project, as_lines(rows))
    assert Judgment.objects.count() == 8
    for vote in Judgment.objects.select_related("pair__prompt", "pair__output_b"):
        number = int(vote.pair.prompt.messages[0]["content"][9])
        first = "Yes." if number % 2 == 0 else "No."
        assert vote.swapped is (vote.pair.output_b.text == first)
    run = bring(project, as_lines([{**rows[0], "first": "left"}]), "more.jsonl")
    assert errors_of(run)[0]["what"] == "“first” is “left”"


def test_rows_without_annotators_are_votes_each_even_where_they_contradict(project: Any) -> None:
    """As a version comes out vote by vote in TRL's columns, so it comes in again."""
    row = trl(1)
    turned = {**row, "chosen": row["rejected"], "rejected": row["chosen"]}
    for _ in range(2):  # the same file twice changes nothing
        bring(project, as_lines([row, row, turned]))
        votes = Judgment.objects.filter(project=project)
        names = ["imported labels", "imported labels 2", "imported labels 3"]
        assert sorted(votes.values_list("annotator__name", flat=True)) == names
        assert len(set(votes.values_list("outcome", flat=True))) == 2


def test_one_wrong_row_and_nothing_comes_in_but_all_that_is_wrong_is_told(project: Any) -> None:
    run = bring(project, as_lines(BAD))
    assert run.state == "failed"
    assert "1 more is wrong. Nothing was stored" in run.error
    assert not Pair.objects.exists()
    assert [error["row"] for error in errors_of(run)] == [2, 4]
    assert errors_of(run)[0]["column"] == "chosen"
    assert errors_of(run)[0]["right"].startswith("it must be")


def test_or_the_good_rows_come_in_and_the_others_are_told(project: Any) -> None:
    run = bring(project, as_lines(BAD), mode="good")
    assert run.state == "succeeded"
    said = run.result
    assert (said["rows"], said["stored"], said["wrong"], said["pairs"]) == (4, 2, 2, 2)
    assert [error["row"] for error in errors_of(run)] == [2, 4]


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_batches_of_any_size_tell_the_same(project: Any, monkeypatch: Any, batch: int) -> None:
    monkeypatch.setattr(incoming, "BATCH_RECORDS", batch)
    run = bring(project, as_lines(BAD), mode="good")
    assert (run.result["stored"], run.result["wrong"]) == (2, 2)


def test_how_far_it_is_is_told_from_the_first_batch(
    project: Any, monkeypatch: Any, tmp_path: Path
) -> None:
    monkeypatch.setattr(incoming, "BATCH_RECORDS", 2)
    path = tmp_path / "train.jsonl"
    path.write_bytes(as_lines([trl(n) for n in range(4)]))
    said: list[tuple[Any, ...]] = []

    def take(mode: str) -> list[tuple[Any, ...]]:
        said.clear()
        (tmp_path / mode).mkdir()
        asked = incoming.Asked(path, path.name, "trl_preference", mode=mode)
        taken = incoming.Incoming(
            project, asked, tmp_path / mode, None, lambda *told: said.append(told)
        ).run()
        assert taken.stored == 4
        return said

    assert take("good") == [(1, 1, "MiB", "storing")] * 3
    stored = [(done, 4, "rows", "storing") for done in (2, 4, 4)]
    assert take("all") == [(1, 1, "MiB", "checking")] * 3 + stored


@contextmanager
def locked(row: Model) -> Iterator[None]:
    """By another connection: nothing that points to the row is stored meanwhile."""
    known = connection.get_connection_params()
    told = {name: known[name] for name in ("host", "user", "dbname", "port") if name in known}
    with psycopg.connect(**told) as another:
        another.execute(f"select 1 from {row._meta.db_table} where id = %s for update", [row.pk])
        yield


def test_a_killed_import_goes_on_where_it_was(project: Any, settle: Any) -> None:
    rows = [trl(n) if n % 500 != 1 else trl(n, chosen=7) for n in range(6000)]
    run = bring(project, as_lines(rows), mode="good", background=True)
    state = run.dir.path / "state.json"
    end = time.monotonic() + 240
    # the second batch waits, so that it is not over before it is killed
    with locked(factories.make_prompt(project, "Question 5000?")):
        while not state.exists() and time.monotonic() < end:
            supervisor.reconcile()
            time.sleep(0.05)
        process = launchers.find(run.dir)
        assert process is not None
        process.signal(signal.SIGKILL)
        wait_until(lambda: not process.is_alive())
    run = settle(run)
    assert run.attempt > 1
    assert run.state == "succeeded", run.error
    assert Judgment.objects.count() == run.result["stored"] == 6000 - 12
    assert [error["row"] for error in errors_of(run)] == [2 + 500 * n for n in range(12)]


def test_a_cancelled_import_says_what_is_in(project: Any, settle: Any) -> None:
    user = factories.make_user()
    rows = as_lines([trl(n) for n in range(20_000)])
    run = bring(project, rows, mode="good", background=True)
    state = run.dir.path / "state.json"
    end = time.monotonic() + 240
    # the second batch waits, so that it is not over before it is cancelled
    with locked(factories.make_prompt(project, "Question 5000?")):
        while not state.exists() and time.monotonic() < end:
            supervisor.reconcile()
            time.sleep(0.05)
        cancel_run(run=run, by=user)
    run = settle(run)
    assert run.state == "cancelled"
    assert run.result["stored"] == Pair.objects.count() > 0
    assert run.result["stored_to_row"] == run.result["stored"]


def test_columns_of_any_names_come_in_by_a_mapping(project: Any) -> None:
    data = b"ask,left one,right one,who\nWhy?,Because.,Hm.,1\nHow?,So.,Thus.,2\n"
    mapping = {
        "prompt": "ask",
        "a": "left one",
        "b": "right one",
        "outcome": "who",
        "words": {"1": "a", "2": "b"},
    }
    run = bring(project, data, "mine.csv", mapping=mapping, annotator="rater")
    assert run.state == "succeeded", run.error
    assert set(Judgment.objects.values_list("annotator__name", flat=True)) == {"rater"}
    with pytest.raises(UserError, match="no column “gone”"):
        bring(project, data, "mine.csv", mapping={**mapping, "prompt": "gone"})


def test_two_votes_of_one_person_on_one_pair_are_found_across_batches(
    project: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(incoming, "BATCH_RECORDS", 1)
    vote = {"prompt": "Is it?", "a": "Yes.", "b": "No.", "annotator": "rater"}
    others = {**vote, "prompt": "Was it?", "outcome": "a"}
    rows = [{**vote, "outcome": "a"}, others, {**vote, "outcome": "b"}]
    run = bring(project, as_lines(rows))
    assert run.error_code == "two_votes"
    assert errors_of(run)[0]["row"] == 3
    assert not Pair.objects.exists()


def test_votes_in_the_name_of_somebody_who_labels_here_are_refused(
    project: Any, member: Any
) -> None:
    run = bring(project, as_lines([trl(1)]), annotator=member.username)
    assert (run.state, run.error_code) == ("failed", "annotator_taken")


def test_a_prompt_that_is_held_out_is_refused_by_its_row(project: Any) -> None:
    factories.make_prompt(project, "Question 2?", held_out=True)
    run = bring(project, as_lines([trl(1), trl(2), trl(3)]), mode="good")
    assert (run.result["stored"], run.result["wrong"]) == (2, 1)
    assert errors_of(run)[0]["code"] == "prompt_held_out"


def test_a_vote_that_differs_from_the_one_here_is_counted_and_changes_nothing(project: Any) -> None:
    bring(project, as_lines([trl(1)]))
    turned = trl(1, chosen="Bad answer 1.", rejected="Good answer 1.")
    run = bring(project, as_lines([turned]))
    assert (run.state, run.result["judgments"]) == ("succeeded", 0)
    assert list(run.result["left"].values()) == [1]


def test_a_format_named_wrongly_is_told_with_those_that_fit(project: Any) -> None:
    run = bring(project, as_lines([trl(1)]), format="arena_33k")
    assert run.state == "failed"
    assert "TRL preference" in run.error
    assert not Pair.objects.exists()


def test_columns_that_nobody_knows_ask_for_a_mapping(project: Any) -> None:
    with pytest.raises(UserError, match="mapping"):
        bring(project, b'{"x": 1, "y": 2}\n')


BROKEN = {
    "no JSON": as_lines([trl(1)]) + b"{oops\n",
    "mixed encoding": as_lines([trl(1)]) + '{"prompt": "Zürich"}\n'.encode("latin-1"),
    "gigantic line": as_lines([trl(1)]) + b'{"prompt": "' + b"x" * (17 * 2**20) + b'"}\n',
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_line_is_told_and_passed_over(project: Any, what: str) -> None:
    run = bring(project, BROKEN[what] + as_lines([trl(3)]), mode="good")
    assert run.state == "succeeded", run.error
    assert (run.result["stored"], run.result["wrong"]) == (2, 1)
    assert errors_of(run)[0]["row"] == 2


def test_a_file_that_is_cut_off_says_what_is_in(project: Any, monkeypatch: Any) -> None:
    whole = gzip.compress(as_lines([trl(n, note=str(n) * 50) for n in range(3000)]))
    run = bring(project, whole[: len(whole) // 2], "train.jsonl.gz")
    assert (run.state, run.error_code) == ("failed", "bad_archive")
    assert not Pair.objects.exists()


def test_ids_that_come_twice_are_told(project: Any) -> None:
    data = b"id,prompt,a,b,winner\n1,Why?,So.,Hm.,a\n1,How?,So.,Hm.,b\n"
    run = bring(project, data, "mine.csv", mode="good", format="mapped")
    assert (run.result["stored"], run.result["wrong"]) == (1, 1)


def zipped(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return stream.getvalue()


def test_an_archive_that_leads_out_of_itself_is_refused(project: Any) -> None:
    data = zipped({"train.jsonl": as_lines([trl(1)]), "../../evil.png": b"x"})
    with pytest.raises(UserError, match="leads out of it"):
        bring(project, data, "train.zip")
    assert not Pair.objects.exists()


def test_media_that_are_missing_are_told_by_their_row(db: None) -> None:
    project = factories.make_project(modality="image")
    row = {"prompt": "A cat.", "media_a": "a.png", "media_b": "b.png", "outcome": "a"}
    data = zipped({"train.jsonl": as_lines([{**row, "annotator": "rater"}])})
    run = bring(project, data, "train.zip")
    assert run.error_code == "unknown_asset"
    assert errors_of(run)[0]["row"] == 1


def test_an_archive_with_its_media_comes_in_in_the_background(db: None, settle: Any) -> None:
    project = factories.make_project(modality="image")
    row = {"prompt": "A cat.", "media_a": "a.png", "media_b": "b.png", "outcome": "a"}
    lines = as_lines([{**row, "annotator": "rater"}])
    files = {"train.jsonl": lines, "a.png": picture(width=32), "b.png": picture(width=48)}
    run = settle(bring(project, zipped(files), "train.zip", background=True))
    assert run.state == "succeeded", run.error
    assert Pair.objects.get().output_a.asset is not None


def test_a_file_of_another_format_is_given_up(project: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(incoming, "MAX_ERRORS", 5)
    run = bring(project, as_lines([trl(0), *({"x": n} for n in range(50))]), mode="good")
    assert (run.state, run.error_code) == ("failed", "too_many_errors")
    assert run.result["wrong"] == 5


DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def test_alpaca_eval_comes_in_completely(project: Any, settle: Any) -> None:
    path = DATA / "alpaca_eval" / "annotations.jsonl.gz"
    if not path.exists():
        pytest.skip("the AlpacaEval annotations are not at hand under ../shared/data")
    run = settle(bring(project, path.read_bytes(), path.name, background=True))
    assert run.state == "succeeded", run.error
    assert run.spec["asked"]["format"] == "alpaca_eval"
    assert run.result["rows"] == 6434
    assert run.result["judgments"] == Judgment.objects.count() == 6434


def test_the_crowds_comparisons_come_in_completely(project: Any) -> None:
    folder = DATA / "llmfao"
    if not folder.exists():
        pytest.skip("the crowd comparisons are not at hand under ../shared/data")
    call_command("import_llmfao", project.slug, str(folder))
    assert Pair.objects.filter(is_training=False).count() == 2139
    people = Judgment.objects.filter(annotator__kind="person")
    assert (people.count(), people.values("annotator").distinct().count()) == (8931, 124)
    assert Judgment.objects.filter(annotator__kind="judge").count() == 2 * 2139
    assert not Judgment.objects.filter(swapped=None).exists()  # left and right are told


Browse = Callable[[Any], Client]


def test_the_owner_brings_a_file_in_by_page(project: Any, owner: Any, as_user: Browse) -> None:
    client = as_user(owner)
    given = SimpleUploadedFile("mine.csv", b"ask,one,two,who\nWhy?,So.,Hm.,1\nHow?,So.,Hm.,2\n")
    sent = client.post(reverse("annotation:import-upload", args=[project.slug]), {"file": given})
    page = sent["Location"]
    text = client.get(page).content.decode()
    assert "which column is what" in text
    assert "Why?" in text
    said = {"format": "mapped", "mode": "all", "column_prompt": "ask", "column_a": "one"}
    said |= {"column_b": "two", "column_outcome": "who", "word_a": "1", "word_b": "2"}
    assert "say which columns" in client.post(page, {**said, "column_b": ""}).content.decode()
    done = client.post(page, said)
    run = project.runs.get(kind="import")
    assert done["Location"] == run.get_absolute_url()
    assert Pair.objects.count() == 2
    part = client.get(reverse("annotation:import-of-run", args=[project.slug, run.pk]))
    assert "All of the file is in." in part.content.decode()
    assert client.get(page).status_code == 404


def test_what_is_wrong_is_seen_and_downloaded(project: Any, owner: Any, as_user: Browse) -> None:
    client = as_user(owner)
    run = bring(project, as_lines(BAD), mode="good")
    part = client.get(reverse("annotation:import-of-run", args=[project.slug, run.pk]))
    assert "2 rows were wrong and are not in." in part.content.decode()
    file = client.get(reverse("annotation:import-errors", args=[project.slug, run.pk]))
    assert [json.loads(line)["row"] for line in file.getvalue().splitlines()] == [2, 4]


def test_of_a_process_that_failed_the_counts_are_told(
    project: Any, owner: Any, as_user: Browse
) -> None:
    run = bring(project, as_lines(BAD))
    assert (run.state, run.result["rows"], run.result["wrong"]) == ("failed", 4, 2)
    run.dir.finish(**run.result)
    type(run).objects.filter(pk=run.pk).update(result=None)  # as it is of what ran by itself
    url = reverse("annotation:import-of-run", args=[project.slug, run.pk])
    page = as_user(owner).get(url).content.decode()
    for told in ("Rows read", "4"), ("Rows that are wrong", "2"):
        assert '<dt>{}</dt><dd class="num">{}</dd>'.format(*told) in page
    assert "<dt>Format</dt><dd>TRL preference</dd>" in page


def test_sending_a_file_is_seen_and_a_refusal_is_shown(
    browse: Any, project: Any, owner: Any
) -> None:
    page = browse(owner).new_page()
    page.goto(reverse("annotation:import", args=[project.slug]))
    held: list[Route] = []
    page.route("**/import/file/", lambda route: held.append(route))
    given = page.locator("#any-file")
    look = page.get_by_role("button", name="Look at it")
    for name, data, shown in (
        ("scan.pdf", b"%PDF-1.4", "this is not JSON at column 1"),
        ("train.jsonl", as_lines([trl(1)]), "By its first rows it is TRL preference"),
    ):
        given.set_input_files({"name": name, "mimeType": "text/plain", "buffer": data})
        look.click()
        expect(page.get_by_role("progressbar")).to_be_visible()
        expect(look).to_be_disabled()
        if SHOTS:
            page.screenshot(path=Path(SHOTS) / f"sending-{name}.png")
        until(page, lambda: bool(held))
        held.pop().continue_()
        expect(page.locator("main")).to_contain_text(shown)
        if name == "scan.pdf":
            page.reload()


def test_rows_that_made_no_pair_are_counted_even_where_none_did(
    project: Any, owner: Any, as_user: Browse
) -> None:
    def said_of(*labels: bool) -> tuple[Any, str]:
        rows = [{"prompt": "Why?", "completion": f"So {n}.", "label": n} for n in labels]
        run = bring(project, as_lines(rows), format="trl_unpaired")
        part = reverse("annotation:import-of-run", args=[project.slug, run.pk])
        return run, as_user(owner).get(part).content.decode()

    why = "no bad answer to the same prompt to pair it with"
    run, page = said_of(True)
    assert (run.result["rows"], run.result["stored"], run.result["left"]) == (1, 0, {why: 1})
    assert "no row of it made a pair" in page
    assert f"{why}: 1" in page
    run, page = said_of(True, True, False)
    assert (run.result["rows"], run.result["stored"], run.result["left"]) == (3, 1, {why: 1})
    assert "but what was left out" in page


@pytest.mark.parametrize("who", ["member", "stranger"])
def test_nobody_else_brings_in_or_sees(
    project: Any, as_user: Browse, request: Any, who: str
) -> None:
    client, slug = as_user(request.getfixturevalue(who)), project.slug
    run = bring(project, as_lines(BAD), mode="good")
    upload = transfer.receive(project=project, name="x.jsonl", data=io.BytesIO(b"{}"), by=None)
    pages = [
        reverse("annotation:import-file", args=[slug, upload.uuid]),
        reverse("annotation:import-of-run", args=[slug, run.pk]),
        reverse("annotation:import-errors", args=[slug, run.pk]),
        f"/api/v1/projects/{slug}/imports/{run.pk}",
        f"/api/v1/projects/{slug}/imports/{run.pk}/errors",
    ]
    assert [client.get(page).status_code for page in pages] == [404] * len(pages)
    given = SimpleUploadedFile("x.jsonl", as_lines([trl(1)]))
    for path in (
        reverse("annotation:import-upload", args=[slug]),
        f"/api/v1/projects/{slug}/imports",
    ):
        given.seek(0)
        assert client.post(path, {"file": given}).status_code == 404


def test_a_file_sent_to_another_project_is_not_found(
    project: Any, owner: Any, as_user: Browse
) -> None:
    other = factories.make_project()
    upload = transfer.receive(project=other, name="x.jsonl", data=io.BytesIO(b"{}"), by=None)
    page = reverse("annotation:import-file", args=[project.slug, upload.uuid])
    assert as_user(owner).get(page).status_code == 404


def test_the_api_says_what_came_in_and_what_did_not(
    project: Any, owner: Any, as_user: Browse
) -> None:
    client, path = as_user(owner), f"/api/v1/projects/{project.slug}/imports"

    def send(**said: Any) -> Any:
        given = SimpleUploadedFile("train.jsonl", as_lines(BAD))
        return client.post(path, {"file": given, **said})

    refused = send()
    said = refused.json()
    assert (refused.status_code, said["code"], said["stored"]) == (400, "bad_line", 0)
    assert [error["row"] for error in said["faults"]] == [2, 4]
    taken = send(mode="good")
    assert (taken.status_code, taken.json()["stored"], taken.json()["wrong"]) == (200, 2, 2)
    assert taken.json()["format"] == "trl_preference"
    one = f"{path}/{taken.json()['run']['id']}"
    assert client.get(one).json() == taken.json()
    assert len(client.get(f"{one}/errors").getvalue().splitlines()) == 2
    later = send(background="true")
    assert (later.status_code, later.json()["run"]["state"]) == (202, "queued")
    assert send(mapping="[1]").status_code == 400
    assert send(mapping='{"prompt": "prompt", "a": "gone", "b": "rejected"}').status_code == 400


def test_reference_answers_come_with_pairs_and_stay(project: Any) -> None:
    line = {"prompt": "Why?", "a": "So.", "b": "Not so.", "annotator": "rater", "outcome": "a"}

    def bring(**more: Any) -> str:
        records = list(pairs_jsonl.read(json.dumps({**line, **more}).encode()))
        import_records(project=project, records=records, by=None)
        return project.prompts.get().reference_answer

    # a prompt that was there without one is given one, and keeps it
    assert bring() == ""
    assert bring(b="No.", reference_answer="It is so.") == "It is so."
    assert bring(b="Never.", reference_answer="Otherwise.") == "It is so."
    version = publish_version(project=project, dataset_name="Right", recipe=Recipe(), by=None)
    rows = read_parquet(version.files)
    assert {row.reference_answer for row in rows} == {"It is so."}
    written = [line for row in rows for line in pairs_jsonl.write(row, Writing())]
    assert {line["reference_answer"] for line in written} == {"It is so."}


def test_plain_columns_are_never_taken_on_a_guess(project: Any, capsys: Any) -> None:
    """Neither by the API nor by the command: what would have been read is told instead."""
    data = b"id,input,output_1,output_2,worker,choice\n1,7,Yes,No,w,left\n"
    with pytest.raises(UserError, match="prompt=input a=output_1 b=output_2") as error:
        bring(project, data, "rows.csv")
    assert error.value.code == "format_unsure"
    assert not Pair.objects.exists()
    run = bring(project, data, "rows.csv", format="mapped")
    assert (run.state, run.result["judgments"]) == ("succeeded", 1)
    assert run.spec["asked"]["understood"]["annotator"] == "worker"


def test_a_line_that_cannot_be_read_is_told_before_the_file_is_taken(
    project: Any, owner: Any, as_user: Browse
) -> None:
    rows = as_lines([trl(1)]) + b"{no\n" + as_lines([trl(2)])
    client = as_user(owner)
    sent = SimpleUploadedFile("train.jsonl", rows)
    page = client.post(
        reverse("annotation:import-upload", args=[project.slug]), {"file": sent}, follow=True
    )
    assert "Line 2 cannot be read: this is not JSON" in page.content.decode()
