"""A project's pairs, prompts, outputs and files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sized
from pathlib import Path
from typing import Any

from steelyard_client import progress as bars
from steelyard_client.connection import Connection
from steelyard_client.errors import Invalid, NotFound
from steelyard_client.inside import InProject
from steelyard_client.pairs import (
    Added,
    File,
    NewPair,
    WrongPair,
    as_line,
    batches,
    is_hash,
    name_and_hash,
)
from steelyard_client.records import Asset, Imported, Message, Output, Pair, Prompt
from steelyard_client.runs import ENDED, Run


class MaterialVerbs(InProject):
    def __init__(self, connection: Connection, slug: str) -> None:
        super().__init__(connection, slug)
        self._sent: dict[str, str] = {}

    def pairs(
        self,
        *,
        state: str | None = None,
        category: str | None = None,
        model: str | None = None,
        origin: str | None = None,
    ) -> Iterator[Pair]:
        """Pairs, the newest first, fetched page by page.

        Args:
            state: ``open`` or ``complete``.
            model: name of a model on either side.
        """
        said = {"state": state, "category": category, "model": model, "origin": origin}
        return map(Pair.of, self._pages("pairs", said))

    def prompts(
        self, *, category: str | None = None, held_out: bool | None = None
    ) -> Iterator[Prompt]:
        return map(Prompt.of, self._pages("prompts", {"category": category, "held_out": held_out}))

    def outputs(self, *, prompt: int | None = None, model: str | None = None) -> Iterator[Output]:
        return map(Output.of, self._pages("outputs", {"prompt": prompt, "model": model}))

    def add_pairs(
        self,
        pairs: Iterable[NewPair | Mapping[str, Any]],
        *,
        batch: int = 500,
        strict: bool = True,
        progress: bool = False,
    ) -> Added:
        """Bring in pairs, with the votes on them where they have some, batch by batch.

        Files are sent first, once each, and those that are there are not sent. Everything is known
        by its content: the same pairs again change nothing, so that after an error the whole can
        be brought again.

        Args:
            strict: stop at the first batch in which one is wrong; the right ones of it are in all
                the same. Otherwise go on, and ``problems`` of the answer has them.

        Raises:
            Invalid: one is wrong, named by its place from 1.
        """
        total, place = Added(), 0
        lines = (as_line(pair, number, self._sha256) for number, pair in enumerate(pairs, 1))
        with bars.line("pairs", "pairs", wanted=progress) as told:
            for part in batches(lines, batch):
                self._add_lines(part, place, total)
                place += len(part)
                told(place, len(pairs) if isinstance(pairs, Sized) else 0)
                if strict and total.problems:
                    first = total.problems[0]
                    more = len(total.problems) - 1
                    rest = f" ({more} more of its batch are wrong.)" if more else ""
                    raise Invalid(
                        first.status, first.code, f"Pair {first.place}: {first}{rest}", first.field
                    )
        return total

    def _add_lines(self, lines: list[str], before: int, total: Added) -> None:
        response = self._connection.send(
            "POST",
            f"{self._path}/pairs.ndjson",
            content="".join(f"{line}\n" for line in lines).encode(),
            headers={"Content-Type": "application/x-ndjson"},
            again=True,
        )
        for result in map(json.loads, response.text.splitlines()):
            if "problem" in result:
                total.problems.append(WrongPair.of(before + result["line"], result["problem"]))
            else:
                total.pairs.append(result["pair"])
                total.new += result["status"] == 201

    def add_prompts(self, prompts: Iterable[str | list[Message] | Mapping[str, Any]]) -> Imported:
        """Held-out prompts for evaluation: a text, messages, or a mapping with prompt, category,
        reference_answer, media."""
        rows = [row if isinstance(row, Mapping) else {"prompt": row} for row in prompts]
        return self._import("held_out", "\n".join(json.dumps(row) for row in rows))

    def import_file(
        self,
        path: str | Path,
        format: str | None = None,
        *,
        kind: str = "pairs",
        mapping: Mapping[str, Any] | None = None,
        mode: str = "all",
        annotator: str = "",
        annotator_kind: str | None = None,
        background: bool | None = None,
        progress: bool = False,
    ) -> Imported:
        """Bring in a file as it is. Where the site reads it in the background, wait for that.

        Args:
            format: one of ``Client.formats()``; guessed from the first row where it is left
                out, but for ``mapped``: a guess of what plain columns mean is refused with what it
                would be.
            kind: ``pairs``; or of JSON Lines in the site's own form ``held_out`` (prompts kept
                for evaluation), ``rankings``, or ``passages`` to search for outputs that are
                queries.
            mapping: which column is what, such as ``{"prompt": "question"}``.
            mode: ``all`` brings in nothing unless every row is right; ``good`` those that are.
            annotator: who chose, if no row says; ``annotator_kind`` is person or judge.

        Raises:
            Invalid: it is refused; ``raw["faults"]`` of the error has the first wrong rows.
            RunFailed: the same, found in the background.
        """
        file = Path(path)
        if kind != "pairs":
            fields = {"kind": kind}
        else:
            said = {"format": format, "mode": mode, "annotator": annotator}
            said |= {"annotator_kind": annotator_kind}
            said |= {"mapping": json.dumps(dict(mapping)) if mapping else None}
            said |= {"background": None if background is None else str(background).lower()}
            fields = {name: value for name, value in said.items() if value}
        where = f"{self._path}/import" + ("s" if kind == "pairs" else "")
        with bars.line(file.name, "B", wanted=progress) as told:
            done = Imported.of(
                self._connection.upload(where, file, name=file.name, fields=fields, told=told)
            )
        if done.run is None or done.run.state in ENDED:
            return done
        Run(self._connection, self.slug, done.run).wait(progress=progress)
        return self.imported(done.run.id)

    def imported(self, run: int) -> Imported:
        """What the import of that run brought in, so far."""
        return Imported.of(self._connection.get(f"{self._path}/imports/{run}"))

    def save_import_errors(self, run: int, path: str | Path) -> Path:
        """Save all that was wrong in a file, one JSON object a line."""
        target = Path(path)
        self._connection.download(f"{self._path}/imports/{run}/errors", target)
        return target

    def upload(self, file: File) -> Asset:
        """Keep a picture or clip, known by its content. It is kept without its metadata, so that
        the SHA-256 of the answer may be another than that of the file here."""
        name, _ = name_and_hash(file)
        media = file if isinstance(file, bytes) else Path(file)
        return Asset.of(self._connection.upload(f"{self._path}/assets", media, name=name))

    def assets(self) -> Iterator[Asset]:
        return map(Asset.of, self._pages("assets"))

    def download_asset(self, sha256: str, path: str | Path) -> Path:
        target = Path(path)
        self._connection.download(f"{self._path}/assets/{sha256}/file", target)
        return target

    def save_lines(self, what: str, path: str | Path, *, progress: bool = False) -> Path:
        """Save all ``pairs``, ``prompts`` or ``judgments``, one JSON object a line."""
        target = Path(path)
        with bars.line(what, "B", wanted=progress) as told:
            self._connection.download(f"{self._path}/{what}.ndjson", target, told=told)
        return target

    def _import(self, kind: str, text: str) -> Imported:
        said = {"kind": kind, "text": text}
        return Imported.of(self._connection.post(f"{self._path}/import", said, again=True))

    def _sha256(self, file: File) -> str:
        """The SHA-256 under which the site keeps a file, which is sent where it is not there."""
        if is_hash(file):
            return str(file)
        _, here = name_and_hash(file)
        if here not in self._sent:
            try:
                kept = self._connection.get(f"{self._path}/assets/{here}")["sha256"]
            except NotFound:
                kept = self.upload(file).sha256
            self._sent[here] = kept
        return self._sent[here]
