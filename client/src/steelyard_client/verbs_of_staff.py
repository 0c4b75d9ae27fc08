"""What the commands about votes and flags do."""

from __future__ import annotations

from argparse import Namespace
from itertools import islice

from steelyard_client.errors import SteelyardError
from steelyard_client.output import as_json, say, table, tell
from steelyard_client.words import counted, project_of

_FLAG = ("id", "pair", "set", "state", "annotator", "reason", "note")


def withdraw(said: Namespace) -> None:
    project = project_of(said)
    made = project.withdraw(
        annotator=said.annotator,
        run=said.run,
        reason=said.reason,
        since=said.since,
        until=said.until,
    )
    found = project.reach(made)
    tell(
        said,
        found.raw,
        f"Withdrawal {made.id}: {counted(found.votes, 'vote')}, in "
        f"{counted(len(found.versions), 'version')}; "
        f"steelyard withdrawals {made.id} names them.",
    )


def withdrawals(said: Namespace) -> None:
    project = project_of(said)
    if said.withdrawal is None:
        if said.lift:
            raise SteelyardError("Say which withdrawal: steelyard withdrawals ID --lift")
        rows = [one.raw for one in project.withdrawals()]
        table(said, rows, ("id", "annotator", "run", "reason", "created_at", "lifted_at"))
        return
    if said.lift:
        lifted = project.lift(said.withdrawal)
        tell(said, lifted.raw, f"Withdrawal {lifted.id} is lifted: its votes count again.")
        return
    found = project.reach(said.withdrawal)
    if said.json:
        as_json(found.raw)
        return
    does = "counts" if found.raw.get("lifted_at") else "leaves out"
    votes = counted(found.votes, "vote")
    say(f"{votes}, of which the leaderboard {does} {found.ranked:,}. {found.reason}")
    rows = [{**one.raw, "models": ", ".join(one.models) or None} for one in found.versions]
    table(said, rows, ("name", "votes", "rows", "models"))


def flags(said: Namespace) -> None:
    project = project_of(said)
    decides = said.keep or said.remove
    if (said.flag is None) == decides:
        raise SteelyardError("To decide on one: steelyard flags ID --keep, or --remove")
    if decides:
        done = project.resolve_flag(said.flag, remove=said.remove)
        tell(said, done.raw, f"Flag {done.id}: {done.state}.")
        return
    table(said, [one.raw for one in islice(project.flags(state=said.state), said.limit)], _FLAG)
