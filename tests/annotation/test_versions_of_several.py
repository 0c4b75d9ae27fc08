"""Versions of several projects: who may make them, what is one thing in two projects, and the same
digest wherever they have their home."""

from __future__ import annotations

import io
import random
from collections import Counter
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import pyarrow.parquet as pq
import pytest
from django.urls import reverse
from PIL import Image

from annotation.models import Annotator, Judgment
from annotation.recipe import Recipe
from annotation.services.joining import joined
from annotation.services.versions import checked, preview, publish_version, start_freeze
from annotation.services.withdrawals import lift, reach, withdraw
from steelyard.accounts.models import AuditEvent
from steelyard.accounts.services import create_token
from steelyard.assets.models import Asset
from steelyard.assets.services import store_upload
from steelyard.lib.errors import UserError
from steelyard.lib.records import SCHEMA, canonical_lines, read_parquet
from steelyard.projects.models import Membership, Project
from steelyard.registry.cards import croissant, readme
from steelyard.registry.comparing import compare
from steelyard.registry.lineage import versions_with_pair
from steelyard.registry.models import DatasetVersion
from steelyard.registry.rows import jsonl
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def other(owner: Any) -> Project:
    made = factories.make_project(slug="other", name="Other answers")
    Membership.objects.create(project=made, user=owner, role="admin")
    return made


def fill(project: Project, questions: range, *, order: int = 0, whose: str = "") -> None:
    """A pair of each question with up to three votes; those of one question are the same pair in
    whichever project they are asked."""
    votes = [(number, voter) for number in questions for voter in range(1 + number % 3)]
    random.Random(order).shuffle(votes)
    people: dict[int, Annotator] = {}
    pairs: dict[int, Any] = {}
    for number, voter in votes:
        if number not in pairs:
            prompt = factories.make_prompt(
                project, f"Question {number}?", category=f"c{number % 2}"
            )
            texts = (f"One {number}", f"Two {number}")
            pairs[number] = factories.make_pair(project, prompt=prompt, texts=texts)
        if voter not in people:
            people[voter] = factories.make_annotator(project, f"rater {voter}")
        said = random.Random(f"{whose or project.slug} {number} {voter}")
        factories.make_judgment(
            pairs[number],
            said.choice(["a", "b", "tie"]),
            annotator=people[voter],
            uuid=uuid5(NAMESPACE_URL, f"{whose or project.slug} {number} {voter}"),
        )


def freeze(project: Any, by: Any, *further: str, name: str = "All", **recipe: Any) -> Any:
    said = {"test_fraction": 0.3, "ties": "keep", "projects": further, **recipe}
    return publish_version(project=project, dataset_name=name, recipe=Recipe(**said), by=by)


def test_it_works(project: Any, other: Any, owner: Any) -> None:
    fill(project, range(12))
    fill(other, range(8, 24))
    version = freeze(project, owner, other.slug)
    rows = read_parquet(version.files)
    assert Counter(row.project for row in rows) == {project.slug: 12, other.slug: 16}
    assert version.recipe["projects"] == sorted([project.slug, other.slug])
    assert b"".join(jsonl(version)) == b"".join(canonical_lines(rows))
    # what both have judged is two rows of one pair, of which the votes are never mixed
    order = [(row.pair, row.project) for row in rows]
    assert order == sorted(order)
    assert len({pair for pair, _ in order}) == 24
    uuids = dict(Judgment.objects.values_list("uuid", "project__slug"))
    by_text = {str(uuid): slug for uuid, slug in uuids.items()}
    assert all(by_text[vote["judgment"]] == row.project for row in rows for vote in row.votes)
    parts: dict[str, set[str]] = {}
    for row in rows:
        parts.setdefault(row.prompt_key, set()).add(row.split)
    assert {len(found) for found in parts.values()} == {1}
    # counted row by row
    counts = version.counts
    assert (counts["rows"], counts["prompts"], counts["votes"]) == (28, 24, len(uuids))
    assert counts["test"] == sum(row.split == "test" for row in rows)
    assert counts["ties"] == sum(row.outcome == "tie" for row in rows)
    people = {(row.project, vote["annotator"]) for row in rows for vote in row.votes}
    assert counts["annotators"] == len(people) == 6
    told = {one["project"]: one for one in version.manifest["projects"]}
    for slug, one in told.items():
        mine = [row for row in rows if row.project == slug]
        split = Counter(row.split for row in mine)
        assert (one["train"], one["test"]) == (split["train"], split["test"])
        assert one["votes"] == sum(len(row.votes) for row in mine)
    assert AuditEvent.objects.get(action="votes.draw").target == other.slug


