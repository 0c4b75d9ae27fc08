"""From nothing to a leaderboard row on the text project, as three people would walk it."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.journeys import steps
from tests.journeys.conftest import Site
from tests.journeys.waiting import eventually

PROJECT = "demo-text"
BASE, NEW = "SmolLM2-135M-Instruct", "smol-shorter"


def letters(text: str) -> int:
    """What an answer has in its source and as it is shown, where marks of Markdown are gone."""
    return sum(map(str.isalpha, text))


shorter = steps.prefer(lambda side: -letters(side.locator(".answer-body").inner_text()))
FENCE = len("javascript")
"""A block of code names its language in the source alone."""


def walk(site: Site, sign_in: Callable[[str], Page]) -> None:
    annotator, researcher = sign_in("annotator"), sign_in("researcher")
    steps.wait_for_pairs(annotator, PROJECT, 11)
    steps.label(annotator, PROJECT, shorter_and_why, 10)
    an_annotator_sees_only_labelling(annotator)
    a_judge_votes_too(researcher)
    version = freeze_and_download(researcher)
    run = train_through_a_kill(site, researcher)
    every_number_leads_back(researcher, run, version)
    evaluate_blind(researcher, annotator)
    read_the_leaderboard(researcher)


def shorter_and_why(page: Page) -> str:
    page.keyboard.press("r")
    page.keyboard.type("It answers and stops.")
    page.keyboard.press("Escape")
    return shorter(page)


def an_annotator_sees_only_labelling(page: Page) -> None:
    for place in ("pairs/", "judgments/", "versions/", "models/", "runs/", "leaderboard/"):
        assert page.request.get(f"/p/{PROJECT}/{place}", max_retries=3).status == 404, place


def a_judge_votes_too(page: Page) -> None:
    page.goto(f"/p/{PROJECT}/judges/new/")
    page.get_by_label("Name").fill("small judge")
    page.get_by_label("Model").select_option(label=BASE)
    page.get_by_label("Longest answer").fill("24")
    page.get_by_role("button", name="Make the judge").click()
    page.goto(f"/p/{PROJECT}/judges/")
    page.get_by_role("row", name=re.compile("small judge")).get_by_text("Ask it").click()
    page.get_by_label(re.compile("only pairs that people have judged")).check()
    page.get_by_label("At most").fill("3")
    page.get_by_role("button", name="Start judging").click()
    page.wait_for_url(re.compile(r"/runs/\d+/"))
    steps.wait_for_run(page, page.url)
    page.goto(f"/p/{PROJECT}/judgments/?by=judges")
    expect(page.locator("tbody tr")).to_have_count(3)
    expect(page.locator("tbody")).to_contain_text("small judge")


def freeze_and_download(page: Page) -> str:
    url = steps.freeze(page, PROJECT, "short answers", test_fraction="0.2")
    pk = re.search(r"/versions/(\d+)/", url)
    assert pk
    lines = (
        page.request.get(f"/p/{PROJECT}/versions/{pk[1]}/rows.jsonl", max_retries=3)
        .text()
        .splitlines()
    )
    rows = [json.loads(line) for line in lines]
    votes = [vote for row in rows for vote in row["votes"]]
    assert rows
    assert {vote["annotator"] for vote in votes} == {"annotator"}, "a judge's vote was mixed in"
    assert any("It answers and stops." in str(row["rationales"]) for row in rows)
    for row in rows:
        assert letters(row["chosen"]) <= letters(row["rejected"]) + FENCE
    assert (
        page.request.get(f"/p/{PROJECT}/versions/{pk[1]}/rows.parquet", max_retries=3).body()[:4]
        == b"PAR1"
    )
    return url


def train_through_a_kill(site: Site, page: Page) -> str:
    """The trainer is killed after its first checkpoint; the run ends well all the same."""
    url = steps.train(
        page,
        PROJECT,
        NEW,
        base=BASE,
        max_steps="6",
        batch_size="2",
        max_length="192",
        checkpoint_every="2",
        learning_rate="3e-3",
    )
    rundir = eventually(lambda: checkpointed(site.data / "runs"), steps.RUN_SECONDS, "a checkpoint")
    pid, _ = (rundir / "pid").read_text().split()
    os.kill(int(pid), signal.SIGKILL)
    steps.wait_for_run(page, url)
    expect(page.locator("#log")).to_contain_text("goes on from the last checkpoint")
    expect(page.locator("#curves")).to_contain_text(re.compile("loss", re.IGNORECASE))
    return url


def checkpointed(runs: Path) -> Path | None:
    """The training run's folder, once it has something to go on from."""
    for spec in runs.glob("*/run.json"):
        is_training = json.loads(spec.read_text())["kind"] == "train"
        if is_training and list(spec.parent.glob("checkpoints/step-*")):
            return spec.parent
    return None


def every_number_leads_back(page: Page, run: str, version: str) -> None:
    page.goto(run)
    page.get_by_role("link", name=NEW, exact=True).click()
    page.wait_for_url(re.compile(r"/models/\d+/"))
    page.get_by_role("link", name="short answers v1").first.click()
    expect(page).to_have_url(version)
    page.locator('main a[href*="/pairs/?key="]').first.click()
    page.locator('main tbody a[href*="/pairs/"]').first.click()
    expect(page.locator("main")).to_contain_text("annotator")


def evaluate_blind(researcher: Page, annotator: Page) -> None:
    waiting = steps.evaluate(
        researcher,
        PROJECT,
        "shorter or not",
        new=NEW,
        base=BASE,
        limit="8",
        max_new_tokens="24",
    )
    annotator.goto(f"/p/{PROJECT}/label/")
    for name in (NEW, BASE):
        assert name not in annotator.content(), "a model's name reached the annotator"
    steps.label(annotator, PROJECT, shorter, waiting + steps.HELD)
    researcher.reload()
    expect(researcher.locator(".win-rate")).to_contain_text(NEW)
    expect(researcher.locator(".win-rate")).to_contain_text(re.compile(r"\d+\.\d %|no interval"))


def read_the_leaderboard(page: Page) -> None:
    page.goto(f"/p/{PROJECT}/leaderboard/")
    expect(page.locator("main")).to_contain_text(NEW)
    expect(page.locator("main")).to_contain_text(BASE)
    page.locator(f'main a[href*="/p/{PROJECT}/judgments/"]').first.click()
    expect(page.locator("tbody tr").first).to_contain_text("annotator")
