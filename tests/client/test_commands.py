"""The command ``steelyard``, as a shell starts it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from annotation.models import Judgment, Pair
from steelyard.accounts.services import create_token
from steelyard.runs.models import Run, RunState
from steelyard_client import commands, progress
from tests import factories


@dataclass
class Done:
    code: int
    out: str
    err: str


Said = Callable[..., Done]


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: Any) -> Said:
    """The command in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str, given: str = "", **env: str) -> Done:
        capfd.readouterr()
        with monkeypatch.context() as during:
            during.setattr("sys.stdin", io.StringIO(given))
            for name, value in env.items():
                during.setenv(name, value)
            code = commands.main(words)
        return Done(code, *capfd.readouterr())

    return run


@pytest.fixture
def signed_in(say: Said, live_server: Any, owner: Any) -> Said:
    _, key = create_token(user=owner, name="command")
    done = say("login", live_server.url, given=f"{key}\n")
    assert (done.code, "as owner" in done.out) == (0, True)
    return say


def test_it_is_a_command_of_the_environment(live_server: Any, owner: Any, tmp_path: Path) -> None:
    _, key = create_token(user=owner, name="command")
    env = {**os.environ, "STEELYARD_URL": live_server.url, "STEELYARD_TOKEN": key}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [Path(sys.executable).with_name("steelyard"), *words]
        return subprocess.run(
            command, check=False, cwd=tmp_path, env=env, capture_output=True, text=True
        )

    assert json.loads(run("projects", "--json").stdout)[0]["slug"]
    refused = run("runs", "-p", "none-such")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("steelyard: ")
    assert refused.stderr.count("\n") == 1
    assert run("dance").returncode == 2


def test_votes_of_two_projects_become_one_version(
    signed_in: Said, project: Any, owner: Any
) -> None:
    other = factories.make_project(slug="second")
    other.memberships.create(user=owner, role="admin")
    for home in (project, other):
        factories.make_judgment(factories.make_pair(home))
    at = ("-p", project.slug, "--set", "test_fraction=0", "--also", "second")
    seen = signed_in("freeze", "both", *at, "--preview")
    assert "second: rows 1, votes 1" in seen.out.splitlines()
    assert signed_in("freeze", "both", *at).out.startswith("both v1: 2 rows")
    rows = signed_in("export", "both", "-p", project.slug, "-o", "-").out.splitlines()
    assert {json.loads(row)["project"] for row in rows} == {project.slug, "second"}