def test_the_same_votes_make_the_same_version_in_any_order_and_at_either_home(owner: Any) -> None:
    digests = set()
    for order in range(2):
        homes = {}
        for slug in ("here", "there")[:: 1 if order else -1]:
            homes[slug] = factories.make_project(slug=slug)
            Membership.objects.create(project=homes[slug], user=owner, role="admin")
            questions = range(12) if slug == "here" else range(8, 24)
            fill(homes[slug], questions, order=order)
        for slug, further in (("here", "there"), ("there", "here")):
            recipe = {"cap": 20, "group_similar": True, "aggregation": "dawid_skene"}
            digests.add(freeze(homes[slug], owner, further, **recipe).digest)
        # as on another machine, where nothing of these is
        Judgment.objects.all().delete()
        for slug, found in homes.items():
            Project.objects.filter(pk=found.pk).update(slug=f"{slug}-{order}")
    assert len(digests) == 1


def test_a_version_of_one_project_is_what_it_was(project: Any, other: Any, owner: Any) -> None:
    fill(project, range(6))
    alone = freeze(project, None)
    named = freeze(project, owner, project.slug, name="Named")
    assert named.digest == alone.digest
    assert "projects" not in alone.recipe
    assert "projects" not in alone.manifest
    (row, *_) = jsonl(alone)
    assert b'"project"' not in row
    assert pq.read_schema(alone.parquet).names == SCHEMA.names


def test_only_an_owner_of_each_may_draw_and_nobody_learns_what_there_is(
    project: Any, other: Any, owner: Any, member: Any, as_user: Any
) -> None:
    fill(project, range(6))
    fill(other, range(6))
    hidden = factories.make_project(slug="hidden")
    base = f"/api/v1/projects/{project.slug}/versions"

    def asked(user: Any, slug: str) -> tuple[Any, Any]:
        seen = as_user(user).get(f"{base}/preview", {"projects": [slug]})
        body = {"dataset": "d", "recipe": {"projects": [slug]}, "background": False}
        made = as_user(user).post(f"{base}/publish", body, content_type="application/json")
        return seen, made

    for seen, made in (asked(owner, hidden.slug), asked(owner, "no-such")):
        assert (seen.status_code, made.status_code) == (403, 403)
        words = made.json()["message"]
        assert words.replace("no-such", "hidden") == asked(owner, "hidden")[1].json()["message"]
    Membership.objects.filter(project=other).update(role="researcher")
    assert [one.status_code for one in asked(owner, other.slug)] == [403, 403]
    Membership.objects.filter(project=other).update(role="admin")
    assert [one.status_code for one in asked(member, other.slug)] == [404, 404]
    # a researcher of the home, though an owner of the other
    scholar = factories.make_user("scholar")
    Membership.objects.create(project=project, user=scholar, role="researcher")
    Membership.objects.create(project=other, user=scholar, role="admin")
    assert [one.status_code for one in asked(scholar, other.slug)] == [403, 403]
    with pytest.raises(UserError):
        freeze(project, None, other.slug)
    # a token of one project opens no other
    _token, key = create_token(user=owner, name="bot", project=project)
    said = {"HTTP_AUTHORIZATION": f"Bearer {key}"}
    client = as_user(owner).__class__()
    for slug in (other.slug, hidden.slug, "no-such"):
        refused = client.get(f"{base}/preview", {"projects": [slug]}, **said)
        assert (refused.status_code, refused.json()["code"]) == (403, "project_token")
    assert client.get(f"{base}/preview", {"projects": [project.slug]}, **said).status_code == 200
    assert not DatasetVersion.objects.exists()
    assert [one.status_code for one in asked(owner, other.slug)] == [200, 201]
    # the home's people read it, those of the other project do not
    version = DatasetVersion.objects.get()
    only_there = factories.make_user("only there")
    Membership.objects.create(project=other, user=only_there, role="admin")
    assert as_user(only_there).get(version.get_absolute_url()).status_code == 404
    page = as_user(scholar).get(version.get_absolute_url()).content.decode()
    assert reverse("annotation:pair-list", args=[other.slug]) in page
    Membership.objects.filter(project=other, user=scholar).delete()
    page = as_user(scholar).get(version.get_absolute_url()).content.decode()
    assert reverse("annotation:pair-list", args=[other.slug]) not in page
    assert reverse("annotation:pair-list", args=[project.slug]) in page


