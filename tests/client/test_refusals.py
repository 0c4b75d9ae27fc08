"""Nobody reaches by the client what is not theirs, and each refusal has its own kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from steelyard.accounts.services import create_token
from steelyard_client import Client, Invalid, NotAllowed, NotFound, NotSignedIn
from tests import factories


def test_owner_member_and_stranger(
    client_of: Callable[..., Client], project: Any, owner: Any, member: Any, stranger: Any
) -> None:
    factories.make_pair(project)
    theirs, annotators, strangers = (
        client_of(user).project(project.slug) for user in (owner, member, stranger)
    )
    assert theirs.info.slug == project.slug
    assert len(list(theirs.pairs())) == 1
    lease = annotators.next()
    assert lease is not None
    assert not hasattr(lease.outputs[0], "model")
    for ask in (annotators.pairs, annotators.judgments, annotators.versions, annotators.runs):
        with pytest.raises((NotFound, NotAllowed)):
            list(ask())
    for ask in (strangers.pairs, strangers.judgments, strangers.versions, strangers.runs):
        with pytest.raises(NotFound):
            list(ask())
    for verb in (strangers.next, strangers.leaderboard, lambda: strangers.freeze("answers")):
        with pytest.raises(NotFound):
            verb()
    with pytest.raises(NotFound):
        strangers.add_pairs([{"prompt": "What?", "a": "One.", "b": "Two."}])
    assert [found.slug for found in client_of(owner).projects()] == [project.slug]
    assert list(client_of(stranger).projects()) == []


def test_a_token_that_is_unknown_and_one_that_may_only_read(
    live_server: Any, project: Any, owner: Any
) -> None:
    with Client(live_server.url, "sy_unknown") as client, pytest.raises(NotSignedIn) as refused:
        client.me()
    assert refused.value.status == 401
    _, key = create_token(user=owner, name="reader", scopes=["read"])
    with Client(live_server.url, key) as client:
        mine = client.project(project.slug)
        assert list(mine.pairs()) == []
        with pytest.raises(NotAllowed, match="scope"):
            mine.freeze("answers")


def test_what_is_not_there_is_not_found(mine: Any) -> None:
    for ask in (lambda: mine.run(7), lambda: mine.version(7), lambda: mine.evaluation(7)):
        with pytest.raises(NotFound):
            ask()
    with pytest.raises(Invalid, match="no pair 7"):
        mine.submit(7, "a")
    with pytest.raises(Invalid, match="no model"):
        mine.train(1, recipe="dpo", base="nobody", name="new")
