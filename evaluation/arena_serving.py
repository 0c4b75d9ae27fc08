"""Between an arena's questions and its engine: requests are laid into the run's folder, answers are
read out of it. Pages ask often, so nothing here waits."""

from __future__ import annotations

import json
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from evaluation.engine.arena import read_answer
from evaluation.models_arena import SIDES, Arena, Turn
from evaluation.titles import TITLES
from steelyard.lib.hashing import stable_int
from steelyard.lib.rundir import write_atomically
from steelyard.lib.said import Said
from steelyard.runs.models import Run, RunState
from steelyard.runs.services import start_run

MOST_RUNS = 3
"""Engines that are asked the same question, where one after another ends without an answer."""


def waiting() -> Q:
    """Turns of which a side has no answer yet."""
    return Q(left_state=Turn.State.WAITING) | Q(right_state=Turn.State.WAITING)


def send(turn: Turn) -> None:
    """Ask for the answers that are missing, of the arena's engine or of a new one. The caller is in
    a transaction."""
    arena = Arena.objects.select_for_update(of=("self",)).get(pk=turn.battle.arena_id)
    arena.project = turn.battle.arena.project
    run = _engine(arena)
    _lay(turn, run)
    if _is_closing(run):
        # it shut down in the same moment, and may not have seen it
        run = _start(arena)
        _lay(turn, run)
    turn.run = run
    turn.save(update_fields=["run", "runs"])


def wake(arena: Arena) -> None:
    """Start the arena's engine where none is at work, so that it loads while a visitor writes.

    One whose engine failed waits for a question: pages alone would start it again and again.
    """
    if not arena.is_open or _answers(arena.run):
        return
    with transaction.atomic():
        locked = Arena.objects.select_for_update(of=("self",)).get(pk=arena.pk)
        run = locked.run
        if not locked.is_open or (run is not None and run.state == RunState.FAILED):
            return
        locked.project = arena.project
        arena.run = _engine(locked)


def collect(turn: Turn) -> Turn:
    """Bring the row up to date with the engine's folder; asks again where its engine has ended.

    Returns:
        the turn as it now is.
    """
    if turn.state != Turn.State.WAITING or turn.run is None:
        return turn
    # first the state, then the folder: what was written before it ended is seen
    run = Run.objects.get(pk=turn.run.pk)
    for side in SIDES:
        if turn.state_of(side) == Turn.State.WAITING:
            _take(turn, run, side)
    if turn.state_of("left") != Turn.State.WAITING and turn.state_of("right") != Turn.State.WAITING:
        return turn
    if not run.is_active:
        _ask_again(turn, run)
    elif not all(_is_laid(turn, run, side) for side in SIDES):
        _lay(turn, run)
    return turn


def said_so_far(turn: Turn, side: str) -> str:
    """The text of one side, as far as it is written."""
    if turn.state_of(side) != Turn.State.WAITING or turn.run is None:
        return turn.text_of(side)
    text = ""
    for line in _lines(turn, turn.run, side):
        text = "" if "begin" in line else text + str(line.get("piece", ""))
    return text


def retry(turn: Turn) -> None:
    """Ask once more where a side has failed. The caller is in a transaction."""
    for side in SIDES:
        if turn.state_of(side) == Turn.State.FAILED:
            setattr(turn, f"{side}_state", Turn.State.WAITING)
    turn.error, turn.runs = "", turn.runs + 1
    turn.save()
    send(turn)


def fail_waiting(run: Run) -> None:
    """Its engine failed or was cancelled: nobody is to wait for it."""
    if run.state == RunState.CANCELLED:
        why = _("The engine of the arena was cancelled.")
    else:
        why = run.error or _("The engine of the arena failed.")
    for side in SIDES:
        rows = Turn.objects.filter(**{"run": run, f"{side}_state": Turn.State.WAITING})
        rows.update(**{f"{side}_state": Turn.State.FAILED, "error": why})


def _ask_again(turn: Turn, run: Run) -> None:
    """An engine that shut down for want of questions is no fault of the question."""
    if run.state == RunState.SUCCEEDED and turn.runs < MOST_RUNS:
        with transaction.atomic():
            locked = Turn.objects.select_for_update(of=("self",)).get(pk=turn.pk)
            if locked.run_id == run.pk:
                turn.runs += 1
                send(turn)
        turn.refresh_from_db()
        return
    fail_waiting(run)
    turn.refresh_from_db()


def _take(turn: Turn, run: Run, side: str) -> None:
    lines = _lines(turn, run, side)
    end = next((line for line in reversed(lines) if "end" in line), None)
    if end is None:
        return
    changed: dict[str, Any] = {}
    if end["end"] == "done":
        turn.parameters = {**turn.parameters, side: end.get("parameters", {})}
        changed = {side: end["text"], f"{side}_state": Turn.State.DONE}
        changed["parameters"] = turn.parameters
    else:
        contestant = turn.battle.contestant(side)
        why = f"{contestant}: {end.get('message', '')}"
        changed = {f"{side}_state": Turn.State.FAILED, "error": f"{turn.error}\n{why}".strip()}
    open_row = Turn.objects.filter(**{"pk": turn.pk, f"{side}_state": Turn.State.WAITING})
    if open_row.update(**changed):
        for name, value in changed.items():
            setattr(turn, name, value)
    else:
        turn.refresh_from_db()


def _lines(turn: Turn, run: Run, side: str) -> list[dict[str, Any]]:
    return read_answer(run.dir.path / "answers" / f"{turn.request_name(side)}.jsonl")


def _engine(arena: Arena) -> Run:
    """The run that answers; another is started where there is none. The caller holds the arena's
    row lock."""
    if arena.run is not None and _answers(arena.run):
        return arena.run
    return _start(arena)


def _answers(run: Run | None) -> bool:
    ending = {RunState.CANCELLING, RunState.PAUSING, RunState.PAUSED}
    return run is not None and run.is_active and run.state not in ending and not _is_closing(run)


def _start(arena: Arena) -> Run:
    arena.run = start_run(
        project=arena.project,
        kind="arena",
        title=Said(TITLES, "title_arena", name=arena.name),
        spec={"arena": arena.pk},
        by=arena.created_by,
    )
    arena.save(update_fields=["run"])
    return arena.run


def _is_closing(run: Run) -> bool:
    return any((run.dir.path / name).exists() for name in ("closing", "result.json"))


def _is_laid(turn: Turn, run: Run, side: str) -> bool:
    path = run.dir.path / "requests" / f"{turn.request_name(side)}.json"
    return turn.state_of(side) != Turn.State.WAITING or path.exists()


def _lay(turn: Turn, run: Run) -> None:
    """Write the requests; the folder may be there before the engine is."""
    place = run.dir.path / "requests"
    place.mkdir(parents=True, exist_ok=True)
    for side in SIDES:
        if turn.state_of(side) != Turn.State.WAITING:
            continue
        name = turn.request_name(side)
        request = {
            "id": name,
            "model": turn.battle.contestant(side).name,
            "messages": turn.battle.chat(side, upto=turn.number),
            "seed": seed_of(turn, side),
        }
        write_atomically(place / f"{name}.json", json.dumps(request).encode())


def seed_of(turn: Turn, side: str) -> int:
    """31 bits, which every endpoint takes; each side its own."""
    return stable_int(turn.seed, side) & 0x7FFF_FFFF
