"""What pairs and votes say, for the rows of one group after another.

Few pairs are asked for by their keys (:class:`Asked`). Many are read once in the order of the disk
and put aside by where they will stand (:class:`Gathered`): to look up each of them costs several
times what reading all of them does.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from tempfile import TemporaryFile
from threading import Event
from typing import Protocol

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pa_json
from django.db.models import TextField
from django.db.models.expressions import RawSQL
from django.db.models.functions import Cast

from annotation.freezing.address import database_url
from annotation.freezing.load import Outputs
from annotation.freezing.select import Pairs, Selection, Votes
from annotation.models import Judgment, MachineRationale, Pair
from steelyard.lib import records
from steelyard.lib.lines import strings
from steelyard.lib.records import SCHEMA, array_of

MANY = 20_000
"""So many pairs of a version are gathered, unless they are a small part of the project's."""
_PART = 5
_MOST_BINS = 64
_SIZE_HINT = "adbc.postgresql.batch_size_hint_bytes"
_FETCHED = 8 * 2**20
"""Bytes that are fetched at once."""
_MOST_JSON = 2**30
"""Bytes of JSON that Arrow reads at once; beyond them the interpreter does."""
_NOTHING: list[str] = []


SAID = pa.schema(
    [
        ("uuid", pa.binary(16)),
        *((name, pa.string()) for name in ("rationale", "tags", "aspects", "evidence", "segments")),
    ]
)
"""What votes say besides their outcome; all but the rationale as JSON of the database's writing."""


@dataclass(frozen=True)
class Contents:
    """Of some pairs, in no order; ``prompt_of`` and ``output_of`` tell what is whose."""

    prompt: pa.Array
    media: pa.Array
    answers: pa.Array
    """The prompts' own, empty where they have none."""
    texts: pa.Array
    files: pa.Array
    said: pa.RecordBatch
    """Votes that say something, with the schema ``SAID``."""
    prompt_of: np.ndarray
    """Where each pair's prompt is."""
    output_of: np.ndarray
    """Where its outputs a and b are, in turn, so twice as many as pairs."""


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
    if folder is None or not _worth_gathering(len(used), len(selection.pairs)):
        return Asked(selection.pairs)
    return Gathered(selection.pairs, used, project, folder)


def gathered(pairs: Pairs, votes: Votes, project: int, folder: Path) -> Gathered | None:
    """Begin to gather while it is not yet decided which pairs are kept: all that have votes may be.
    None where it is better to wait."""
    may_be = np.flatnonzero(np.isin(pairs.pk, votes.pair) & ~pairs.held_out & ~pairs.closed)
    if not _worth_gathering(len(may_be), len(pairs)):
        return None
    return Gathered(pairs, may_be, project, folder)


def _worth_gathering(used: int, there: int) -> bool:
    return used >= MANY and used * _PART >= there


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
        n = len(pks)
        return Contents(
            prompt=_prompts(pa.array(messages, pa.string())),
            media=lists_of(pa.array(media, pa.string())),
            answers=pa.array(answers, pa.string()),
            texts=pa.array(text_a + text_b, pa.string()),
            files=pa.array([one or "" for one in file_a + file_b], pa.string()),
            said=_said(wanted),
            prompt_of=np.arange(n),
            output_of=np.arange(2 * n).reshape(2, n).T.reshape(-1),
        ), place


def _text(name: str) -> Cast:
    """JSON as PostgreSQL writes it, read here only where it says something."""
    return Cast(name, TextField())


def _prompts(texts: pa.Array) -> pa.Array:
    """Lists of messages, of their JSON."""
    kind = SCHEMA.field("prompt").type
    if not len(texts) or texts.nbytes > _MOST_JSON:
        return array_of(list(map(orjson.loads, strings(texts))), kind)
    lines = pc.binary_join_element_wise('{"said":', texts, "}\n", "")
    read = pa_json.read_json(
        pa.BufferReader(lines.buffers()[2]),
        pa_json.ReadOptions(use_threads=False, block_size=lines.nbytes),
        pa_json.ParseOptions(pa.schema([("said", kind)]), unexpected_field_behavior="ignore"),
    )
    return one_array(read.column("said"))


def lists_of(texts: pa.Array) -> pa.Array:
    """Lists of texts, of their JSON; most are empty."""
    kind = pa.list_(pa.string())
    if all_are(texts, "[]"):
        nothing = pa.array(np.zeros(len(texts) + 1, np.int32))
        return pa.ListArray.from_arrays(nothing, pa.array([], pa.string()), type=kind)
    return array_of([_NOTHING if t == "[]" else json.loads(t) for t in strings(texts)], kind)


