"""What pairs and votes say, for the rows of one group after another.

Few pairs are asked for by their keys (:class:`Asked`). Many are read once in the order of the disk
and put aside by where they will stand (:class:`Gathered`): to look up each of them costs several
times what reading all of them does.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, NamedTuple, Protocol

import numpy as np
import orjson
import pyarrow as pa
from django.db.models import TextField
from django.db.models.expressions import RawSQL
from django.db.models.functions import Cast

from annotation.freezing.address import database_url
from annotation.freezing.select import Pairs, Selection
from annotation.models import Judgment, Pair
from steelyard.lib import records
from steelyard.lib.records import SCHEMA, array_of

MANY = 20_000
"""So many pairs of a version are gathered, unless they are a small part of the project's."""
_PART = 5
_MOST_BINS = 128
_NOTHING: dict[str, Any] = {"[]": [], "{}": {}}
"""What most votes say besides their outcome, which need not be read as JSON."""


class Said(NamedTuple):
    """What a vote says besides its outcome."""

    rationale: str
    tags: list[str]
    aspects: dict[str, int]
    evidence: list[dict[str, Any]]
    segments: list[dict[str, Any]]


@dataclass(frozen=True)
class Contents:
    """Of some pairs, in their order."""

    prompt: pa.Array
    media: pa.Array
    answers: pa.Array
    """The prompts' own, empty where they have none."""
    texts: pa.Array
    """Of a and b in turn, so twice as many as pairs."""
    files: pa.Array
    said: dict[str, Said]
    """Of those votes that say something, by the UUID's 32 digits."""


class Source(Protocol):
    def of(self, pairs: np.ndarray) -> tuple[Contents, np.ndarray]:
        """What these pairs (places in the selection's, in order) say, and the place of each in
        it."""


def source_of(selection: Selection, project: int, folder: Path | None) -> Source:
    """
    Args:
        folder: a disk for a copy of the texts while they are written; without one, and within a
            transaction whose rows no other connection sees, pairs are asked for.
    """
    used = np.unique(selection.rows.pair)
    if folder is None or len(used) < MANY or len(used) * _PART < len(selection.pairs):
        return Asked(selection.pairs)
    return Gathered(selection.pairs, used, project, folder)


@dataclass(frozen=True)
class Asked:
    """Looked up by primary keys."""

    pairs: Pairs

    def of(self, pairs: np.ndarray) -> tuple[Contents, np.ndarray]:
        pks, place = np.unique(self.pairs.pk[pairs], return_inverse=True)
        wanted = RawSQL("select unnest(%s::bigint[])", [pks.tolist()])
        found = Pair.objects.filter(pk__in=wanted).values_list(
            "pk",
            _text("prompt__messages"),
            _text("prompt__media"),
            "prompt__reference_answer",
            "output_a__text",
            "output_b__text",
            "output_a__asset__sha256",
            "output_b__asset__sha256",
        )
        columns = zip(*sorted(found), strict=True)
        _, messages, media, answers, text_a, text_b, file_a, file_b = columns
        return Contents(
            prompt=_prompts(messages),
            media=_media(media),
            answers=pa.array(answers, pa.string()),
            texts=pa.array(_in_turn(text_a, text_b), pa.string()),
            files=pa.array([one or "" for one in _in_turn(file_a, file_b)], pa.string()),
            said=_said(wanted),
        ), place


def _in_turn(a: Iterable[Any], b: Iterable[Any]) -> list[Any]:
    return [one for both in zip(a, b, strict=True) for one in both]


def _text(name: str) -> Cast:
    """JSON as PostgreSQL writes it, read here only where it says something."""
    return Cast(name, TextField())


def _read(text: str) -> Any:
    nothing = _NOTHING.get(text)
    return json.loads(text) if nothing is None else nothing


def _prompts(texts: Iterable[str]) -> pa.Array:
    return array_of(list(map(orjson.loads, texts)), SCHEMA.field("prompt").type)


def _media(texts: Iterable[str]) -> pa.Array:
    return array_of(list(map(_read, texts)), SCHEMA.field("prompt_media").type)


def _said(pairs: RawSQL) -> dict[str, Said]:
    silent = {"rationale": "", "tags": [], "aspects": {}, "evidence": [], "segments": []}
    rows = Judgment.objects.filter(pair__in=pairs).exclude(**silent).order_by()
    columns = map(_text, ("tags", "aspects", "evidence", "segments"))
    return {
        uuid.hex: Said(rationale, *map(_read, said))
        for uuid, rationale, *said in rows.values_list("uuid", "rationale", *columns)
    }


_PAIRS = "select id, output_a_id, output_b_id from annotation_pair where project_id = {project}"
_PROMPTS = """select id, messages::text as messages, media::text as media, reference_answer
    from annotation_prompt where project_id = {project}"""
_OUTPUTS = """select o.id, o.text, coalesce(f.sha256, '')::text as file from annotation_output o
    left join assets_asset f on f.id = o.asset_id where o.project_id = {project}"""
_SAYING = """select pair_id, encode(uuid_send(uuid), 'hex') as uuid, rationale, tags::text as tags,
    aspects::text as aspects, evidence::text as evidence, segments::text as segments
    from annotation_judgment where project_id = {project} and not (rationale = '' and tags = '[]'
    and aspects = '{{}}' and evidence = '[]' and segments = '[]')"""


