"""The cache that runs share stays within its limit, and no run at work loses what it reads."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import torch
from django.core.management import CommandError, call_command
from django.utils import timezone

from steelyard.runs.models import Run
from training import caching
from training.engine.reference import Cache
from training.tasks import trim_cache

pytestmark = pytest.mark.django_db
DAY = 86_400


def put(name: str, days: float, size: int = 1000) -> Path:
    """A file that was used so many days ago."""
    path = caching.folder() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    then = time.time() - days * DAY
    os.utime(path, (then, then))
    return path


def test_what_was_used_longest_ago_goes_first(settings: Any) -> None:
    old, older, new = put("key/b", 5), put("other/a", 9), put("key/c", 2)
    settings.CACHE_GIB = 1500 / caching.GIB
    trim_cache()
    assert (older.exists(), old.exists(), new.exists()) == (False, False, True)
    assert caching.usage().size == 1000
    settings.CACHE_GIB = 0
    trim_cache()
    assert new.exists()


def test_what_a_run_at_work_may_read_stays(project: Any) -> None:
    began = timezone.now() - timedelta(days=3)
    run = Run.objects.create(project=project, kind="train", state="running", started_at=began)
    before, since, now = put("a", 9), put("b", 2.5), put("c", 0)
    assert caching.trim(0).files == 1
    assert (before.exists(), since.exists(), now.exists()) == (False, True, True)
    Run.objects.filter(pk=run.pk).update(state="succeeded")
    # what is younger than a day may be read by a run that begins just now
    assert caching.trim(0).files == 1
    assert now.exists()


def test_a_reading_is_a_use() -> None:
    cache = Cache(caching.folder(), "key")
    cache.write({bytes(32): torch.zeros(3)})
    (path,) = caching.folder().rglob("*.safetensors")
    os.utime(path, (0, 0))
    assert not cache.read({bytes(31) + b"1"})
    assert path.stat().st_mtime == 0
    assert cache.read({bytes(32)})
    assert path.stat().st_mtime > time.time() - 60


def test_the_command_tells_and_trims(settings: Any) -> None:
    put("a", 5, 2**20)
    out = StringIO()
    call_command("training_cache", stdout=out)
    assert "1 files, 0.00 GiB, the oldest used on" in out.getvalue()
    assert out.getvalue().endswith("limit 50 GiB\n")
    call_command("training_cache", "--trim", stdout=out)
    assert "Removed: 0 files" in out.getvalue()
    call_command("training_cache", "--trim", "0.0001", stdout=out)
    assert "Removed: 1 files" in out.getvalue()
    with pytest.raises(CommandError, match="from 0"):
        call_command("training_cache", "--trim", "-3")
