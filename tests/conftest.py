"""What every test may ask for: the three people, projects, and runs driven to their end."""

from __future__ import annotations

import gc
import os
import shutil
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from django.db import connection
from django.test import Client, TransactionTestCase
from playwright.sync_api import Browser, expect, sync_playwright

from steelyard.runs import launchers
from steelyard.web.static import StaticFilesMiddleware
from tests import factories, forked
from tests.tiny_models import make_tiny_lm

# The browser's loop runs in this thread, where Django would otherwise refuse to touch a database.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
# The endpoints of tests are servers on this machine.
os.environ.setdefault("STEELYARD_PRIVATE_ENDPOINTS", "localhost,127.0.0.1,::1")

# A page may take its time while engines are at work on the same two cores.
expect.set_options(timeout=60_000)

CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


MADE_BY_MIGRATIONS = {"django_content_type", "auth_permission"}


def empty_the_tables(_: TransactionTestCase) -> None:
    """What Django does by TRUNCATE after a test that commits, 30 times faster: nearly all tables
    have no row, and those with a few need not be made anew. What migrations made stays."""
    names = connection.introspection.django_table_names(only_existing=True, include_views=False)
    deletions = (f'DELETE FROM "{name}"' for name in set(names) - MADE_BY_MIGRATIONS)
    with connection.cursor() as cursor:
        # As a replica the server asks neither foreign keys nor triggers.
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("; ".join(deletions))
        cursor.execute("SET session_replication_role = DEFAULT")


TransactionTestCase._fixture_teardown = empty_the_tables  # type: ignore[method-assign]

_read_static_files = StaticFilesMiddleware.add_files_from_finders
_static_files: dict[str, Any] = {}


def static_files_read_once(middleware: StaticFilesMiddleware) -> None:
    """A server looks at its 200 static files when it starts; here every client is a server that
    starts, and would spend more time on that than on its answers."""
    if not _static_files:
        _read_static_files(middleware)
        _static_files.update(middleware.files)
    middleware.files.update(_static_files)


StaticFilesMiddleware.add_files_from_finders = static_files_read_once  # type: ignore[method-assign]


LONG = (
    "web/test_axe_on_every_page.py",
    "training/sweeps/test_end_to_end.py",
    "training_engine/test_train.py",
    "training_engine/test_distributed.py",
    "demo/test_digits.py",
    "demo/test_text.py",
    "training_engine/test_diffusion.py",
    "training_engine/test_video_end_to_end.py",
    "training_engine/test_vision.py",
    "training_engine/test_diffusion_digits.py",
)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is imported stays to the end: while tests are collected nothing is looked through for
    garbage, and none of it afterwards, a million objects with torch's."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The journeys first, then what takes half a minute or more: whole files go to one process,
    and a long one among the last would leave the other with nothing to do."""

    def place(item: pytest.Item) -> int:
        if "journeys" in item.path.parts:
            return -1
        names = (number for number, name in enumerate(LONG) if item.path.match(f"tests/{name}"))
        return next(names, len(LONG))

    items.sort(key=place)


@pytest.fixture(autouse=True)
def _the_same_texts_in_any_order(request: pytest.FixtureRequest) -> None:
    """Numbers from the test's own name, far from those that another module's things were given."""
    factories.number_from(crc32(request.node.nodeid.encode()) % 10_000 * 100 + 1)


@pytest.fixture(autouse=True)
def _folders_of_its_own(settings: Any, tmp_path: Path) -> None:
    """No test sees the files of another."""
    settings.DATA_DIR = tmp_path
    for name in ("RUNS", "VERSIONS", "MODELS", "BLOBS"):
        setattr(settings, f"{name}_DIR", tmp_path / name.lower())
    # a real one takes most of a second for every person that a test makes
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    # all tests ask from one address, some in the same minute
    settings.ARENA_QUESTIONS_OF_ADDRESS = 1000


@pytest.fixture(autouse=True)
def _engines_start_at_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs fork their engine from a process that has loaded the libraries, unless the test is about
    the command itself."""
    if request.node.get_closest_marker("cold_start") is None:
        monkeypatch.setattr(launchers, "_spawn", forked.launch_forked(launchers._spawn))


@pytest.fixture
def project(db: None) -> Any:
    """A text project without pairs."""
    return factories.make_project()


@pytest.fixture
def owner(project: Any) -> Any:
    """An admin of the project."""
    return factories.make_user("owner", project=project, role="admin")


@pytest.fixture
def member(project: Any) -> Any:
    """An annotator of the project: sees labelling and nothing else."""
    return factories.make_user("member", project=project, role="annotator")


@pytest.fixture
def stranger(db: None) -> Any:
    """Somebody with an account and no role: must see nothing."""
    return factories.make_user("stranger")


@pytest.fixture
def as_user() -> Callable[[Any], Client]:
    """A browser without scripts, signed in as somebody."""

    def sign_in(user: Any) -> Client:
        client = Client()
        client.force_login(user)
        return client

    return sign_in


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Where Debian's Chromium is; a journey without one fails, for nobody would notice a skip."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    assert path, "The journeys need Debian's Chromium: apt-get install chromium"
    return path


@pytest.fixture(scope="session")
def chromium(chromium_path: str) -> Iterator[Browser]:
    """One browser for all tests of a session: a thread can have only one driver."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def tiny_lm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random language model of 2 layers, its tokenizer and chat template."""
    return make_tiny_lm(tmp_path_factory.mktemp("tiny-lm"))


@pytest.fixture
def settle(transactional_db: None) -> Callable[..., Any]:
    """Drive a run with its real engine process until it ends; the run as it then is."""
    from steelyard.runs import supervisor

    def drive(run: Any, timeout: float = 300) -> Any:
        end = time.monotonic() + timeout
        while True:
            supervisor.reconcile()
            run.refresh_from_db()
            if not run.is_active:
                return run
            if time.monotonic() > end:
                raise AssertionError(
                    f"{run} is still {run.state} after {timeout} s\n{run.dir.log_tail()}"
                )
            time.sleep(0.1)

    return drive