def all_are(texts: pa.Array, text: str) -> bool:
    return pc.all(pc.equal(texts, text), min_count=0).as_py()


def one_array(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)


def _said(pairs: RawSQL) -> pa.RecordBatch:
    silent = {"rationale": "", "tags": [], "aspects": {}, "evidence": [], "segments": []}
    rows = Judgment.objects.filter(pair__in=pairs).exclude(**silent).order_by()
    columns = map(_text, ("tags", "aspects", "evidence", "segments"))
    found = list(rows.values_list("uuid", "rationale", *columns))
    uuids, *said = zip(*found, strict=True) if found else ([],) * len(SAID)
    arrays = [[uuid.bytes for uuid in uuids], *said]
    return pa.record_batch([pa.array(a, f.type) for a, f in zip(arrays, SAID, strict=True)], SAID)


def written_for(pairs: np.ndarray, style: str) -> dict[tuple[int, str], list[dict[str, str]]]:
    """Reasons of that style that models have written, by pair (primary key) and outcome; in the
    order of their judges' names."""
    found: dict[tuple[int, str], list[dict[str, str]]] = defaultdict(list)
    wanted = RawSQL("select unnest(%s::bigint[])", [np.unique(pairs).tolist()])
    rows = MachineRationale.objects.filter(pair__in=wanted, style=style).order_by("judge__name")
    for pair, outcome, judge, text in rows.values_list("pair", "outcome", "judge__name", "text"):
        said = {"author": "model", "judge": judge, "style": style, "text": text}
        found[pair, outcome].append(said)
    return found


_PROMPTS = """select id, messages::text as messages, media::text as media, reference_answer
    from annotation_prompt where project_id = {project}"""
_OUTPUTS = """select o.id, o.text, coalesce(f.sha256, '')::text as file, o.model_id,
    coalesce(o.asset_id, 0) as asset_id, hashtextextended(o.text, 0) as hash
    from annotation_output o left join assets_asset f on f.id = o.asset_id
    where o.project_id = {project}"""
_KEPT = 3
"""Columns of them that are put aside."""
_SAYING = """select pair_id, uuid_send(uuid) as uuid, rationale, tags::text as tags,
    aspects::text as aspects, evidence::text as evidence, segments::text as segments
    from annotation_judgment where project_id = {project} and not (rationale = '' and tags = '[]'
    and aspects = '{{}}' and evidence = '[]' and segments = '[]')"""


