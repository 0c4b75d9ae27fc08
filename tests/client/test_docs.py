"""The examples of the client's page, run one after the other before a live server."""

from __future__ import annotations

import inspect
import io
import re
import shlex
import threading
from pathlib import Path
from typing import Any

import pytest

from steelyard.accounts.services import create_token
from steelyard.projects.models import Project
from steelyard_client import Client, commands
from steelyard_client import Project as ClientProject
from tests import factories

PAGE = Path(__file__).resolve().parents[2] / "platform" / "docs" / "client.md"
SITE, KEY = "http://127.0.0.1:8000", "sy_…"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)


def test_every_verb_is_told() -> None:
    told = PAGE.read_text()
    verbs = {
        name
        for kind in (Client, ClientProject)
        for name, value in inspect.getmembers(kind)
        if callable(value) and not name.startswith("_")
    }
    assert {verb for verb in verbs if not re.search(rf"\b{verb}\(", told)} == set()


@pytest.mark.slow
def test_the_examples_work(
    live_server: Any,
    working: threading.Event,
    tiny_lm: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setattr("steelyard_client.runs.EVERY", 0.3)
    _, key = create_token(user=factories.make_user("owner", superuser=True), name="docs")

    def said(text: str) -> str:
        return text.replace(SITE, live_server.url).replace(KEY, key)

    names: dict[str, Any] = {}
    for example in blocks("python"):
        if "project.train(" in example:
            made = Project.objects.get(slug="short-answers")
            factories.make_model(made, "base", family="causal_lm", source=str(tiny_lm))
        exec(compile(said(example), PAGE.name, "exec"), names)

    working.set()  # what the commands start stays in the queue: they do not wait for it
    (lines,) = blocks("console")
    for line in lines.splitlines():
        monkeypatch.setattr("sys.stdin", io.StringIO(f"{key}\n"))
        words = shlex.split(said(line.removeprefix("$ steelyard ")))
        assert commands.main(words) == 0, line