def test_the_editor_offers_what_one_owns_and_counts_each(
    project: Any, other: Any, owner: Any, as_user: Any
) -> None:
    fill(project, range(6))
    fill(other, range(6, 16))
    factories.make_project(slug="hidden", name="Hidden ones")
    pictures = factories.make_project(slug="pictures", modality="image", name="Pictures")
    Membership.objects.create(project=pictures, user=owner, role="admin")
    url = reverse("annotation:version-new", args=[project.slug])
    page = as_user(owner).get(url).content.decode()
    assert "Other answers" in page
    assert "Hidden ones" not in page
    assert "Pictures" not in page
    recipe = {**Recipe(test_fraction=0.0, ties="keep").values(), "projects": [other.slug]}
    page = as_user(owner).get(url, recipe).content.decode()
    seen = preview(
        project=project, recipe=Recipe(**{**recipe, "projects": tuple(recipe["projects"])})
    )
    assert [(slug, train) for slug, train, _test, _votes in seen.projects] == sorted(
        [(project.slug, 6), (other.slug, 10)]
    )
    assert '<td class="num">10</td>' in page
    # names of a project that has just been chosen come with the whole page
    factories.make_annotator(other, "rater of the others")
    assert "“Count again” offers" not in page
    part = as_user(owner).get(url, recipe, headers={"HX-Request": "true"}).content.decode()
    assert "“Count again” offers" in part
    again = as_user(owner).post(url, {**recipe, "preview": "1"}).content.decode()
    assert '<option value="rater of the others">' in again
    made = as_user(owner).post(url, {**recipe, "dataset_name": "Both"})
    version = DatasetVersion.objects.get()
    assert made["Location"] == version.get_absolute_url()
    assert version.counts == seen.counts


def test_what_one_project_holds_out_none_trains_on(project: Any, other: Any, owner: Any) -> None:
    fill(project, range(6))
    fill(other, range(12))
    project.prompts.filter(messages__0__content="Question 3?").update(held_out=True)
    rows = read_parquet(freeze(project, owner, other.slug).files)
    asked = {row.prompt[0]["content"] for row in rows}
    assert "Question 3?" not in asked
    assert len(asked) == 11


def test_scales_that_differ_are_said_and_least_strength_is_refused(
    project: Any, other: Any, owner: Any
) -> None:
    fill(project, range(6))
    fill(other, range(6, 12))
    Project.objects.filter(pk=other.pk).update(label_scheme={"steps": 3, "tie": False})
    with pytest.raises(UserError) as caught:
        freeze(project, owner, other.slug, min_strength=1.0)
    assert caught.value.field == "min_strength"
    asked = Recipe(projects=(other.slug,), test_fraction=0.0)
    seen = preview(project=project, recipe=joined(project=project, recipe=asked, by=owner))
    assert "cannot be compared" in seen.warning
    assert "In Other answers nobody could vote for a tie" in seen.warning
    version = freeze(project, owner, other.slug)
    assert "cannot be compared" in readme(version)
    Project.objects.filter(pk=other.pk).update(modality="image")
    with pytest.raises(UserError, match="one version holds one"):
        freeze(project, owner, other.slug)


def test_the_card_tells_all_licences(project: Any, other: Any, owner: Any) -> None:
    fill(project, range(6))
    fill(other, range(6, 12))
    Project.objects.filter(pk=project.pk).update(license="cc-by-4.0")
    version = freeze(project, owner, other.slug)
    card = readme(DatasetVersion.objects.get())
    assert "license: other\n" in card
    assert "different licences" in card
    assert f"- `{project.slug}`: cc-by-4.0\n- `other`: unknown" in card.replace(
        f"- `other`: unknown\n- `{project.slug}`: cc-by-4.0",
        f"- `{project.slug}`: cc-by-4.0\n- `other`: unknown",
    )
    assert "- `project`: " in card
    Project.objects.filter(pk=other.pk).update(license="cc-by-4.0")
    assert "license: cc-by-4.0\n" in readme(version)
    assert "different licences" not in readme(version)
    fields = [one["name"] for one in croissant(version)["recordSet"][0]["field"]]
    assert fields[-1] == "project"


