"""What staff do by script: withdraw votes, give pairs, decide on flags, name webhooks, rank."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from annotation.models import Judgment
from steelyard_client import Client, Conflict, NotFound, Project, SteelyardError
from tests import factories

PAIR = {"prompt": "What is a yard?", "a": "Three feet.", "b": "A tree."}


def test_votes_are_withdrawn_their_reach_is_told_and_they_count_again(mine: Project) -> None:
    votes = [
        {**PAIR, "prompt": f"What is {n}?", "outcome": "a", "annotator": "rater"} for n in range(4)
    ]
    mine.add_pairs(votes)
    version = mine.freeze("answers", {"test_fraction": 0})
    made = mine.withdraw(annotator="rater", reason="In haste")
    reach = mine.reach(made)
    assert (reach.votes, [(one.version, one.rows) for one in reach.versions]) == (
        4,
        [(version.id, 4)],
    )
    assert mine.preview({"test_fraction": 0}).counts["rows"] == 0
    assert mine.lift(made).lifted_at is not None
    assert mine.preview({"test_fraction": 0}).counts["rows"] == 4
    assert [one.id for one in mine.withdrawals()] == [made.id]


def test_versions_are_found_by_dataset_and_tag(mine: Project) -> None:
    mine.add_pairs([{**PAIR, "outcome": "a", "annotator": "rater"}])
    first = mine.freeze("one", {"test_fraction": 0})
    second = mine.freeze("two", {"test_fraction": 0})
    second.tag("paper")
    assert [one.id for one in mine.versions()] == [second.id, first.id]
    assert [one.id for one in mine.versions(dataset="one")] == [first.id]
    [tagged] = mine.versions(tag="paper")
    assert (tagged.id, tagged.info.tags) == (second.id, ["paper"])
    assert mine.dataset("two").version("paper").id == second.id
    with pytest.raises(SteelyardError, match="no version with the tag 'paper'"):
        mine.dataset("one").version("paper")


def test_pairs_are_given_to_a_group_and_taken_back(mine: Project, member: Any) -> None:
    mine.add_pairs([PAIR, {**PAIR, "prompt": "And an ell?"}])
    group = mine.add_group("Careful", [member.username])
    assert mine.give_pairs(group, only_count=True) == 2
    assert mine.give_pairs(group, limit=1) == 1
    assert [(one.name, one.open_pairs) for one in mine.groups()] == [("Careful", 1)]
    assert mine.change_group(group, name="Slow").members == [member.username]
    assert mine.take_pairs(group) == 1
    mine.remove_group(group)
    assert mine.groups() == []


def test_a_flag_is_raised_and_decided_on(
    client_of: Callable[..., Client], mine: Project, member: Any
) -> None:
    mine.add_pairs([PAIR])
    theirs = client_of(member).project(mine.slug)
    lease = theirs.next()
    assert lease is not None
    assert theirs.flag(lease, "harmful", "It names a person.").state == "open"
    with pytest.raises(NotFound):
        list(theirs.flags())
    [flag] = mine.flags(state="open")
    assert (flag.pair, flag.annotator, flag.reason) == (lease.pair, member.username, "harmful")
    assert mine.resolve_flag(flag, remove=True).state == "removed"
    assert theirs.next() is None


def test_a_webhook_is_named_tested_changed_and_removed(mine: Project) -> None:
    hook = mine.add_webhook("https://hooks.example.com/a", ["run.finished"])
    assert hook.secret.startswith("whsec_")
    assert mine.test_webhook(hook).event == "webhook.test"
    assert [one.event for one in mine.deliveries(hook)] == ["webhook.test"]
    assert mine.new_secret(hook).secret not in ("", hook.secret)
    assert mine.change_webhook(hook, enabled=False).enabled is False
    with pytest.raises(Conflict):
        mine.test_webhook(hook)
    assert [one.secret for one in mine.webhooks()] == [""]
    mine.remove_webhook(hook)
    assert list(mine.webhooks()) == []


def test_answers_are_put_in_order(client_of: Callable[..., Client]) -> None:
    project = factories.make_project(label_scheme={"task": "ranking"})
    owner = factories.make_user(project=project, role="admin")
    mine = client_of(owner).project(project.slug)
    asked = mine.add_set("What is a yard?", ["Three feet.", {"text": "A tree.", "model": "small"}])
    assert mine.add_set("What is a yard?", ["Three feet.", {"text": "A tree.", "model": "small"}])
    [there] = mine.sets(state="open", prompt=asked.prompt)
    assert (there.id, there.outputs) == (asked.id, asked.outputs)
    lease = mine.next_set()
    assert lease is not None
    first = mine.rank(lease, [asked.outputs])
    better = mine.amend_ranking(first, [[output] for output in asked.outputs])
    assert better.supersedes == first.uuid
    assert [one.tiers for one in mine.rankings(of=asked)] == [better.tiers]
    assert len(list(mine.rankings(annotator=owner.username, superseded=True))) == 2
    assert Judgment.objects.current().count() == 1
    assert (list(mine.sets(state="open")), mine.next_set()) == ([], None)
    assert mine.nothing == "done"
