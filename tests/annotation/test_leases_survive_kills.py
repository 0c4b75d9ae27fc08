"""A small crowd on a web server that is killed; ``bench_leases.py`` has the large one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import crowd


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_nothing_is_lost_or_handed_out_twice_while_web_processes_are_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEB_WORKERS", "2")
    project = crowd.project_of(100, overlap=2, lease_seconds=2)
    tally = crowd.Tally()
    with crowd.serving(tmp_path, processes=2) as server:
        people = crowd.clients(project, 12, server.address)
        with crowd.killing(server, tally, every=(30, 60)) as kills:
            crowd.label(people, 200, tally)
    books = crowd.books_of(project, tally.acknowledged)
    assert kills
    assert len(tally.acknowledged) > 100
    assert (books.lost, books.over_overlap, books.miscounted, books.twice_by_one) == (0, 0, 0, 0)
