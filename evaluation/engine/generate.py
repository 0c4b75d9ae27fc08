"""Outputs of several models on the same prompts.

Reads ``run.json`` (models, prompts, sampling, samples, seed, same_seeds, and in ``there`` by model
the prompts to which an output need not be made), writes ``outputs.jsonl``, a line a model, prompt
and sample, as they come; pictures and clips lie under ``media/``. Started again it makes what has
no line yet. One model is in memory at a time.

What a user says several times in a row are turns: each is answered in sequence, with the answers
before it, and the output is all of them.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluation.engine.turns import joined, spoken, turns_of, upto
from evaluation.engine.words import WORDS
from steelyard.inference.kinds import PAINTERS, VIDEO
from steelyard.inference.loading import Writer, check_writer, load_writer, sampling_of
from steelyard.lib.engine import Stop
from steelyard.lib.errors import UserError
from steelyard.lib.hashing import sha256_hex, stable_int
from steelyard.lib.journal import Journal
from steelyard.lib.rundir import RunDir, write_atomically
from steelyard.lib.said import Said

WRITERS = ("causal_lm", "vision_language", "endpoint", "pipeline")
PICTURES_AT_A_TIME = 8


@dataclass(frozen=True)
class Task:
    """One output to be made."""

    key: str
    messages: Sequence[Mapping[str, Any]]
    sample: int
    seed: int
    media: tuple[str, ...] = ()
    """Names of the files in ``media/`` that the prompt is about."""


def work(rundir: RunDir, stop: Stop) -> None:
    spec = rundir.spec()
    with Journal(rundir.path / "outputs.jsonl") as journal:
        made = {(line["model"], line["prompt"], line.get("sample", 0)) for line in journal.lines()}
        made |= {(model, key, 0) for model, own in spec.get("there", {}).items() for key in own}
        plan = [(model, _tasks(spec, model, made)) for model in _in_good_order(spec["models"])]
        _check(rundir, plan, spec["sampling"])
        total = len(spec["models"]) * len(spec["prompts"]) * spec["samples"]
        for model, tasks in plan:
            if stop:
                return
            for line in _make(rundir, model, tasks, spec["sampling"], stop):
                journal.add(line)
                made.add((line["model"], line["prompt"], line["sample"]))
                rundir.progress(len(made), total, "outputs", model["name"])
    if not stop:
        rundir.finish(status="succeeded", counts={"outputs": len(made)})


def _in_good_order(models: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Endpoints first: a dead one is to be noticed before the others have worked for hours."""
    return sorted(models, key=lambda model: model["family"] != "endpoint")


def _tasks(
    spec: Mapping[str, Any], model: Mapping[str, Any], made: set[tuple[str, str, int]]
) -> list[Task]:
    """What this model has still to make, prompts of like length together.

    With ``same_seeds`` (where nothing is said, too) all models get the same ones: for texts, whose
    draws go different ways after a few words. Pictures and clips of one seed move together with
    nearly any training, so each model has its own where it is false.
    """
    drawn_for = () if spec.get("same_seeds", True) else (model["name"],)
    tasks = [
        Task(
            prompt["key"],
            prompt["messages"],
            sample,
            seed_of(spec["seed"], prompt["key"], sample, *drawn_for),
            tuple(prompt.get("media", ())),
        )
        for prompt in spec["prompts"]
        for sample in range(spec["samples"])
        if (model["name"], prompt["key"], sample) not in made
    ]
    return sorted(tasks, key=lambda task: sum(len(str(m["content"])) for m in task.messages))


def seed_of(seed: int, *about: str | int) -> int:
    """31 bits, which every library and endpoint takes."""
    return stable_int(seed, *about) & 0x7FFF_FFFF


def _check(
    rundir: RunDir, plan: list[tuple[dict[str, Any], list[Task]]], sampling: dict[str, Any]
) -> None:
    """Whatever can be known beforehand is said before the first model is loaded."""
    for model, tasks in plan:
        if model["family"] not in WRITERS + PAINTERS + VIDEO:
            raise UserError(
                Said(WORDS, "cannot_generate", model=model["name"], family=f"{model['family']!r}"),
                code="cannot_generate",
            )
        if tasks and model["family"] in WRITERS:
            rundir.progress(0, 0, "outputs", Said(WORDS, "looking_at", name=model["name"]))
            own = sampling_of(model, sampling)
            asked = [spoken(task.messages) for task in tasks]
            check_writer(model, asked, sampling=own, media=_files(rundir, tasks))


def _make(
    rundir: RunDir,
    model: dict[str, Any],
    tasks: list[Task],
    sampling: dict[str, Any],
    stop: Stop,
) -> Iterator[dict[str, Any]]:
    if not tasks:
        return
    rundir.event(Said(WORDS, "to_make", model=model["name"], outputs=len(tasks)))
    make = _write
    if model["family"] not in WRITERS:
        make = _film if model["family"] in VIDEO else _paint
    yield from make(rundir, model, tasks, sampling, stop)