def test_from_a_file_of_pairs_to_a_file_of_preferences(
    signed_in: Said, project: Any, tmp_path: Path
) -> None:
    kept = tmp_path / "settings" / "steelyard" / "login.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    at = ("-p", project.slug)
    rows = [
        {
            "prompt": f"What is {n}?",
            "a": "It is.",
            "b": "No.",
            "outcome": "a",
            "annotator": "rater",
        }
        for n in range(5)
    ]
    (tmp_path / "pairs.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert "5 pairs" in signed_in("import", "pairs.jsonl", *at).out
    assert Pair.objects.count() == 5

    seen = signed_in("freeze", "answers", *at, "--set", "test_fraction=0", "--preview", "--json")
    assert json.loads(seen.out)["counts"]["rows"] == 5
    frozen = signed_in("freeze", "answers", *at, "--set", "test_fraction=0", "--note", "first")
    assert frozen.out.startswith("answers v1: 5 rows")
    again = signed_in("freeze", "answers", *at, "--set", "test_fraction=0")
    assert (again.code, again.out) == (1, "")
    assert again.err.startswith("steelyard: This equals")
    assert again.err.count("\n") == 1

    assert "answers@1" in signed_in("versions", *at).out
    saved = signed_in("export", "answers@1", *at, "-o", "rows.jsonl", "--json")
    assert json.loads(saved.out)["file"] == "rows.jsonl"
    piped = signed_in("export", "answers", "-o", "-", STEELYARD_PROJECT=project.slug)
    assert piped.out == (tmp_path / "rows.jsonl").read_text()
    assert len(piped.out.splitlines()) == 5

    signed_in("freeze", "answers", *at, "--set", "test_fraction=0", "-s", "seed=3")
    assert "0 added, 0 removed" in signed_in("diff", "answers@1", "answers", *at).out
    Judgment.objects.filter(pk=Judgment.objects.order_by("pk")[0].pk).update(strength=-3)
    signed_in("freeze", "answers", *at, "--set", "test_fraction=0.6", "-s", "seed=3")
    changed = signed_in("diff", "answers@1", "answers@3", *at, "--kind", "changed").out
    assert "split train → test" in changed
    assert "strength 1.0 → 3.0" in changed
    shaped = signed_in("export", "answers", *at, "-o", "out", "--format", "trl_preference")
    assert (shaped.code, "5 rows of answers v3" in shaped.out) == (0, True)
    (shaped_file,) = (tmp_path / "out").iterdir()
    piped = signed_in("export", "answers", *at, "-o", "-", "--format", "trl_preference")
    assert (piped.code, piped.out) == (0, shaped_file.read_text())
    several = ("--format", "llamafactory_ranking", "--container", "json")
    refused = signed_in("export", "answers", *at, "-o", "-", *several)
    assert (refused.code, refused.out) == (1, "")
    assert "2 files" in refused.err
    assert not (tmp_path / "-").exists()
    assert "trl_preference" in signed_in("formats").out
    (tmp_path / "odd.jsonl").write_text('{"q": "What?", "x": "This.", "y": "This."}\n')
    words = ("--map", "prompt=q", "--map", "a=x", "--map", "b=y", "--errors", "wrong.jsonl")
    refused = signed_in("import", "odd.jsonl", *at, *words)
    assert (refused.code, refused.err.count("\n")) == (1, 1)
    assert "stands in wrong.jsonl" in refused.err
    assert json.loads((tmp_path / "wrong.jsonl").read_text())["row"] == 1
    assert "--errors FILE" in signed_in("import", "odd.jsonl", *at, *words[:-2]).err
    (tmp_path / "crowd.csv").write_text("input,output_1,output_2,choice\nWhy?,So.,No.,left\n")
    assert "prompt=input a=output_1" in signed_in("import", "crowd.csv", *at).err
    brought = signed_in("import", "crowd.csv", *at, "--format", "mapped").out
    assert "read as mapped prompt=input a=output_1" in brought
    assert project.slug in signed_in("projects").out
    assert json.loads(signed_in("leaderboard", *at, "--json").out)["votes"] == 0
    assert json.loads(signed_in("leaderboard", *at, "--by", "arena", "--json").out)["by"] == "arena"
    assert "Forgotten" in signed_in("logout").out
    assert signed_in("projects").code == 1


def test_runs_are_listed_waited_for_and_stopped(signed_in: Said, project: Any) -> None:
    at = ("-p", project.slug)
    run = Run.objects.create(project=project, kind="train", title="A small one")
    assert "A small one" in signed_in("runs", *at).out
    asked = signed_in("runs", str(run.pk), *at, "--cancel")
    assert (asked.code, "cancel" in asked.out) == (0, True)
    Run.objects.filter(pk=run.pk).update(state=RunState.CANCELLED)
    stopped = signed_in("runs", str(run.pk), *at, "--wait")
    assert (stopped.code, stopped.out, "was cancelled" in stopped.err) == (4, "", True)
    Run.objects.filter(pk=run.pk).update(state=RunState.FAILED, error="The disk is full.")
    failed = signed_in("runs", str(run.pk), *at, "--wait")
    assert (failed.code, "The disk is full." in failed.err) == (4, True)
    Run.objects.filter(pk=run.pk).update(state=RunState.SUCCEEDED)
    assert signed_in("runs", str(run.pk), *at, "--wait", "--json").code == 0
    factories.make_model(project, "base")
    refused = signed_in(
        "train", "answers", *at, "--recipe", "dpo", "--base", "base", "--name", "new"
    )
    assert (refused.code, "has no dataset 'answers'" in refused.err) == (1, True)


def test_what_goes_wrong_is_one_line_and_a_code(say: Said, live_server: Any) -> None:
    nothing = say("projects")
    assert (nothing.code, nothing.err.count("\n")) == (1, 1)
    assert "steelyard login URL" in nothing.err
    wrong = say("login", live_server.url, given="sy_wrong\n")
    assert (wrong.code, "unknown or was revoked" in wrong.err) == (1, True)
    there = {"STEELYARD_URL": live_server.url, "STEELYARD_TOKEN": "sy_wrong"}
    assert "Say which project" in say("runs", **there).err
    broken = say("freeze", "x", "-p", "y", "--recipe", "nowhere.json", **there)
    assert (broken.code, "nowhere.json" in broken.err) == (1, True)


def test_a_login_file_that_others_may_read_is_not_used(say: Said, tmp_path: Path) -> None:
    kept = tmp_path / "settings" / "steelyard" / "login.json"
    kept.parent.mkdir(parents=True)
    kept.write_text('{"url": "http://127.0.0.1:9", "token": "sy_x"}')
    kept.chmod(0o644)
    done = say("projects")
    assert (done.code, "chmod 600" in done.err) == (1, True)


def test_every_command_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        commands.main(["--help"])
    told = capsys.readouterr().out
    verbs = "login logout projects import formats freeze versions diff export"
    more = (
        "train evaluate runs leaderboard withdraw withdrawals flags recipes preflight sweep sweeps"
    )
    for verb in [*verbs.split(), *more.split(), "model"]:
        assert verb in told
        with pytest.raises(SystemExit) as ended:
            commands.main([verb, "--help"])
        assert ended.value.code == 0
    assert "exit codes" in told


def test_progress_is_a_line_on_a_terminal_and_nothing_elsewhere(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with progress.line("rows", "B") as told:
        told(1, 2)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with progress.line("rows", "B") as told:
        told(1, 2)
        told(3 * 2**20, 6 * 2**20)
    assert "50%  3.0 MiB of 6.0 MiB\n" in capsys.readouterr().err
