"""Freezing in the background: ``python -m annotation.freezing RUN_DIR``.

The first look at the votes is kept in the folder, so that a process that is started again goes on
from the same votes; whole files stay and are only read again.

::

    RUN_DIR/ selection.npz selection.json    what is kept
             shards/*.parquet                the rows
             shards.jsonl                    which files are whole, in order
"""

from __future__ import annotations

import json
from typing import Any

import django

from annotation.freezing.words import WORDS
from steelyard.lib.engine import Stop, run
from steelyard.lib.rundir import RunDir, write_atomically
from steelyard.lib.said import Said
from steelyard.lib.shards import ShardWriter


def work(rundir: RunDir, stop: Stop) -> None:
    from annotation.freezing.content import tables_of
    from annotation.freezing.drawn import facts_of
    from annotation.freezing.keep import kept_selection
    from annotation.recipe import Recipe
    from steelyard.projects.models import Project

    spec = rundir.spec()
    project = Project.objects.get(pk=spec["project"])
    recipe = Recipe.from_dict(spec["recipe"])
    rundir.progress(0, 0, "rows", Said(WORDS, "looking_at_votes"))
    selection, names, source = kept_selection(rundir.path, project, recipe)
    total = len(selection.rows)
    folder = rundir.path / "shards"
    folder.mkdir(exist_ok=True)
    writer = ShardWriter(folder)
    writer.take_over(_whole(rundir))
    told = len(writer.files)
    done = writer.rows
    if done:
        rundir.event(Said(WORDS, "goes_on_after", done=done, total=total))
    tables = tables_of(
        project=project,
        recipe=recipe,
        selection=selection,
        names=names,
        start=done,
        folder=rundir.path,
        source=source,
    )
    for number in writer.add_all(tables):
        told = _tell(rundir, writer, told)
        rundir.progress(number, total, "rows", Said(WORDS, "writing_rows"))
        if stop:
            writer.abandon()
            return
    writer.close()
    _tell(rundir, writer, told)
    rundir.progress(total, total, "rows", "")
    rundir.finish(
        status="succeeded",
        files=writer.files,
        rows_sha256=writer.rows_sha256,
        media=sorted(writer.media),
        counts=selection.counts,
        facts=facts_of(project, recipe, selection, names),
    )


def _whole(rundir: RunDir) -> list[dict[str, Any]]:
    path = rundir.path / "shards.jsonl"
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines()]


def _tell(rundir: RunDir, writer: ShardWriter, told: int) -> int:
    """Write down which files are whole, where it is more than were told."""
    if len(writer.files) > told:
        lines = "".join(f"{json.dumps(file)}\n" for file in writer.files)
        write_atomically(rundir.path / "shards.jsonl", lines.encode())
    return len(writer.files)


if __name__ == "__main__":
    django.setup()
    run(work)
