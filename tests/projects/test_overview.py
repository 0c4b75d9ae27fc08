from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from annotation.models import OutputSet, Pair
from steelyard.projects.models import Project
from steelyard.runs.models import Run
from tests import factories

pytestmark = pytest.mark.django_db
AsUser = Callable[[Any], Client]


def overview(client: Client, project: Any) -> Any:
    return client.get(reverse("project-overview", args=[project.slug]))


def test_it_works(as_user: AsUser, project: Any, owner: Any) -> None:
    factories.make_judgment(factories.make_pair(project))
    factories.make_pair(project)
    page = as_user(owner).get(reverse("projects:project-detail", args=[project.slug]))
    assert page.status_code == 200
    assert reverse("project-overview", args=[project.slug]) in page.content.decode()
    at = overview(as_user(owner), project).context["at"]
    assert (at.pairs, at.open_pairs, at.by_people, at.by_judges) == (2, 1, 1, 0)


def progress(client: Client, project: Any) -> str:
    return client.get(reverse("project-progress", args=[project.slug])).content.decode().strip()


def test_the_training_round_and_what_was_taken_out_are_nothing_to_label(
    as_user: AsUser, project: Any, owner: Any
) -> None:
    pairs = [factories.make_pair(project) for _ in range(4)]
    Pair.objects.filter(pk=pairs[0].pk).update(is_training=True)
    Pair.objects.filter(pk=pairs[1].pk).update(closed=True)
    factories.make_judgment(pairs[2])
    at = overview(as_user(owner), project).context["at"]
    assert (at.pairs, at.open_pairs) == (2, 1)
    assert progress(as_user(owner), project) == "1 of 2 pairs still want a verdict."


def test_a_project_of_rankings_counts_its_sets(as_user: AsUser) -> None:
    project = factories.make_project(label_scheme={"task": "ranking"})
    user = factories.make_user("owner", project=project, role="admin")
    assert progress(as_user(user), project) == "No sets yet."
    sets = [factories.make_set(project, 4) for _ in range(4)]
    OutputSet.objects.filter(pk=sets[0].pk).update(judged=1)
    OutputSet.objects.filter(pk=sets[1].pk).update(closed=True)
    at = overview(as_user(user), project).context["at"]
    assert (at.pairs, at.open_pairs) == (3, 2)
    assert "Sets to rank" in overview(as_user(user), project).content.decode()
    assert progress(as_user(user), project) == "2 of 3 sets are open."


def test_a_demo_is_promised_only_where_one_is_being_built(
    as_user: AsUser, project: Any, owner: Any
) -> None:
    assert progress(as_user(owner), project) == "No pairs yet."
    Run.objects.create(project=project, kind="demo", title="Demo", state="running")
    assert "The demo is being built" in progress(as_user(owner), project)
    Project.objects.all().delete()
    root = factories.make_user("root", superuser=True)
    home = as_user(root).get(reverse("projects:home")).content.decode()
    assert "demo" not in home.lower()
    assert "Make a project" in home


def test_the_frame_alone_leads_to_every_section_without_a_script(
    as_user: AsUser, project: Any, owner: Any
) -> None:
    page = as_user(owner).get(reverse("projects:project-detail", args=[project.slug]))
    html = page.content.decode()
    for name in ("annotation:label", "evaluation:evaluation-list", "evaluation:leaderboard"):
        assert f'href="{reverse(name, args=[project.slug])}"' in html


def test_an_empty_project_asks_for_pairs_first_then_for_labels(
    as_user: AsUser, project: Any, owner: Any
) -> None:
    assert overview(as_user(owner), project).context["at"].next[2] == 1
    pair = factories.make_pair(project)
    assert overview(as_user(owner), project).context["at"].next[0] == "Label pairs"
    factories.make_judgment(pair)
    assert overview(as_user(owner), project).context["at"].next[0] == "Freeze a version"


def test_an_annotator_is_led_to_labelling_and_told_no_numbers(
    as_user: AsUser, project: Any, member: Any
) -> None:
    page = as_user(member).get(reverse("projects:project-detail", args=[project.slug]))
    assert page.headers["Location"] == reverse("annotation:label", args=[project.slug])
    assert overview(as_user(member), project).status_code == 404
    progress = as_user(member).get(reverse("project-progress", args=[project.slug]))
    assert progress.status_code == 200


def test_a_stranger_finds_nothing(as_user: AsUser, project: Any, stranger: Any) -> None:
    for name in ("projects:project-detail", "project-overview", "project-progress"):
        assert as_user(stranger).get(reverse(name, args=[project.slug])).status_code == 404


def test_what_one_has_skipped_waits_for_others_only(
    as_user: AsUser, project: Any, member: Any
) -> None:
    pairs = [factories.make_pair(project) for _ in range(3)]
    annotator = factories.make_annotator(project, user=member)
    factories.make_judgment(pairs[0], annotator=annotator, outcome="skip")
    told = progress(as_user(member), project)
    assert told == "3 of 3 pairs still want a verdict. 2 of them wait for you."
    for pair in pairs[1:]:
        factories.make_judgment(pair, annotator=annotator, outcome="skip")
    told = progress(as_user(member), project)
    assert "3 of 3 pairs still want a verdict. None of them waits for you." in told
    assert f'class="secondary" id="label-{project.slug}" hx-swap-oob="true"' in told