class Gathered:
    """All texts of the project's pairs, read a table after another and put aside in bins, each of
    which holds what one group of rows needs."""

    def __init__(self, pairs: Pairs, used: np.ndarray, project: int, folder: Path) -> None:
        self._used = used
        self._width = max(records.GROUP_ROWS, -(-len(used) // _MOST_BINS))
        self._prompts, self._outputs, self._saying = (_Bins(folder) for _ in range(3))
        self._bin = lru_cache(2)(self._read_bin)
        import adbc_driver_postgresql.dbapi as adbc

        pks = pairs.pk[used]
        rank = np.arange(len(used))
        with adbc.connect(database_url()) as there, there.cursor() as cursor:

            def rows(sql: str) -> Iterator[pa.RecordBatch]:
                cursor.execute(sql.format(project=project))
                yield from cursor.fetch_record_batch()

            a, b = _outputs_of(pks, rows(_PAIRS))
            for bins, sql, keys, standing, each in (
                (self._prompts, _PROMPTS, pairs.prompt[used], rank, 1),
                (self._outputs, _OUTPUTS, np.concatenate([a, b]), _twice(rank), 2),
                (self._saying, _SAYING, pks, rank, 1),
            ):
                by_key = np.argsort(keys, kind="stable")
                for batch in rows(sql):
                    bins.put(batch, keys[by_key], standing[by_key], self._width * each)

    def of(self, pairs: np.ndarray) -> tuple[Contents, np.ndarray]:
        rank = np.searchsorted(self._used, pairs)
        first, last = (int(at) // self._width for at in (rank[0], rank[-1]))
        found = [self._bin(number) for number in range(first, last + 1)]
        contents = found[0] if len(found) == 1 else _together(found)
        return contents, rank - first * self._width

    def _read_bin(self, number: int) -> Contents:
        prompts, outputs = self._prompts.sorted(number), self._outputs.sorted(number)
        saying = self._saying.sorted(number)
        said: dict[str, Said] = {}
        if saying is not None:
            columns = [_strings(saying.column(name)) for name in ("uuid", *Said._fields)]
            said = {
                uuid: Said(rationale, *map(_read, said))
                for uuid, rationale, *said in zip(*columns, strict=True)
            }
        assert prompts is not None
        assert outputs is not None
        return Contents(
            prompt=_prompts(_strings(prompts.column("messages"))),
            media=_media(_strings(prompts.column("media"))),
            answers=prompts.column("reference_answer"),
            texts=outputs.column("text"),
            files=outputs.column("file"),
            said=said,
        )


def _twice(rank: np.ndarray) -> np.ndarray:
    """Where the answers a, and then the answers b, stand among both in turn."""
    return np.concatenate([2 * rank, 2 * rank + 1])


def _outputs_of(pks: np.ndarray, rows: Iterable[pa.RecordBatch]) -> tuple[np.ndarray, np.ndarray]:
    """The outputs a and b of pairs, by primary keys."""
    table = pa.Table.from_batches(rows)
    there, a, b = (table.column(place).to_numpy() for place in range(3))
    order = np.argsort(there)
    at = order[np.searchsorted(there, pks, sorter=order)]
    return a[at], b[at]


def _together(found: list[Contents]) -> Contents:
    columns = {
        name: pa.concat_arrays([getattr(one, name) for one in found])
        for name in ("prompt", "media", "answers", "texts", "files")
    }
    return Contents(**columns, said={key: one for each in found for key, one in each.said.items()})


def _strings(column: pa.Array) -> list[str]:
    return column.to_numpy(zero_copy_only=False).tolist()


class _Bins:
    """A file that is gone with the process, with rows by the bin in which they will stand."""

    def __init__(self, folder: Path) -> None:
        self._file = TemporaryFile(dir=folder)  # noqa: SIM115
        self._pieces: dict[int, list[tuple[int, int]]] = {}
        self._end = 0
        self._schema: pa.Schema | None = None

    def put(
        self, batch: pa.RecordBatch, keys: np.ndarray, standing: np.ndarray, width: int
    ) -> None:
        """Put rows aside.

        Args:
            batch: its first column is a key.
            keys: all that are wanted, in order; one may be wanted several times.
            standing: where each of them stands.
            width: how many stand in a bin.
        """
        mine = batch.column(0).to_numpy()
        low, high = (np.searchsorted(keys, mine, side) for side in ("left", "right"))
        times = high - low
        row = np.repeat(np.arange(len(mine)), times)
        first = np.repeat(low - (np.cumsum(times) - times), times)
        place = standing[first + np.arange(len(row))]
        order = np.argsort(place // width, kind="stable")
        place = place[order]
        taken = batch.take(pa.array(row[order])).append_column("place", pa.array(place))
        self._schema = taken.schema
        bins, starts = np.unique(place // width, return_index=True)
        ends = [*starts[1:].tolist(), len(place)]
        for number, start, end in zip(bins.tolist(), starts.tolist(), ends, strict=True):
            piece = taken.slice(start, end - start).serialize()
            self._file.write(piece)
            self._pieces.setdefault(number, []).append((self._end, piece.size))
            self._end += piece.size

    def sorted(self, number: int) -> pa.RecordBatch | None:
        """The rows of a bin as they stand; None where there are none."""
        found = []
        for start, size in self._pieces.get(number, ()):
            self._file.seek(start)
            piece = pa.py_buffer(self._file.read(size))
            found.append(pa.ipc.read_record_batch(piece, self._schema))
        if not found:
            return None
        rows = pa.concat_batches(found)
        return rows.take(pa.array(np.argsort(rows.column("place").to_numpy(), kind="stable")))
