"""Groups of people, and pairs that are theirs alone."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from annotation.models import Annotator, Group, Pair
from annotation.services import groups
from annotation.services.groups import ANYBODY, Choice
from annotation.services.queue import annotator_for, next_pair
from annotation.services.ranking_queue import next_set, progress_in_sets, why_no_set
from steelyard.accounts.models import AuditEvent
from steelyard.lib.errors import UserError
from tests import factories

pytestmark = pytest.mark.django_db
JSON = "application/json"


def url(name: str, project: Any, *arguments: Any) -> str:
    return reverse(f"annotation:{name}", args=[project.slug, *arguments])


@pytest.fixture
def experts(project: Any, owner: Any, member: Any) -> Group:
    """A group of the member alone."""
    return groups.create_group(project=project, by=owner, name="experts", members=["member"])


def test_a_group_is_made_of_members_who_have_never_labelled(
    project: Any, owner: Any, member: Any, as_user: Any
) -> None:
    said = {"name": " Law  experts ", "members": ["member", "owner"]}
    page = as_user(owner).post(url("group-list", project), said, follow=True)
    assert "The group Law experts is made." in page.content.decode()
    group = Group.objects.get(project=project)
    assert [one.user for one in group.members.order_by("name")] == [member, owner]
    assert AuditEvent.objects.get(action="group-made").actor == owner


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"name": "experts"}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "others", "members": ["stranger"]}, "members"),
    ],
)
def test_what_is_wrong_with_a_group_is_told_beside_its_field(
    project: Any, owner: Any, stranger: Any, experts: Group, as_user: Any, said: Any, field: str
) -> None:
    page = as_user(owner).post(url("group-list", project), said)
    assert page.context["form"].errors[field]
    assert Group.objects.count() == 1


def test_a_group_gets_another_name_and_other_people(
    project: Any, owner: Any, member: Any, experts: Group, as_user: Any
) -> None:
    client = as_user(owner)
    assert "checked" in client.get(url("group-detail", project, experts.pk)).content.decode()
    client.post(url("group-detail", project, experts.pk), {"name": "judges", "members": ["owner"]})
    experts.refresh_from_db()
    assert (experts.name, experts.members.get().user) == ("judges", owner)


def test_pairs_of_a_group_are_given_to_its_people_alone(
    project: Any, owner: Any, member: Any, experts: Group
) -> None:
    pair = factories.make_pair(project)
    n = groups.give_pairs(project=project, by=owner, choice=Choice(), group=experts)
    assert n == 1
    assert next_pair(annotator=annotator_for(user=owner, project=project)) is None
    lease = next_pair(annotator=annotator_for(user=member, project=project))
    assert lease is not None
    assert lease.pair == pair


def test_only_pairs_that_are_meant_are_given(project: Any, owner: Any, experts: Group) -> None:
    easy = factories.make_prompt(project, category="easy")
    meant = factories.make_pair(project, prompt=easy, models=("model-x", "model-z"))
    other_model = factories.make_pair(project, prompt=easy)
    judged = factories.make_pair(project, prompt=easy, models=("model-z", "model-y"))
    done = factories.make_pair(project, prompt=easy, models=("model-z", "model-y"))
    for pair in (judged, done):
        factories.make_judgment(pair)
    Pair.objects.filter(pk=judged.pk).update(wanted=2)
    out = factories.make_pair(project, prompt=easy, models=("model-z", "model-y"))
    Pair.objects.filter(pk=out.pk).update(closed=True)
    model = factories.make_model(project, "model-z")
    choice = Choice(category="easy", model=model, origin="import", unlabelled=True)
    assert list(choice.pairs(project)) == [meant]
    assert Choice(category="easy").pairs(project).count() == 3
    groups.give_pairs(project=project, by=owner, choice=choice, group=experts, priority=5)
    meant.refresh_from_db()
    assert (meant.group, meant.priority) == (experts, 5)
    assert Choice().pairs(project).count() == 2
    assert Choice(whose=experts).pairs(project).get() == meant
    assert Choice(whose=ANYBODY).pairs(project).count() == 3
    assert not Pair.objects.filter(pk=other_model.pk, group=experts).exists()


def test_at_most_takes_the_first_of_the_queue(
    project: Any, owner: Any, experts: Group, django_assert_max_num_queries: Any
) -> None:
    pairs = [factories.make_pair(project) for _ in range(4)]
    Pair.objects.filter(pk=pairs[3].pk).update(priority=1)
    with django_assert_max_num_queries(6):
        n = groups.give_pairs(project=project, by=owner, choice=Choice(limit=2), group=experts)
    assert n == 2
    assert set(experts.pairs.all()) == {pairs[0], pairs[3]}


def test_a_priority_out_of_range_changes_nothing(project: Any, owner: Any, experts: Group) -> None:
    factories.make_pair(project)
    with pytest.raises(UserError, match="-1000 to 1000"):
        groups.give_pairs(
            project=project, by=owner, choice=Choice(), group=experts, priority=40_000
        )
    assert not experts.pairs.exists()


def test_pairs_are_counted_before_they_are_given_and_can_be_taken_back(
    project: Any, owner: Any, experts: Group, as_user: Any
) -> None:
    for _ in range(3):
        factories.make_pair(project)
    client, said = as_user(owner), {"to": experts.pk, "limit": "2"}
    page = client.get(url("group-list", project), said).content.decode()
    assert "Give 2 pairs to experts" in page
    part = client.get(url("group-list", project), said, headers={"HX-Request": "true"})
    assert "<html" not in part.content.decode()
    assert not experts.pairs.exists()
    page = client.post(url("group-give", project), said, follow=True).content.decode()
    assert "2 pairs are for experts alone now." in page
    client.post(url("group-give", project), {"whose": experts.pk})
    assert not experts.pairs.exists()


def test_a_deleted_group_leaves_its_pairs_to_everybody(
    project: Any, owner: Any, experts: Group, as_user: Any
) -> None:
    pair = factories.make_pair(project)
    groups.give_pairs(project=project, by=owner, choice=Choice(), group=experts)
    as_user(owner).post(url("group-delete", project, experts.pk))
    pair.refresh_from_db()
    assert pair.group is None
    assert Annotator.objects.filter(user__username="member").exists()


def test_a_group_without_people_that_has_pairs_is_told(
    project: Any, owner: Any, as_user: Any
) -> None:
    group = groups.create_group(project=project, by=owner, name="experts")
    factories.make_pair(project)
    groups.give_pairs(project=project, by=owner, choice=Choice(), group=group)
    page = as_user(owner).get(url("group-list", project)).content.decode()
    assert "nobody: its pairs wait" in page


class TestApi:
    """The same by API."""

    def test_groups_are_made_changed_and_deleted(
        self, project: Any, owner: Any, member: Any, as_user: Any
    ) -> None:
        client, base = as_user(owner), f"/api/v1/projects/{project.slug}/groups"
        made = client.post(base, {"name": "experts", "members": ["member"]}, content_type=JSON)
        assert (made.status_code, made.json()["members"]) == (201, ["member"])
        one = f"{base}/{made.json()['id']}"
        changed = client.patch(one, {"members": []}, content_type=JSON).json()
        assert (changed["name"], changed["members"]) == ("experts", [])
        taken = client.post(base, {"name": "experts"}, content_type=JSON)
        assert (taken.status_code, taken.json()["code"]) == (409, "name_taken")
        unknown = client.patch(one, {"members": ["nobody"]}, content_type=JSON)
        assert unknown.json()["code"] == "unknown_member"
        assert client.delete(one).status_code == 204
        assert client.get(base).json() == []

    def test_pairs_are_counted_given_and_taken_back(
        self, project: Any, owner: Any, experts: Group, as_user: Any
    ) -> None:
        for _ in range(2):
            factories.make_pair(project)
        client = as_user(owner)
        base = f"/api/v1/projects/{project.slug}/groups/{experts.pk}/pairs"
        counted = client.post(base, {"only_count": True}, content_type=JSON)
        assert (counted.json(), experts.pairs.count()) == ({"pairs": 2}, 0)
        said = {"limit": 1, "model": "model-x", "priority": 3}
        assert client.post(base, said, content_type=JSON).json() == {"pairs": 1}
        assert experts.pairs.get().priority == 3
        assert client.delete(base).json() == {"pairs": 1}
        wrong = client.post(base, {"model": "model-q"}, content_type=JSON)
        assert (wrong.status_code, wrong.json()["field"]) == (400, "model")

    def test_others_find_nothing(
        self, project: Any, member: Any, stranger: Any, experts: Group, as_user: Any
    ) -> None:
        base = f"/api/v1/projects/{project.slug}"
        person = experts.members.get().pk
        calls = [
            ("get", f"{base}/labelling"),
            ("post", f"{base}/labelling/pause"),
            ("get", f"{base}/groups"),
            ("post", f"{base}/groups"),
            ("patch", f"{base}/groups/{experts.pk}"),
            ("delete", f"{base}/groups/{experts.pk}"),
            ("post", f"{base}/groups/{experts.pk}/pairs"),
            ("delete", f"{base}/groups/{experts.pk}/pairs"),
            ("patch", f"{base}/annotators/{person}"),
            ("post", f"{base}/annotators/{person}/release"),
        ]
        for user in (member, stranger):
            client = as_user(user)
            for verb, path in calls:
                assert getattr(client, verb)(path, content_type=JSON).status_code == 404

    def test_people_are_settled_and_their_pairs_taken_back(
        self, project: Any, owner: Any, member: Any, as_user: Any
    ) -> None:
        factories.make_pair(project)
        rater = annotator_for(user=member, project=project)
        next_pair(annotator=rater)
        client = as_user(owner)
        base = f"/api/v1/projects/{project.slug}"
        one = f"{base}/annotators/{rater.pk}"
        said = client.patch(one, {"cap": 5, "quota": 4, "paused": True}, content_type=JSON).json()
        assert (said["cap"], said["quota"], said["paused"]) == (5, 4, True)
        assert client.patch(one, {"cap": 0}, content_type=JSON).status_code == 400
        assert client.patch(one, {"name": "x"}, content_type=JSON).status_code == 400
        found = client.get(f"{base}/labelling").json()
        assert (found["total"]["open"], found["at_work"][0]["annotator"]) == (1, "member")
        assert (found["people"][0]["cap"], found["people"][0]["leases"]) == (5, 1)
        assert client.post(f"{one}/release", content_type=JSON).json() == {"released": 1}
        judge = factories.make_annotator(project, "robot", kind="judge")
        refused = client.patch(f"{base}/annotators/{judge.pk}", {"cap": 1}, content_type=JSON)
        assert refused.json()["code"] == "not_a_person"

    def test_labelling_is_paused(self, project: Any, owner: Any, as_user: Any) -> None:
        path = f"/api/v1/projects/{project.slug}/labelling/pause"
        said = as_user(owner).post(path, {"paused": True}, content_type=JSON)
        assert said.json() == {"paused": True}
        project.refresh_from_db()
        assert project.paused
        assert as_user(owner).post(path, {}, content_type=JSON).status_code == 400


# ---- sets to rank ----


@pytest.fixture
def ranking(project: Any, experts: Group) -> Any:
    project.label_scheme = {"task": "ranking"}
    project.save()
    return project


def test_sets_of_a_group_are_given_to_its_people_alone_and_before_others(
    ranking: Any, owner: Any, member: Any, experts: Group
) -> None:
    everybodys, theirs = factories.make_set(ranking), factories.make_set(ranking)
    choice = Choice(limit=1)
    assert [one.pk for one in choice.pairs(ranking)] == [everybodys.pk]
    type(theirs).objects.filter(pk=theirs.pk).update(group=experts)
    expert = annotator_for(user=member, project=ranking)
    other = factories.make_annotator(ranking)
    assert progress_in_sets(expert)["left"] == 2
    assert progress_in_sets(other)["left"] == 1
    assert next_set(annotator=expert).output_set == theirs
    assert next_set(annotator=other).output_set == everybodys
    assert next_set(annotator=other, holding=[everybodys.pk]) is None
    everybodys.delete()
    assert why_no_set(other) == "done"


def test_sets_are_given_to_a_group_on_the_page_and_by_api_and_taken_back(
    ranking: Any, owner: Any, member: Any, experts: Group, as_user: Any
) -> None:
    model = factories.make_model(ranking, "elsewhere")
    two = [factories.make_set(ranking), factories.make_set(ranking)]
    client = as_user(owner)
    said = {"to": experts.pk, "limit": 1}
    assert "Give 1 set to experts" in client.get(url("group-list", ranking), said).content.decode()
    page = client.post(url("group-give", ranking), said, follow=True)
    assert "1 set is for experts alone now." in page.content.decode()
    assert list(experts.output_sets.all()) == two[:1]
    assert groups.groups_of(ranking)[0].n_open == 1  # type: ignore[attr-defined]
    api = f"/api/v1/projects/{ranking.slug}/groups/{experts.pk}/pairs"
    of_none = {"model": model.name, "only_count": True}
    assert client.post(api, of_none, JSON).json() == {"pairs": 0}
    assert client.post(api, {}, JSON).json() == {"pairs": 1}
    assert as_user(member).post(api, {}, JSON).status_code == 404
    assert client.delete(api).json() == {"pairs": 2}
    client.post(api, {}, JSON)
    groups.delete_group(group=experts, by=owner)
    assert not type(two[0]).objects.exclude(group=None).exists()
