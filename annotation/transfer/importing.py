"""Importing in the background: ``python -m annotation.transfer.importing RUN_DIR``.

This engine writes what it reads into the database, batch by batch, and its folder says how far it
is (see :mod:`annotation.transfer.incoming`).
"""

from __future__ import annotations

import django

from annotation.transfer.words import REFUSED_WHOLE, WORDS
from steelyard.lib.engine import Stop, run
from steelyard.lib.errors import UserError
from steelyard.lib.rundir import RunDir
from steelyard.lib.said import Said, coded


def work(rundir: RunDir, stop: Stop) -> None:
    from annotation.transfer.incoming import Asked, Incoming, Stopped
    from steelyard.accounts.models import User
    from steelyard.projects.models import Project

    spec = rundir.spec()

    def tell(done: int, total: int, unit: str, doing: str) -> None:
        rundir.progress(done, total, unit, doing)
        if stop:
            raise Stopped

    asked = Asked(path=rundir.data / spec["file"], **spec["asked"])
    incoming = Incoming(
        Project.objects.get(pk=spec["project"]),
        asked,
        rundir.path,
        User.objects.filter(pk=spec["by"]).first(),
        tell,
    )
    try:
        taken = incoming.run()
    except Stopped:
        if rundir.cancelled():
            rundir.finish(status="cancelled", **incoming.taken.as_dict())
        return
    except UserError as error:
        rundir.event(error.message, "error")
        said = incoming.taken.as_dict()
        rundir.finish(status="failed", code=error.code, message=_whole(error, said), **said)
        return
    rundir.progress(taken.rows, taken.rows, "rows", "")
    rundir.finish(status="succeeded", **taken.as_dict())


def _whole(error: UserError, taken: dict[str, int]) -> str:
    """What went wrong, and what is in all the same: nothing is half in without saying so."""
    if taken["stored"]:
        return Said(
            WORDS,
            "stored_before",
            trouble=error.message,
            row=f"{taken['stored_to_row'] + 1:,}",
            pairs=f"{taken['pairs']:,}",
            judgments=f"{taken['judgments']:,}",
        )
    if coded(error.message).get("code") in REFUSED_WHOLE:
        return error.message
    return Said(WORDS, "nothing_stored", trouble=error.message)


if __name__ == "__main__":
    django.setup()
    run(work)
