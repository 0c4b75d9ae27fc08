"""Makes one part of the demo's material: ``python -m steelyard.demo.engine RUN_DIR``."""

from __future__ import annotations

import errno
from collections.abc import Callable
from importlib import import_module

from steelyard.demo.engine.words import WORDS
from steelyard.lib import engine
from steelyard.lib.engine import Stop
from steelyard.lib.errors import UserError
from steelyard.lib.rundir import RunDir
from steelyard.lib.said import Said

PARTS = {
    "text": "steelyard.demo.engine.text:make_text",
    "photos": "steelyard.demo.engine.photos:make_photos",
    "digits": "steelyard.demo.engine.digits:make_digits",
    "clips": "steelyard.demo.engine.clips:make_clips",
}
"""Each is imported when it is asked for: a part waits for its own libraries only."""


def work(rundir: RunDir, stop: Stop) -> None:
    part = rundir.spec()["part"]
    if part not in PARTS:
        raise UserError(
            Said(WORDS, "no_part", part=f"{part!r}", parts=", ".join(PARTS)), code="unknown_part"
        )
    try:
        _maker(PARTS[part])(rundir, stop)
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise UserError(
            Said(WORDS, "demo_disk_full"),
            code="disk_full",
        ) from error


def _maker(place: str) -> Callable[[RunDir, Stop], None]:
    module, name = place.split(":")
    return getattr(import_module(module), name)


if __name__ == "__main__":
    engine.run(work)
