"""Making renditions, one file at a time: in a process of its own, which may be killed, crash or
never end without harm to the worker."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F

from steelyard.assets.blobs import blob_path, put_in_place
from steelyard.assets.models import Asset, Rendition
from steelyard.lib.hashing import sha256_file

TIME_LIMIT = 300
"""Seconds on the clock for one file."""
MAX_TRIES = 3
"""How often one whose making was killed from outside is begun."""
_TURN_SECONDS = 20
_LOCK = 7_305_104_112  # any number that nobody else locks
_FOLDER = ".renditions-"
_SECRETS = ("DATABASE_URL", "CELERY_BROKER_URL", "STEELYARD_SECRET_KEY")


def make_pending() -> bool:
    """Make the renditions of files that wait for them, for about 20 seconds.

    One worker at a time, so that the others are free for what is urgent. A file whose making is
    killed stays pending, and is begun again up to three times.

    Returns:
        whether there is more to do for whoever comes next.
    """
    with _alone() as alone:
        if not alone:
            return False
        _sweep()
        end = time.monotonic() + _TURN_SECONDS
        while asset := _begin_next():
            _make(asset)
            if time.monotonic() > end:
                return Asset.objects.pending().exists()
    return False


@contextmanager
def _alone() -> Iterator[bool]:
    """A lock of this database session: it goes with the process, however that ends."""
    with connection.cursor() as cursor:
        cursor.execute("select pg_try_advisory_lock(%s)", [_LOCK])
        (alone,) = cursor.fetchone()
    try:
        yield alone
    finally:
        if alone:
            with connection.cursor() as cursor:
                cursor.execute("select pg_advisory_unlock(%s)", [_LOCK])


def _sweep() -> None:
    """Throw away what a killed predecessor left; the caller is alone."""
    for folder in Path(settings.BLOBS_DIR).glob(f"{_FOLDER}*"):
        shutil.rmtree(folder, ignore_errors=True)


def _begin_next() -> Asset | None:
    """The next file, its try counted before it is touched; the caller is alone."""
    while asset := Asset.objects.pending().first():
        if asset.renditions_tries >= MAX_TRIES:
            _fail(asset, f"Their making was cut short {MAX_TRIES} times.")
            continue
        Asset.objects.filter(pk=asset.pk).update(renditions_tries=F("renditions_tries") + 1)
        return asset
    return None


def _make(asset: Asset) -> None:
    if asset.is_small:  # from before there were renditions
        return _keep(asset, [])
    if _copied_from_twin(asset):
        return None
    source = blob_path(asset.sha256)
    if not source.exists():
        return _fail(asset, "The file is gone from the store.")
    with TemporaryDirectory(dir=settings.BLOBS_DIR, prefix=_FOLDER) as folder:
        answer = _in_a_process(asset.kind, source, Path(folder))
        if "problem" in answer:
            return _fail(asset, answer["problem"])
        if "made" in answer:
            _keep(asset, [_stored(one, Path(folder)) for one in answer["made"]])
    return None


def _copied_from_twin(asset: Asset) -> bool:
    """The same file in another project has them already."""
    twin = Asset.objects.filter(sha256=asset.sha256, renditions_state="ready").first()
    if twin is None:
        return False
    rows = list(twin.renditions.all())
    for row in rows:
        row.pk = None
        row._state.adding = True
    _keep(asset, rows)
    return True


def _in_a_process(kind: str, source: Path, folder: Path) -> dict[str, Any]:
    """What the process says; empty where it was killed from outside and may be tried again."""
    hidden = {*_SECRETS, *(f"{name}_FILE" for name in _SECRETS)}
    command = [sys.executable, "-m", "steelyard.assets.making", kind, str(source), str(folder)]
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        env={key: value for key, value in os.environ.items() if key not in hidden},
    )
    try:
        said, _ = process.communicate(timeout=TIME_LIMIT)
    except subprocess.TimeoutExpired:
        return {"problem": f"It took longer than {TIME_LIMIT} seconds."}
    finally:
        process.kill()
        process.wait()
    if process.returncode == 0:
        return json.loads(said)
    if process.returncode in {-signal.SIGKILL, -signal.SIGTERM}:
        return {}
    if process.returncode == -signal.SIGXCPU:
        return {"problem": "It took too much of the processor's time."}
    return {"problem": f"The decoder broke off (exit status {process.returncode})."}


def _stored(made: dict[str, Any], folder: Path) -> Rendition:
    """The file put into the store, and its row, not saved yet."""
    path = folder / made["kind"]
    row = Rendition(sha256=sha256_file(path), size=path.stat().st_size, **made)
    put_in_place(path, blob_path(row.sha256))
    return row


@transaction.atomic
def _keep(asset: Asset, rows: list[Rendition]) -> None:
    # somebody may have deleted the asset meanwhile
    if not Asset.objects.select_for_update().filter(pk=asset.pk).exists():
        return
    for row in rows:
        row.asset = asset
    Rendition.objects.filter(asset=asset).delete()
    Rendition.objects.bulk_create(rows)
    state = Asset.Renditions.READY
    Asset.objects.filter(pk=asset.pk).update(renditions_state=state, renditions_problem="")


def _fail(asset: Asset, problem: str) -> None:
    Asset.objects.filter(pk=asset.pk).update(
        renditions_state=Asset.Renditions.FAILED, renditions_problem=problem
    )
