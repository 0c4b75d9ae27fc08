from __future__ import annotations

import json
from typing import Any

import pytest

from steelyard.runs import launchers

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_engine_gets_nothing_that_opens_the_database_or_signs_as_us(
    counting: Any, settle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEELYARD_SECRET_KEY", "hush")
    monkeypatch.setenv("STEELYARD_SECRET_KEY_FILE", "/run/secrets/key")
    run = settle(counting(steps=1))
    seen = json.loads((run.dir.path / "environment.json").read_text())
    hidden = {"DATABASE_URL", "CELERY_BROKER_URL", "DJANGO_SETTINGS_MODULE"}
    assert not {*hidden, "STEELYARD_SECRET_KEY", "STEELYARD_SECRET_KEY_FILE"} & set(seen)
    assert "PATH" in seen


def test_runs_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(launchers, "_cores", lambda: 8)
    threads = [launchers._threads(at_work)["OMP_NUM_THREADS"] for at_work in (1, 2, 3, 20)]
    assert threads == ["8", "4", "2", "1"]
    assert launchers._threads(2)["OMP_WAIT_POLICY"] == "PASSIVE"


def test_the_operator_decides_about_threads_where_they_said_so(
    counting: Any, settle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    run = settle(counting(steps=1))
    seen = json.loads((run.dir.path / "environment.json").read_text())
    assert seen["OMP_NUM_THREADS"] == "3"
