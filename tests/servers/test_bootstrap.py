from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from steelyard.servers.paths import ROOT

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in ("requirements.lock", "requirements-dev.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "client").mkdir()
    shutil.copy(ROOT / "client" / "pyproject.toml", tmp_path / "client")
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "bootstrap.py", tmp_path / "scripts")
    return tmp_path


@pytest.fixture
def bootstrap(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script over a checkout of its own, with an install that only leaves its marks."""
    spec = importlib.util.spec_from_file_location("bootstrap", checkout / "scripts/bootstrap.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "check_disk", lambda: None)
    monkeypatch.setattr(module, "pip", lambda *words, total=0: None)
    monkeypatch.setattr(module, "run", _empty_venv(module))
    return module


def _empty_venv(module: ModuleType) -> Callable[[list[str]], subprocess.CompletedProcess[str]]:
    """Environments without pip: what is tested here needs none."""

    def run(command: list[str]) -> subprocess.CompletedProcess[str]:
        if command[1:3] == ["-m", "venv"]:
            (module.VENV / "bin").mkdir(parents=True)
            module.PYTHON.symlink_to(sys.executable)
        return subprocess.run(
            [command[0], "-c", "import sys; print(*sys.version_info[:2])"],
            check=False,
            capture_output=True,
            text=True,
        )

    return run


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out


def test_a_second_call_has_nothing_to_do(
    bootstrap: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    bootstrap.main([])
    assert "packages from requirements.lock" in said(capsys)
    bootstrap.main([])
    assert said(capsys) == ""


def test_tests_need_more_than_the_product(
    bootstrap: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    bootstrap.main([])
    bootstrap.main(["--dev"])
    assert "adding what tests and checks need" in said(capsys)
    bootstrap.main([])
    bootstrap.main(["--dev"])
    assert said(capsys) == ""


def test_a_changed_lock_is_noticed(
    bootstrap: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    bootstrap.main([])
    with bootstrap.LOCK.open("a") as lock:
        lock.write("one-more==1.0\n")
    said(capsys)
    bootstrap.main([])
    assert "requirements.lock or pyproject.toml has changed" in said(capsys)


def test_an_install_that_was_cut_short_is_made_anew(
    bootstrap: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*words: str, total: int = 0) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as during:
        during.setattr(bootstrap, "pip", stopped)
        with pytest.raises(KeyboardInterrupt):
            bootstrap.main([])
    (bootstrap.VENV / "half").touch()
    bootstrap.main([])
    assert "an earlier install did not finish" in said(capsys)
    assert not (bootstrap.VENV / "half").exists()


def test_an_environment_whose_python_is_gone_is_made_anew(
    bootstrap: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    bootstrap.main([])
    bootstrap.PYTHON.unlink()
    bootstrap.PYTHON.symlink_to("/nowhere/python")
    bootstrap.main([])
    assert "making it anew" in said(capsys)
    assert bootstrap.PYTHON.exists()


def test_too_little_room_is_told_before_anything_is_installed(
    bootstrap: ModuleType, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(bootstrap.shutil, "disk_usage", lambda folder: Usage(9, 8, 10**9))
    with pytest.raises(bootstrap.Problem, match=r"0\.9 GB free, and the install needs 4"):
        bootstrap.main([])
    assert not bootstrap.VENV.exists()


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ("ERROR: Could not install: [Errno 28] No space left on device", "the disk is full"),
        ("Temporary failure in name resolution", "no package index could be reached"),
        ("ERROR: No matching distribution found for torch==2.13.0", "No matching distribution"),
    ],
)
def test_why_pip_failed_is_told_in_our_words(bootstrap: ModuleType, output: str, told: str) -> None:
    problem = bootstrap.failure("pip", output)
    assert told in str(problem)
    assert "run the same command again" in str(problem)


def test_no_more_is_unpacked_than_there_is(
    bootstrap: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("pip", "one", "two"):
        (bootstrap.VENV / f"lib/python3/site-packages/{name}-1.dist-info").mkdir(parents=True)
    progress = bootstrap.Progress(2)
    progress.tell("Installing collected packages: one, two")
    progress.told -= 60
    progress.tell("")
    assert "unpacked 2 of 2" in said(capsys)
