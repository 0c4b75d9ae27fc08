"""Every page that people see, at two widths and in two themes: no violation of axe's rules, and
nothing that scrolls sideways. A page that is not in the list below fails a test of its own."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils import translation
from playwright.sync_api import Page, Request

from annotation.recipe import Recipe
from annotation.services import flags, groups, withdrawals
from annotation.services.judging import create_judge
from annotation.services.versions import publish_version
from evaluation import arena_battles
from evaluation.arena import open_arena
from evaluation.board_votes import Options
from evaluation.leaderboard import standings
from evaluation.models import PublishedBoard
from evaluation.prompt_sets import make_set
from evaluation.serializers_board import board_as_json
from evaluation.services import start_evaluation
from evaluation.services_round import start_generation
from steelyard.accounts import services
from steelyard.projects.models import Project
from steelyard.runs.services import start_run
from steelyard.webhooks.models import Endpoint
from tests import factories
from tests.accessible import CONTRAST_ONLY, RULES, faults, show_at
from tests.sweeps import make_sweep

Visit = Callable[..., Page]

PAGES: dict[str, tuple[str, ...]] = {
    "accounts:account": (),
    "accounts:audit": (),
    "accounts:person-list": (),
    "accounts:sign-in": (),
    "annotation:coverage": ("project",),
    "annotation:prelabels": ("project",),
    "annotation:export-new": ("project", "version"),
    "annotation:flag-list": ("project",),
    "annotation:group-detail": ("project", "group"),
    "annotation:group-list": ("project",),
    "annotation:import": ("project",),
    "annotation:import-file": ("project", "upload"),
    "annotation:judge-limits": ("project", "judge"),
    "annotation:judge-list": ("project",),
    "annotation:judge-new": ("project",),
    "annotation:judge-new-scorer": ("pictures",),
    "annotation:judge-run": ("project", "judge"),
    "annotation:judge-explain": ("project", "judge"),
    "annotation:judge-tune": ("project", "judge"),
    "annotation:judge-version-new": ("project", "judge"),
    "annotation:jury-new": ("project",),
    "evaluation:judge-card": ("project", "judge"),
    "annotation:judgment-list": ("project",),
    "annotation:label": ("project",),
    "annotation:label-mine": ("project",),
    "annotation:pair-detail": ("project", "pair"),
    "annotation:pair-list": ("project",),
    "annotation:prompt-list": ("project",),
    "annotation:rank": ("ranking",),
    "annotation:rank-mine": ("ranking",),
    "annotation:set-detail": ("ranking", "set"),
    "annotation:set-list": ("ranking",),
    "annotation:version-new": ("project",),
    "annotation:withdrawal-detail": ("project", "withdrawal"),
    "annotation:withdrawal-list": ("project",),
    "arena:arena": ("arena_token",),
    "arena:battle": ("arena_token", "battle"),
    "evaluation:agreement": ("project",),
    "evaluation:arena-detail": ("project", "arena"),
    "evaluation:arena-list": ("project",),
    "evaluation:arena-new": ("project",),
    "evaluation:best-of-n": ("project",),
    "evaluation:comparison-detail": ("project", "evaluation", "comparison"),
    "evaluation:comparison-list": ("project", "evaluation"),
    "evaluation:evaluation-detail": ("project", "evaluation"),
    "evaluation:evaluation-list": ("project",),
    "evaluation:evaluation-new": ("project",),
    "evaluation:generation-detail": ("project", "generation"),
    "evaluation:generation-new": ("project",),
    "evaluation:leaderboard": ("project",),
    "evaluation:leaderboard-categories": ("project",),
    "evaluation:leaderboard-match": ("project", "met", "met_other"),
    "evaluation:leaderboard-matrix": ("project",),
    "evaluation:leaderboard-published": ("project", "published"),
    "evaluation:leaderboard-published-list": ("project",),
    "evaluation:output-record": ("project", "made_by_pipeline"),
    "evaluation:pipeline-search-new": ("project",),
    "evaluation:prompt-set-detail": ("project", "prompt_set"),
    "evaluation:prompt-set-list": ("project",),
    "evaluation:prompt-set-new": ("project",),
    "evaluation:round-new": ("project",),
    "evaluation:reason-list": ("project",),
    "evaluation:routing-new": ("project",),
    "projects:home": (),
    "projects:member-list": ("project",),
    "projects:project-detail": ("project",),
    "projects:project-new": (),
    "projects:project-settings": ("project",),
    "registry:model-detail": ("project", "model"),
    "registry:model-list": ("project",),
    "registry:model-new": ("project",),
    "registry:pipeline-new": ("project",),
    "registry:version-detail": ("project", "version"),
    "registry:version-diff": ("project", "version"),
    "registry:version-list": ("project",),
    "registry:version-statistics": ("project", "version"),
    "runs:run-detail": ("project", "run"),
    "runs:run-list": ("project",),
    "runs:run-queue": ("project",),
    "training:compare": ("project",),
    "training:sweep-detail": ("project", "sweep"),
    "training:sweep-list": ("project",),
    "training:sweep-new": ("project",),
    "training:training-new": ("project",),
    "webhooks:endpoint-detail": ("project", "endpoint"),
    "webhooks:endpoint-list": ("project",),
}
"""Each with what its address is made of."""

NO_PAGES = {
    # answers to what is sent
    "accounts:language",
    "accounts:person-active",
    "accounts:person-reset",
    "accounts:sign-out",
    "accounts:token-create",
    "accounts:token-revoke",
    "annotation:coverage-pause",
    "annotation:flag-resolve",
    "annotation:group-delete",
    "annotation:group-give",
    "annotation:import-upload",
    "annotation:judge-check",
    "annotation:label-flag",
    "annotation:label-keep",
    "annotation:label-keys",
    "annotation:label-submit",
    "annotation:person-change",
    "annotation:person-pause",
    "annotation:person-release",
    "annotation:rank-flag",
    "annotation:rank-keep",
    "annotation:rank-submit",
    "annotation:set-known",
    "annotation:set-unknown",
    "annotation:withdrawal-lift",
    "arena:again",
    "arena:go-on",
    "arena:vote",
    "evaluation:arena-change",
    "evaluation:arena-withdraw",
    "evaluation:evaluation-ask",
    "evaluation:evaluation-go-on",
    "evaluation:evaluation-stop",
    "evaluation:evaluation-resume",
    "evaluation:leaderboard-publish",
    "evaluation:pipeline-search-keep",
    "evaluation:prompt-set-delete",
    "evaluation:prompt-set-gamed-rows",
    "projects:guidelines-preview",
    "projects:member-remove",
    "projects:member-role",
    "registry:model-key",
    "registry:model-prices",
    "registry:model-revised",
    "registry:version-note",
    "registry:version-tag",
    "runs:run-cancel",
    "runs:run-pause",
    "runs:run-resume",
    "runs:run-retry",
    "training:checkpoint-let-go",
    "training:checkpoints-keep",
    "training:sweep-cancel",
    "training:sweep-pause",
    "webhooks:delivery-again",
    "webhooks:endpoint-delete",
    "webhooks:endpoint-secret",
    "webhooks:endpoint-test",
    # fragments, seen within the pages above
    "annotation:coverage-now",
    "annotation:export-of-run",
    "annotation:freeze-of-run",
    "annotation:import-of-run",
    "annotation:tuning-of-run",
    "annotation:label-next",
    "annotation:rank-next",
    "evaluation:evaluations-for-model",
    "evaluation:new-pairs-of-run",
    "evaluation:rankings-for-version",
    "evaluation:revisions-of-run",
    "evaluation:search-of-run",
    "evaluation:win-rates-of-run",
    "registry:versions-of-pair",
    "project-overview",
    "project-progress",
    "runs:run-log",
    "training:checkpoints-of-run",
    "training:job-of-run",
    "training:jobs-for-version",
    "training:preflight-report",
    "training:samples-of-run",
    "training:try-answer",
    "training:try-model",
    # files and data
    "arena:answers",
    "annotation:export-file",
    "annotation:import-errors",
    "annotation:judgment-download",
    "annotation:people-download",
    "annotation:progress-download",
    "api-schema",
    "assets:asset-file",
    "assets:rendition-file",
    "registry:version-card",
    "registry:version-croissant",
    "registry:version-download",
    "registry:model-file",
    "registry:version-file",
    "runs:run-file",
    "runs:run-metrics",
    "training:sweep-trials",
    "words",
}


def names(patterns: list[Any], prefix: str = "") -> Iterator[str]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            space = f"{prefix}{pattern.namespace}:" if pattern.namespace else prefix
            yield from names(pattern.url_patterns, space)
        elif isinstance(pattern, URLPattern) and pattern.name:
            yield prefix + pattern.name


def test_every_address_is_looked_at_or_said_to_be_no_page() -> None:
    known = {name for name in names(get_resolver().url_patterns) if not name.startswith("api:")}
    assert known - PAGES.keys() - NO_PAGES == set(), "say in this file what these are"
    assert (PAGES.keys() | NO_PAGES) - known == set(), "these are gone"
    assert PAGES.keys() & NO_PAGES == set()


@pytest.fixture
def root(project: Project) -> Any:
    """A site admin with a token; long names and words in all that the pages show."""
    project.name = "Which answer is kinder, and would the person who asked it agree?"
    project.guidelines = "# Prefer\n\n- the **kinder** answer\n- `code` that runs\n\nأجب بلطف"
    project.label_scheme = {"aspects": ["correctness"], "tags": ["accurate", "clear"]}
    project.save()
    user = factories.make_user("root", superuser=True, project=project, role="admin")
    services.create_token(user=user, name="nightly export")
    return user


@pytest.fixture
def things(project: Project, root: Any) -> dict[str, Any]:
    """One of each kind of thing that a page is about, by the words of ``PAGES``."""
    names = ["SmolLM2-135M-Instruct-temperature-0.7-top-p-0.9", "short", "third-model"]
    annotator = factories.make_annotator(project, "rater", user=root)
    table = (
        "| a | b |\n|---|---|\n| 1 | 2 |\n\n```python\nprint('a line of code that is wide')\n```"
    )
    for n in range(12):
        models = (names[n % 3], names[(n + 1) % 3])
        texts = (f"Answer {n}.\n\n{table}", f"Another {n}, with a-word-that-is-long-{'x' * 40}")
        pair = factories.make_pair(project, models=models, texts=texts)
        factories.make_judgment(
            pair, "ab"[n % 2], annotator=annotator, rationale="It is right.", tags=["clear"]
        )
    for n in range(3):
        factories.make_pair(project, texts=(f"Open {n}.\n\n{table}", f"Also open {n}."))
    withdrawal = withdrawals.withdraw(
        project=project, reason="Clicked at random.", annotator=annotator, by=root
    )
    withdrawals.lift(withdrawal=withdrawal, by=root)
    version = publish_version(project=project, dataset_name="All", recipe=Recipe(), by=root)
    model, other = (
        factories.make_model(project, name, family="endpoint", source="http://127.0.0.1:9/v1")
        for name in ("endpoint", "another")
    )
    judge = create_judge(project=project, name="strict", model=model, criteria="Be right.")
    factories.make_prompt(project, "Held out?", held_out=True)
    evaluation = start_evaluation(
        project=project,
        name="First",
        baseline=model,
        candidates=[other],
        by=root,
    )
    generation = start_generation(project=project, models=[model, other], by=root)
    comparison = evaluation.comparisons.create(pair=pair, candidate=other, candidate_is_a=True)
    met = standings(project).tables.models
    published = PublishedBoard.objects.create(
        project=project,
        number=1,
        title="As it was",
        options=Options().as_json(),
        result=board_as_json(standings(project)),
        votes=0,
        digest="0" * 64,
        ballots=zlib.compress(b""),
        code_version="1",
    )
    arena = open_arena(project=project, name="Try both", contestants=[model, other], by=root)
    visitor = arena_battles.welcome(arena=arena, user=root)
    battle = arena_battles.ask(visitor=visitor, question=f"Which?\n\n{table}", agreed=True)
    said = {"left": f"This.\n\n{table}", "right": "That."}
    battle.turns.update(left_state="done", right_state="done", **said)
    run = start_run(project=project, kind="train", title="Train with DPO", spec={}, by=root)
    flags.raise_flag(annotator=annotator, of=pair, reason="other", note="Look.", uuid=uuid4())
    group = groups.create_group(project=project, name="French", members=["root"], by=root)
    ranking = factories.make_project(slug="ranking", name="Order", label_scheme={"task": "ranking"})
    of_ranking = factories.make_set(ranking)
    endpoint = Endpoint.objects.create(
        project=project, url="https://example.org/told", events=["run.finished"], secret="x"
    )
    line = b'{"prompt": "Why?", "a": "So.", "b": "Not so.", "model_a": "x", "model_b": "y"}'
    client = Client()
    client.force_login(root)
    answer = client.post(
        reverse("annotation:import-upload", args=[project.slug]),
        {"file": SimpleUploadedFile("pairs.jsonl", line)},
    )
    return {
        "project": project.slug,
        "upload": answer["Location"].split("/")[-2],
        "ranking": ranking.slug,
        "pictures": factories.make_project(slug="pictures", modality="image").slug,
        "set": of_ranking.pk,
        "pair": pair.pk,
        "version": version.pk,
        "model": model.pk,
        "judge": judge.pk,
        "evaluation": evaluation.pk,
        "prompt_set": make_set(project=project, name="Kept", by=root).pk,
        "comparison": comparison.pk,
        "met": met[0].pk,
        "met_other": met[1].pk,
        "published": published.number,
        "arena": arena.pk,
        "arena_token": arena.token,
        "battle": battle.uuid,
        "generation": generation.pk,
        "run": run.pk,
        "group": group.pk,
        "endpoint": endpoint.pk,
        "withdrawal": withdrawal.pk,
        "sweep": make_sweep(version, model).pk,
        "made_by_pipeline": factories.make_pipeline_output(project, model).pk,
    }


class Traffic:
    """What a page has asked for and not yet got."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.under_way: set[Request] = set()
        page.on("framenavigated", lambda frame: self.under_way.clear())
        page.on("request", lambda request: self.under_way.add(request))
        page.on("requestfinished", lambda request: self.under_way.discard(request))
        page.on("requestfailed", lambda request: self.under_way.discard(request))

    def wait_until_quiet(self) -> None:
        """Until the page is loaded, its scripts have nothing to do and nothing is on its way."""
        self.page.wait_for_load_state("load")
        end = time.monotonic() + 120
        quiet = 0
        while quiet < 3:
            self.page.evaluate("() => new Promise((resolve) => requestIdleCallback(resolve))")
            quiet = 0 if self.under_way else quiet + 1
            assert time.monotonic() < end, [request.url for request in self.under_way]


