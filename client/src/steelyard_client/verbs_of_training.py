"""What the commands about training do."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from typing import Any

from steelyard_client.client import Client
from steelyard_client.errors import SteelyardError
from steelyard_client.output import as_json, say, table, tell
from steelyard_client.training import Sweep
from steelyard_client.words import project_of, started, texts, value_of, values, version_named

_SWEEP = ("id", "state", "trials_asked", "trials_wanted", "recipe", "name")


def recipes(said: Namespace) -> None:
    rows = Client().recipes()
    if said.json:
        as_json(rows)
        return
    shown = [
        {**row, "presets": ", ".join(one["key"] for one in row["presets"]) or None} for row in rows
    ]
    table(said, shown, ("name", "modality", "presets", "summary"))


def preflight(said: Namespace) -> None:
    project = project_of(said)
    report = project.preflight(
        version_named(project, said.version),
        recipe=said.recipe,
        base=said.base,
        config=_settings(said),
        timeout=None,
        progress=not said.quiet,
    )
    if said.json:
        as_json(report)
    else:
        for finding in report["findings"]:
            say(f"{finding['level']:<5} {finding['title']}: {finding['text']}")
            for remedy in finding["remedies"]:
                words = " ".join(f"{name}={value}" for name, value in remedy["set"].items())
                say(f"      → {remedy['text']}{f' (--set {words})' if words else ''}")
    if report["level"] == "stop":
        raise SteelyardError("A run with these settings would not get through.")


def train(said: Namespace) -> None:
    project = project_of(said)
    job = project.train(
        version_named(project, said.version),
        recipe=said.recipe,
        base=said.base,
        name=said.name,
        config=_settings(said),
    )
    if said.wait:
        job.wait(progress=not said.quiet)
        tell(said, job.info.raw, f"{job.info.result} is there, by run {job.info.run}.")
    else:
        started(said, job, job.info.run)


def sweep(said: Namespace) -> None:
    project = project_of(said)
    made = project.sweep(
        said.name,
        version_named(project, said.version),
        recipe=said.recipe,
        base=said.base,
        model_name=said.model_name,
        space=_space(said.over),
        objectives=[_aim(word) for word in said.aim or ["test_reward_accuracy"]],
        trials=said.trials,
        hours=said.hours,
        settings=_settings(said),
    )
    if said.wait:
        _finished(said, made)
        return
    tell(
        said,
        made.info.raw,
        f"Sweep {made.id} has begun; steelyard sweeps {made.id} --wait waits for it.",
    )


def sweeps(said: Namespace) -> None:
    project = project_of(said)
    if said.sweep is None:
        if said.steer or said.wait:
            raise SteelyardError("Say which sweep: steelyard sweeps SWEEP --wait")
        table(said, [one.info.raw for one in project.sweeps()], _SWEEP)
        return
    found = project.get_sweep(said.sweep)
    if said.steer:
        getattr(found, said.steer)()
    if said.wait:
        _finished(said, found)
        return
    _shown(said, found)


def model(said: Namespace) -> None:
    project = project_of(said)
    folder = project.download_model(said.model, said.output, progress=not said.quiet)
    names = [file["name"] for file in project.model_files(said.model)]
    tell(said, {"folder": str(folder), "files": names}, f"{folder}: {', '.join(names)}.")


def _finished(said: Namespace, sweep: Sweep) -> None:
    sweep.wait(progress=not said.quiet)
    _shown(said, sweep)


def _shown(said: Namespace, sweep: Sweep) -> None:
    info = sweep.info
    if said.json:
        as_json(info.raw)
        return
    paused = ", paused" if info.paused else ""
    say(
        f"Sweep {info.id}, {info.name}: {info.state}{paused}, {info.trials_asked} of "
        f"{info.trials_wanted} trials. {info.why_ended}".strip()
    )
    rows = [
        {"trial": final["trial"], "model": final["model"], **figure}
        for final in info.final
        for figure in final["figures"]
    ]
    if rows:
        table(said, rows, ("trial", "model", "measure", "mean", "low", "high"))


def _settings(said: Namespace) -> dict[str, Any]:
    begun = Client().preset(said.recipe, said.preset) if said.preset else {}
    return {**begun, **values(said.set)}


def _space(words: Sequence[str]) -> dict[str, dict[str, Any]]:
    return {name: _range(text) for name, text in texts("--over", words).items()}


def _range(text: str) -> dict[str, Any]:
    """``LOW..HIGH``, the same with ``/log``, or choices with commas."""
    low, dots, high = text.removesuffix("/log").partition("..")
    if not dots:
        return {"choices": [value_of(word) for word in text.split(",")]}
    return {"low": value_of(low), "high": value_of(high), "log": text.endswith("/log")}


def _aim(word: str) -> dict[str, str]:
    measure, _, direction = word.partition(":")
    return {"measure": measure, **({"direction": direction} if direction else {})}