def _write(
    rundir: RunDir,
    model: dict[str, Any],
    tasks: list[Task],
    sampling: dict[str, Any],
    stop: Stop,
) -> Iterator[dict[str, Any]]:
    from steelyard.inference.sampling import Interrupted

    own = sampling_of(model, sampling)
    writer = load_writer(model, stop=lambda: bool(stop))
    try:
        for some in _chunks(tasks, writer.batch_size):
            if stop:
                return
            for task, said in zip(some, _answers(writer, rundir, some, own), strict=True):
                yield _line(model, task, own) | said
    except Interrupted:
        return
    except UserError:
        if not stop:
            raise
    finally:
        writer.close()


def _answers(
    writer: Writer, rundir: RunDir, tasks: Sequence[Task], sampling: dict[str, Any]
) -> list[dict[str, Any]]:
    """One a task; turns are asked one after the other, of all tasks that have as many. A pipeline's
    have in ``record`` who said what, by turns; an endpoint's in ``usage`` the tokens of them all.
    """
    said: list[list[str]] = [[] for _ in tasks]
    records: list[list[Any]] = [[] for _ in tasks]
    used: list[list[dict[str, Any]]] = [[] for _ in tasks]
    files = _files(rundir, tasks)
    turns = [turns_of(task.messages) for task in tasks]
    for turn in range(max(turns)):
        asked = [at for at, number in enumerate(turns) if number > turn]
        texts = writer.write(
            [upto(tasks[at].messages, said[at]) for at in asked],
            sampling=sampling,
            seeds=[seed_of(tasks[at].seed, turn) if turn else tasks[at].seed for at in asked],
            media=[files[at] for at in asked],
        )
        told, took = getattr(writer, "records", ()), getattr(writer, "usage", ())
        for place, (at, text) in enumerate(zip(asked, texts, strict=True)):
            said[at].append(text)
            records[at] += told[place : place + 1]
            used[at] += took[place : place + 1]
    return [
        {"text": joined(texts)}
        | ({"record": record} if record else {})
        | ({"usage": _summed(usage)} if usage else {})
        for texts, record, usage in zip(said, records, used, strict=True)
    ]


def _summed(turns: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What all turns took; counted where each was."""
    return {
        "tokens_in": sum(one["tokens_in"] for one in turns),
        "tokens_out": sum(one["tokens_out"] for one in turns),
        "counted": all(one["counted"] for one in turns),
    }


def _files(rundir: RunDir, tasks: Sequence[Task]) -> list[list[Path]]:
    return [[rundir.media / name for name in task.media] for task in tasks]


def _paint(
    rundir: RunDir,
    model: dict[str, Any],
    tasks: list[Task],
    sampling: dict[str, Any],
    stop: Stop,
) -> Iterator[dict[str, Any]]:
    import torch

    from steelyard.inference.images import Sampling, load_painter

    painter: Any = load_painter(model, "cuda" if torch.cuda.is_available() else "cpu")
    own = Sampling.of(painter.DEFAULT, model.get("sampling", {}), sampling).told()
    for some in _chunks(tasks, PICTURES_AT_A_TIME):
        if stop:
            return
        pictures = painter.paint(
            [_last_words(task) for task in some], seeds=[task.seed for task in some], sampling=own
        )
        for task, picture in zip(some, pictures, strict=True):
            buffer = io.BytesIO()
            picture.save(buffer, "PNG")
            yield _line(model, task, own) | {"media": _keep(rundir, buffer.getvalue(), "png")}


def _film(
    rundir: RunDir,
    model: dict[str, Any],
    tasks: list[Task],
    sampling: dict[str, Any],
    stop: Stop,
) -> Iterator[dict[str, Any]]:
    import torch

    from steelyard.inference.sampling import Interrupted
    from steelyard.inference.videos import load_filmer

    device = "cuda" if torch.cuda.is_available() else "cpu"
    filmer = load_filmer(model, device, stop=lambda: bool(stop))
    own = filmer.settings(sampling)._asdict()
    for task in tasks:
        try:
            clip = filmer.film([_last_words(task)], seeds=[task.seed], sampling=own)[0]
        except Interrupted:
            return
        yield _line(model, task, own) | {"media": _keep(rundir, clip, "mp4")}


def _keep(rundir: RunDir, data: bytes, ending: str) -> str:
    """Write a picture or clip by its hash; its path in the run's folder."""
    name = f"media/{sha256_hex(data)}.{ending}"
    (rundir.path / "media").mkdir(exist_ok=True)
    write_atomically(rundir.path / name, data)
    return name


def _line(model: dict[str, Any], task: Task, sampling: dict[str, Any]) -> dict[str, Any]:
    return {
        "prompt": task.key,
        "model": model["name"],
        "sample": task.sample,
        "seed": task.seed,
        "parameters": sampling,
    }


def _last_words(task: Task) -> str:
    """What a painter is told: the last message."""
    return str(task.messages[-1]["content"])


def _chunks(tasks: list[Task], size: int) -> Iterator[list[Task]]:
    for start in range(0, len(tasks), size):
        yield tasks[start : start + size]
