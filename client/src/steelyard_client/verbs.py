"""What each command does: asks the client, and prints."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import sys
import tempfile
from argparse import Namespace
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from steelyard_client import signin
from steelyard_client.client import Client
from steelyard_client.errors import ApiError, RunFailed, SteelyardError
from steelyard_client.output import as_json, complain, say, table, tell
from steelyard_client.project import Project
from steelyard_client.records import Exported, Imported, RunInfo, VersionInfo
from steelyard_client.versions import Version
from steelyard_client.words import counted, project_of, started, texts, values, version_named

_RUN = ("id", "kind", "state", "done", "title")
_VERSION = ("version", "id", "rows", "digest", "created", "note")


def login(said: Namespace) -> None:
    token = os.environ.get("STEELYARD_TOKEN") or _asked("Token: ")
    with Client(said.url, token) as client:
        me = client.me()
        kept = signin.keep(client.url, token)
    tell(said, me.raw, f"Signed in to {client.url} as {me.username}; kept in {kept}.")


def logout(said: Namespace) -> None:
    gone = signin.forget()
    tell(said, {"forgotten": gone}, "Forgotten." if gone else "Nothing was kept.")


def projects(said: Namespace) -> None:
    rows = [project.info.raw for project in Client().projects()]
    table(said, rows, ("slug", "modality", "name"))


def bring(said: Namespace) -> None:
    project = project_of(said)
    for name in said.files:
        done = _bring_one(said, project, name)
        columns = "".join(f" {part}={of}" for part, of in done.mapping.items() if part != "words")
        as_what = f" as {done.format}{columns}" if done.format else ""
        text = (
            f"{name}: {done.rows or done.records} read{as_what}; new: "
            f"{counted(done.prompts, 'prompt')}, {counted(done.pairs, 'pair')}, "
            f"{counted(done.judgments, 'judgment')}."
        )
        left = "".join(f" Left out: {n} {why}." for why, n in done.left.items())
        wrong = f" Wrong: {counted(done.wrong, 'row')}." if done.wrong else ""
        wrong += _where_errors_are(said) if done.wrong else ""
        tell(said, {"file": name, **done.raw}, text + left + wrong)
        if said.errors and done.run and done.wrong:
            project.save_import_errors(done.run.id, said.errors)


def _bring_one(said: Namespace, project: Project, name: str) -> Imported:
    try:
        return project.import_file(
            name,
            said.format,
            kind=said.kind,
            mapping=texts("--map", said.map),
            mode="good" if said.good else "all",
            annotator=said.annotator,
            progress=not said.quiet,
        )
    except (ApiError, RunFailed) as error:
        run = error.run if isinstance(error, RunFailed) else error.raw.get("run", {}).get("id")
        if not run:
            raise
        if said.errors:
            project.save_import_errors(run, said.errors)
        if isinstance(error, RunFailed):
            message = f"{error}{_where_errors_are(said)}"
            raise RunFailed(message, run=error.run, code=error.code) from None
        error.args = (f"{error}{_where_errors_are(said)}",)
        raise


def _where_errors_are(said: Namespace) -> str:
    if said.errors:
        return f" All that is wrong stands in {said.errors}."
    return " --errors FILE saves all that is wrong, row by row."


def formats(said: Namespace) -> None:
    rows = [
        {**one.raw, "ways": " and ".join(["in"] * one.reads + ["out"] * one.writes)}
        for one in Client().formats()
    ]
    table(said, rows, ("name", "ways", "title"))


def freeze(said: Namespace) -> None:
    project, recipe = project_of(said), _recipe(said)
    if said.preview:
        seen = project.preview(recipe, also=said.also)
        counts = ", ".join(f"{name} {n}" for name, n in seen.counts.items())
        tell(said, seen.raw, "\n".join([counts, *map(_given, seen.projects)]))
        _warn(seen.raw)
        if seen.problem:
            raise SteelyardError(str(seen.problem["message"]))
        return
    version = project.freeze(
        said.dataset, recipe, said.note, also=said.also, progress=not said.quiet
    )
    tell(
        said,
        version.info.raw,
        f"{version}: {version.info.counts.get('rows', 0)} rows, digest {version.digest}.",
    )
    _warn(version.info.raw)


def _given(one: dict[str, Any]) -> str:
    rows = one["train"] + one["test"]
    return f"{one['project']}: rows {rows}, votes {one['votes']}"


def _warn(raw: dict[str, Any]) -> None:
    if warning := raw.get("warning"):
        complain(warning)


def versions(said: Namespace) -> None:
    project = project_of(said)
    found = project.versions(dataset=said.dataset, tag=said.tag)
    infos = [version.info for version in found]
    if said.json:
        as_json([info.raw for info in infos])
    else:
        table(said, [_version_row(info) for info in infos], _VERSION)


def export(said: Namespace) -> None:
    version = version_named(project_of(said), said.version)
    if said.format:
        _export_as(said, version)
        return
    if said.output == "-":
        with tempfile.TemporaryDirectory(prefix="steelyard-") as folder:
            path = version.download(Path(folder) / "rows", said.form or "jsonl")
            with path.open("rb") as stream:
                shutil.copyfileobj(stream, sys.stdout.buffer)
        return
    path = version.download(said.output, said.form, progress=not said.quiet)
    if said.media:
        version.media(said.media, progress=not said.quiet)
    size = path.stat().st_size
    tell(said, {"file": str(path), "bytes": size}, f"{path}: {version}, {size:,} bytes.")


def _export_as(said: Namespace, version: Version) -> None:
    if said.output != "-":
        _tell_exported(said, version, _exported(said, version, said.output))
        return
    with tempfile.TemporaryDirectory(prefix="steelyard-") as folder:
        done = _exported(said, version, folder)
        if len(done.paths) != 1:
            names = ", ".join(path.name for path in done.paths)
            raise SteelyardError(
                f"This is {len(done.paths)} files ({names}), which standard output cannot hold; "
                "name a folder with --output, or take --container folder."
            )
        with done.paths[0].open("rb") as stream:
            shutil.copyfileobj(stream, sys.stdout.buffer)
    for text in _not_written(done):
        complain(text)


def _exported(said: Namespace, version: Version, folder: str) -> Exported:
    return version.export(
        said.format,
        folder,
        container=said.container,
        split=said.split,
        options=texts("--set", said.set),
        progress=not said.quiet,
    )


def _not_written(done: Exported) -> list[str]:
    return [
        *(f"Left out: {n} {why}." for why, n in done.left_out.items()),
        *(f"{n} without {what}." for what, n in done.written_without.items()),
    ]


def _tell_exported(said: Namespace, version: Version, done: Exported) -> None:
    without = "".join(f" {text}" for text in _not_written(done))
    names = ", ".join(map(str, done.paths))
    tell(
        said,
        {**done.raw, "paths": list(map(str, done.paths))},
        f"{names}: {done.rows} rows of {version}.{without}",
    )


def diff(said: Namespace) -> None:
    project = project_of(said)
    old, new = (version_named(project, name) for name in (said.old, said.new))
    found = new.diff(old)
    rows = list(islice(found.rows(said.kind), said.limit)) if said.kind else []
    if said.json:
        as_json({"counts": found.counts, "rows": rows} if said.kind else found.counts)
        return
    say(", ".join(f"{n} {kind}" for kind, n in found.counts.items()))
    for row in rows:
        there = row["new"] or row["old"]
        say(f"{there['pair'][:12]}  {_verdict(row['old'])} → {_verdict(row['new'])}{_rest(row)}")


def _rest(row: dict[str, Any]) -> str:
    """What is another besides the verdict, where a row is in both versions."""
    old, new = row["old"], row["new"]
    if old is None or new is None:
        return ""
    told = [
        f"{name} {old[name]} → {new[name]}"
        for name in ("split", "strength", "weight")
        if old[name] != new[name]
    ]
    votes = [{vote["judgment"] for vote in row["votes"]} for row in (old, new)]
    if votes[0] != votes[1]:
        told.append(f"votes +{len(votes[1] - votes[0])} -{len(votes[0] - votes[1])}")
    return "".join(f", {one}" for one in told)


def _verdict(row: dict[str, Any] | None) -> str:
    if row is None:
        return "–"
    side = row["chosen_side"] if row["outcome"] == "win" else row["outcome"].replace("_", " ")
    return f"{side} ({row['agreement']:.0%} of {len(row['votes'])})"


def evaluate(said: Namespace) -> None:
    evaluation = project_of(said).evaluate(
        said.name,
        baseline=said.baseline,
        candidates=said.candidate,
        people=said.people or None,
        judges=said.judge,
        category=said.category,
        limit=said.limit,
        **_source(said.source),
        **({"preset": said.preset} if said.preset else {}),
    )
    if not said.wait:
        started(said, evaluation, evaluation.info.generation)
        return
    info = evaluation.wait(progress=not said.quiet)
    if said.json:
        as_json(info.raw)
    else:
        table(
            said,
            [asdict(rate) for rate in info.win_rates],
            ("candidate", "source", "judge", "win_rate", "lo", "hi", "votes"),
        )


def _source(told: str | None) -> dict[str, Any]:
    """``set:3`` as the API has it."""
    if not told:
        return {}
    source, _, number = told.partition(":")
    if not number:
        return {"source": source}
    if source not in ("version", "set") or not number.isdecimal():
        raise SteelyardError(
            f"--source is {told}; it must be held_out, version:ID or set:ID, such as set:3."
        )
    return {"source": source, source: int(number)}


def runs(said: Namespace) -> None:
    project = project_of(said)
    if said.run is None:
        if said.steer or said.wait:
            raise SteelyardError("Say which run: steelyard runs RUN --wait")
        found = project.runs(kind=said.kind, state=said.state)
        rows = [run.info for run in islice(found, said.limit)]
        table(said, [_run_row(said, info) for info in rows], _RUN)
        return
    run = project.run(said.run)
    if said.steer:
        getattr(run, said.steer)()
    if said.wait:
        run.wait(progress=not said.quiet)
    done = run.info.error or run.info.status_text or run.info.title
    tell(said, run.info.raw, f"Run {run.id}, {run.info.kind}: {run.state}. {done}")


def leaderboard(said: Namespace) -> None:
    names = ("by", "judge", "category", "until", "without", "style", "equal")
    board = project_of(said).leaderboard(**{name: getattr(said, name) for name in names})
    if said.json:
        as_json(board.raw)
        return
    rows = [
        {
            **row.raw,
            "rank": f"{row.rank_lo}–{row.rank_hi}" if row.rank_lo < row.rank_hi else row.rank_lo,
        }
        for row in board.standings
    ]
    table(said, rows, ("rank", "model", "rating", "lo", "hi", "win_rate", "votes"))


def _recipe(said: Namespace) -> dict[str, Any]:
    recipe: Any = {}
    if said.recipe:
        try:
            text = sys.stdin.read() if said.recipe == "-" else Path(said.recipe).read_text()
            recipe = json.loads(text)
        except (OSError, ValueError) as error:
            raise SteelyardError(f"The recipe {said.recipe} cannot be read: {error}.") from error
        if not isinstance(recipe, dict):
            raise SteelyardError(f"The recipe {said.recipe} must be a JSON object.")
    return {**recipe, **values(said.set)}


def _asked(what: str) -> str:
    """From the terminal unseen, or the first line of what is piped in."""
    return (getpass.getpass(what) if sys.stdin.isatty() else sys.stdin.readline()).strip()


def _version_row(info: VersionInfo) -> dict[str, Any]:
    return {
        "version": f"{info.dataset}@{info.number}",
        "id": info.id,
        "rows": info.counts.get("rows", 0),
        "digest": info.digest[:12],
        "created": f"{info.created_at:%Y-%m-%d %H:%M}",
        "note": info.note,
    }


def _run_row(said: Namespace, info: RunInfo) -> dict[str, Any]:
    if said.json:
        return info.raw
    done = f"{info.done}/{info.total}" if info.total else str(info.done)
    return {**info.raw, "done": done}
