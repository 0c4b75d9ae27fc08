"""Exporting in the background: ``python -m annotation.transfer.exporting RUN_DIR``.

It reads a frozen version and writes nothing but its folder (see
:mod:`annotation.transfer.outgoing`); a process that is started again begins again.
"""

from __future__ import annotations

import django

from steelyard.lib.engine import Stop, run
from steelyard.lib.rundir import RunDir


class Stopped(Exception):
    pass


def work(rundir: RunDir, stop: Stop) -> None:
    from annotation.transfer.outgoing import Order, export, write_summary
    from steelyard.registry.models import DatasetVersion

    spec = rundir.spec()

    def tell(done: int, total: int, doing: str) -> None:
        rundir.progress(done, total, "rows", doing)
        if stop:
            raise Stopped

    version = DatasetVersion.objects.with_names().get(pk=spec["version"])
    try:
        summary = export(version, Order(**spec["order"]), rundir.path, tell)
    except Stopped:
        return
    write_summary(rundir.path, summary)
    rows = version.counts["rows"]
    rundir.progress(rows, rows, "rows", "")
    rundir.finish(status="succeeded", **summary)


if __name__ == "__main__":
    django.setup()
    run(work)