def looked_at(page: Page, name: str, traffic: Traffic) -> Iterator[str]:
    """What is wrong with a page that is open: the layout's rules at both widths, the colours' in
    both themes too."""
    traffic.wait_until_quiet()
    for width, theme, options in [
        (1280, "light", RULES),
        (1280, "dark", CONTRAST_ONLY),
        (360, "dark", RULES),
        (360, "light", CONTRAST_ONLY),
    ]:
        show_at(page, width, theme)
        for fault in faults(page, options):
            yield f"{name} at {width} px, {theme}: {fault}"
        wide = page.evaluate("document.documentElement.scrollWidth")
        if wide > width:
            yield f"{name} is {wide} px wide at {width} px"


@pytest.mark.journey
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("language", ["en", "de"])
def test_no_page_breaks_a_rule_of_accessibility_or_scrolls_sideways(
    visit: Visit, root: Any, things: dict[str, Any], language: str
) -> None:
    root.language = language
    root.save()
    page = visit("/account/", root)
    traffic = Traffic(page)
    origin = page.url.removesuffix("/account/")
    wrong: list[str] = []
    for name, parts in PAGES.items():
        if name == "accounts:sign-in":
            continue
        page.goto(origin + reverse(name, args=[things[part] for part in parts]))
        assert page.locator("html").get_attribute("lang") == language
        if language == "en":
            wrong += looked_at(page, name, traffic)
        else:  # the words differ, not the colours
            page.set_viewport_size({"width": 360, "height": 900})
            traffic.wait_until_quiet()
            wide = page.evaluate("document.documentElement.scrollWidth")
            if wide > 360:
                wrong.append(f"{name} is {wide} px wide")
    page.goto(f"{origin}/p/nothing-here/")
    wrong += looked_at(page, "404", traffic)
    translation.activate("en")
    assert not wrong, "\n".join(wrong)


@pytest.mark.journey
@pytest.mark.django_db(transaction=True)
def test_the_sign_in_breaks_no_rule_of_accessibility(visit: Visit) -> None:
    page = visit("/account/sign-in/")
    wrong = list(looked_at(page, "accounts:sign-in", Traffic(page)))
    assert not wrong, "\n".join(wrong)