class Gathered:
    """All texts of the project's pairs, read a table after another and put aside in bins, each of
    which holds what one group of rows needs. A thread does it, the outputs first.

    Args:
        used: places of the pairs that may be asked for, in order.
    """

    def __init__(self, pairs: Pairs, used: np.ndarray, project: int, folder: Path) -> None:
        self._pairs, self._used, self._project = pairs, used, project
        groups = -(-len(used) // records.GROUP_ROWS)
        self._width = records.GROUP_ROWS * -(-groups // _MOST_BINS)
        self._prompts, self._outputs, self._saying = (_Bins(folder) for _ in range(3))
        self._bin = lru_cache(2)(self._read_bin)
        self._left, self._address = Event(), database_url()
        thread = ThreadPoolExecutor(1, thread_name_prefix="gather")
        self._facts: Outputs | None = None
        self._steps = [thread.submit(one) for one in (self._gather_outputs, self._gather_rest)]
        thread.shutdown(wait=False)

    def outputs(self) -> Outputs:
        """What all outputs of the project are, when they are read; told once."""
        self._steps[0].result()
        found, self._facts = self._facts, None
        assert found is not None
        return found

    def leave(self) -> None:
        """Read no further; nothing will be asked for."""
        self._left.set()

    def _gather_outputs(self) -> None:
        pks = np.concatenate(
            [one[self._used] for one in (self._pairs.output_a, self._pairs.output_b)]
        )
        put = self._outputs.putter(pks, _twice(np.arange(len(self._used))), 2 * self._width)
        facts = []
        for batch in self._read(_OUTPUTS):
            facts.append([_numbers(batch.column(place)) for place in (0, *range(_KEPT, 6))])
            put(batch.select(range(_KEPT)))
        columns = zip(*facts, strict=True) if facts else [[np.zeros(0, np.int64)]] * 4
        self._facts = Outputs(*(np.concatenate(column) for column in columns))

    def _gather_rest(self) -> None:
        rank = np.arange(len(self._used))
        for bins, sql, keys in (
            (self._prompts, _PROMPTS, self._pairs.prompt),
            (self._saying, _SAYING, self._pairs.pk),
        ):
            put = bins.putter(keys[self._used], rank, self._width)
            for batch in self._read(sql):
                put(batch)

    def _read(self, sql: str) -> Iterator[pa.RecordBatch]:
        import adbc_driver_postgresql.dbapi as adbc

        with adbc.connect(self._address) as there, there.cursor() as cursor:
            cursor.adbc_statement.set_options(**{_SIZE_HINT: str(_FETCHED)})
            cursor.execute(sql.format(project=self._project))
            for batch in _ahead(cursor.fetch_record_batch()):
                if self._left.is_set():
                    return
                yield batch

    def of(self, pairs: np.ndarray) -> tuple[Contents, np.ndarray]:
        for step in self._steps:
            step.result()
        rank = np.searchsorted(self._used, pairs)
        first, last = (int(at) // self._width for at in (rank[0], rank[-1]))
        found = [self._bin(number) for number in range(first, last + 1)]
        contents = found[0] if len(found) == 1 else _together(found)
        return contents, rank - first * self._width

    def _read_bin(self, number: int) -> Contents:
        prompts, outputs = self._prompts.read(number), self._outputs.read(number)
        saying = self._saying.read(number)
        assert prompts is not None
        assert outputs is not None
        return Contents(
            prompt=_prompts(prompts.column("messages")),
            media=lists_of(prompts.column("media")),
            answers=prompts.column("reference_answer"),
            texts=outputs.column("text"),
            files=outputs.column("file"),
            said=SAID.empty_table().to_batches()[0] if saying is None else _as_said(saying),
            prompt_of=_standing(prompts),
            output_of=_standing(outputs),
        )


def _as_said(rows: pa.RecordBatch) -> pa.RecordBatch:
    return pa.record_batch([rows.column(f.name).cast(f.type) for f in SAID], SAID)


def _standing(rows: pa.RecordBatch) -> np.ndarray:
    """Of rows of a bin that is full, where each of those is that stand in it."""
    return np.argsort(rows.column("place").to_numpy(), kind="stable")


def _twice(rank: np.ndarray) -> np.ndarray:
    """Where the answers a, and then the answers b, stand among both in turn."""
    return np.concatenate([2 * rank, 2 * rank + 1])


def _numbers(column: pa.Array) -> np.ndarray:
    """A copy, which keeps no batch in memory."""
    return column.to_numpy().copy()


def _together(found: list[Contents]) -> Contents:
    columns = {
        name: pa.concat_arrays([getattr(one, name) for one in found])
        for name in ("prompt", "media", "answers", "texts", "files")
    }
    places: dict[str, list[np.ndarray]] = {"prompt_of": [], "output_of": []}
    for name, of in (("prompt_of", "prompt"), ("output_of", "texts")):
        before = 0
        for one in found:
            places[name].append(getattr(one, name) + before)
            before += len(getattr(one, of))
    return Contents(
        **columns,
        **{name: np.concatenate(parts) for name, parts in places.items()},
        said=pa.concat_batches([one.said for one in found]),
    )


def _ahead(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same, the next of which is fetched while one is looked at."""
    with ThreadPoolExecutor(1, thread_name_prefix="fetch") as thread:
        coming = thread.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = thread.submit(next, batches, None)
            yield batch


class _Bins:
    """A file that is gone with the process, with rows by the bin in which they will stand."""

    def __init__(self, folder: Path) -> None:
        self._file = TemporaryFile(dir=folder)  # noqa: SIM115
        self._pieces: dict[int, list[tuple[int, int]]] = {}
        self._end = 0
        self._schema: pa.Schema | None = None

    def putter(
        self, keys: np.ndarray, standing: np.ndarray, width: int
    ) -> Callable[[pa.RecordBatch], None]:
        """Puts rows aside whose first column is one of these keys.

        Args:
            keys: all that are wanted; one may be wanted several times.
            standing: where each of them stands.
            width: how many stand in a bin.
        """
        by_key = np.argsort(keys, kind="stable")
        return partial(self._put, keys[by_key], standing[by_key], width)

    def _put(
        self, keys: np.ndarray, standing: np.ndarray, width: int, batch: pa.RecordBatch
    ) -> None:
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

    def read(self, number: int) -> pa.RecordBatch | None:
        """The rows of a bin, with the ``place`` where each stands; None where there are none."""
        found = []
        for start, size in self._pieces.get(number, ()):
            self._file.seek(start)
            piece = pa.py_buffer(self._file.read(size))
            found.append(pa.ipc.read_record_batch(piece, self._schema))
        return pa.concat_batches(found) if found else None
