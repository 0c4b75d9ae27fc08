"""Freezing in the background: the same version as at once, whatever happens to the process."""

from __future__ import annotations

import signal
from typing import Any

import pytest
from django.urls import reverse

from annotation.recipe import Recipe
from annotation.services.versions import publish_version, start_freeze
from steelyard.registry.models import DatasetVersion
from steelyard.registry.rows import jsonl
from steelyard.runs import launchers, supervisor
from steelyard.runs.services import cancel_run
from tests import factories
from tests.engines import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def fill(project: Any, n: int = 40) -> None:
    people = [factories.make_annotator(project, f"rater {number}") for number in range(3)]
    for number in range(n):
        pair = factories.make_pair(project)
        for person in people[: 1 + number % 3]:
            outcome = "ab"[number % 2]
            factories.make_judgment(pair, outcome, annotator=person, rationale="since it is so")


def test_it_works(project: Any, settle: Any) -> None:
    fill(project)
    run = settle(start_freeze(project=project, dataset_name="All", recipe=Recipe(), by=None))
    assert run.state == "succeeded", run.error
    frozen = DatasetVersion.objects.get()
    assert (run.spec["version"], run.done) == (frozen.pk, frozen.counts["rows"])
    at_once = publish_version(project=project, dataset_name="Other", recipe=Recipe(), by=None)
    assert at_once.digest == frozen.digest
    assert b"".join(jsonl(at_once)) == b"".join(jsonl(frozen))


def test_the_runs_page_leads_to_the_version(
    project: Any, owner: Any, member: Any, stranger: Any, as_user: Any
) -> None:
    fill(project, 3)
    run = start_freeze(project=project, dataset_name="All", recipe=Recipe(ties="keep"), by=owner)
    url = reverse("annotation:freeze-of-run", args=[project.slug, run.pk])
    before = as_user(owner).get(url).content.decode()
    assert "It becomes the next version of “All”" in before
    assert "Ties are kept as ties." in before
    version = publish_version(project=project, dataset_name="All", recipe=Recipe(), by=None)
    run.spec["version"] = version.pk
    run.save()
    assert version.get_absolute_url() in as_user(owner).get(url).content.decode()
    for user in (member, stranger):
        assert as_user(user).get(url).status_code == 404


def test_a_recipe_that_keeps_nothing_ends_the_run_with_the_reason(
    project: Any, settle: Any
) -> None:
    fill(project, 3)
    recipe = Recipe(min_votes=9)
    run = settle(start_freeze(project=project, dataset_name="All", recipe=recipe, by=None))
    assert (run.state, run.error_code) == ("failed", "empty_version")
    assert not DatasetVersion.objects.exists()


def test_the_same_again_ends_with_the_reason_and_harms_nothing(project: Any, settle: Any) -> None:
    fill(project)
    settle(start_freeze(project=project, dataset_name="All", recipe=Recipe(), by=None))
    run = settle(start_freeze(project=project, dataset_name="All", recipe=Recipe(), by=None))
    assert (run.state, run.error_code) == ("failed", "version_exists")
    assert not DatasetVersion.objects.get().lost


def test_votes_that_come_after_the_look_change_nothing_for_a_process_started_again(
    project: Any, settle: Any
) -> None:
    fill(project)
    run = start_freeze(project=project, dataset_name="All", recipe=Recipe(), by=None)
    supervisor.reconcile()
    wait_until((run.dir.path / "selection.json").exists)
    process = launchers.find(run.dir)
    assert process
    process.signal(signal.SIGKILL)
    wait_until(lambda: not process.is_alive())
    (run.dir.path / "result.json").unlink(missing_ok=True)
    factories.make_judgment(factories.make_pair(project), "a")
    run = settle(run)
    assert (run.state, DatasetVersion.objects.get().counts["rows"]) == ("succeeded", 40)


def test_a_cancelled_run_leaves_nothing(project: Any, owner: Any, settle: Any) -> None:
    fill(project, 3)
    run = start_freeze(project=project, dataset_name="All", recipe=Recipe(), by=None)
    cancel_run(run=run, by=owner)
    run = settle(run)
    assert run.state == "cancelled"
    assert not DatasetVersion.objects.exists()
    assert not (run.dir.path / "shards").exists()