def test_withdrawals_and_lineage_of_either_project_find_the_version(
    project: Any, other: Any, owner: Any, as_user: Any
) -> None:
    fill(project, range(6))
    fill(other, range(3, 12))
    version = freeze(project, owner, other.slug)
    # the same name in both: the one who is withdrawn there still counts here
    there = other.annotators.get(name="rater 0")
    made = withdraw(project=other, annotator=there, reason="asleep", by=owner)
    (found,) = reach(made, owner).versions
    assert (found.version, found.rows, found.closed) == (version, 9, False)
    here = withdraw(
        project=project, annotator=project.annotators.get(name="rater 0"), reason="x", by=owner
    )
    assert here.key == made.key
    assert reach(here, owner).versions[0].rows == 6
    lift(withdrawal=here, by=owner)
    recipe = checked(
        project, joined(project=project, recipe=Recipe(projects=(other.slug,)), by=owner)
    )
    assert recipe.withdrawals == (f"{other.slug}/{made.key}",)
    later = freeze(project, owner, other.slug)
    votes = [
        (row.project, vote["annotator"]) for row in read_parquet(later.files) for vote in row.votes
    ]
    assert (other.slug, "rater 0") not in votes
    assert (project.slug, "rater 0") in votes
    assert compare(version, later).counts["removed"] == 3  # with that vote alone
    # by someone who has no part in the home
    scholar = factories.make_user("scholar")
    Membership.objects.create(project=other, user=scholar, role="researcher")
    page = as_user(scholar).get(reverse("annotation:withdrawal-detail", args=[other.slug, made.pk]))
    assert str(version) in page.content.decode()
    assert version.get_absolute_url() not in page.content.decode()
    told = as_user(scholar).get(f"/api/v1/projects/{other.slug}/withdrawals/{made.pk}").json()
    assert [one["project"] for one in told["versions"]] == [project.slug]
    both = other.pairs.get(prompt__messages__0__content="Question 4?")
    rows = read_parquet(version.files)
    for home in (project, other):
        held = dict(versions_with_pair(project=home, key=both.key))
        assert rows[held[version]].project == home.slug
    fragment = reverse("registry:versions-of-pair", args=[other.slug, both.key])
    assert version.get_absolute_url() in as_user(owner).get(fragment).content.decode()
    assert version.get_absolute_url() not in as_user(scholar).get(fragment).content.decode()


def test_the_home_can_show_the_others_files(project: Any, other: Any, owner: Any) -> None:
    fill(project, range(6))
    picture = io.BytesIO()
    Image.new("RGB", (8, 8)).save(picture, "PNG")
    seen = store_upload(project=other, data=picture.getvalue())
    asked = factories.make_prompt(other, "What is it?", media=[seen.sha256])
    factories.make_judgment(factories.make_pair(other, prompt=asked))
    version = freeze(project, owner, other.slug)
    assert version.manifest["media"] == [seen.sha256]
    assert project.assets.get().sha256 == seen.sha256
    assert (other.assets.count(), Asset.objects.count()) == (1, 2)


@pytest.mark.django_db(transaction=True)
def test_a_run_makes_the_same_version_and_asks_again_who_owns(
    project: Any, other: Any, owner: Any, settle: Any
) -> None:
    fill(project, range(6))
    fill(other, range(3, 12))
    asked: dict[str, Any] = {
        "project": project,
        "recipe": Recipe(projects=(other.slug,)),
        "by": owner,
    }
    at_once = publish_version(dataset_name="One", **asked)
    run = settle(start_freeze(dataset_name="Two", **asked))
    assert run.state == "succeeded", run.error
    assert DatasetVersion.objects.get(dataset__name="Two").digest == at_once.digest
    late = start_freeze(dataset_name="Three", **asked)
    Membership.objects.filter(project=other).delete()
    late = settle(late)
    assert (late.state, late.error_code) == ("failed", "not_owner")
