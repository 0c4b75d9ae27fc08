"""Scorers that run elsewhere: over HTTP, or as a child process in an environment of their own.

Both speak the same messages, as JSON: over HTTP each is the body of a POST to one address and its
answer; to a child each is a line on its standard input, answered by a line on its output.

``{"op": "describe"}`` is answered by ``{"dimensions": {name: higher is better}, "version", ...}``
and, as far as they are known, ``modality`` (a list), ``needs_prompt`` and ``licence``.
``{"op": "score", "items": [{"prompt", "sha256", "frames", ...}]}`` is answered by
``{"scores": [{dimension: number} or {"error": words}, ...]}``, one an item. An item's file comes as
``path`` to a child and as ``data`` (base64) over HTTP.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

import httpx

from steelyard.inference.clean import storable
from steelyard.inference.endpoint import Endpoint
from steelyard.inference.saying import WORDS
from steelyard.inference.scorers.base import Facts, Item, checked_scores
from steelyard.lib.errors import UserError
from steelyard.lib.said import Said

BATCH = 8
MOST_BYTES = 32 << 20
"""Of files sent together."""
START_SECONDS = 900
"""A scorer of several billion weights takes minutes to load."""
ANSWER_SECONDS = 600
LOOK_SECONDS = 20
"""How long a scorer may take to describe itself when it is added."""
LONGEST_LINE = 4 << 20
MOST_DIMENSIONS = 32
_SECRET = ("STEELYARD_", "DATABASE_URL", "DJANGO_", "HF_TOKEN")
"""Beginnings of environment variables that a child is not given."""


class Outside:
    """A scorer that is asked by messages.

    Args:
        ask: gives the answer to a message, or raises a ``UserError``.
        pack: what an item's file is sent as.
    """

    batch_size = BATCH

    def __init__(
        self,
        spec: Mapping[str, Any],
        ask: Callable[[dict[str, Any]], Any],
        pack: Callable[[Item], dict[str, str]],
    ) -> None:
        self.name, self._ask, self._pack = spec["name"], ask, pack
        self.facts = _facts(spec, ask({"op": "describe"}))

    def score(self, items: Sequence[Item]) -> list[dict[str, float]]:
        return [one for some in _parcels(items) for one in self._score(some)]

    def _score(self, items: Sequence[Item]) -> list[dict[str, float]]:
        body = [
            {
                "prompt": item.prompt,
                "sha256": item.path.name,
                "frames": item.frames,
                **self._pack(item),
            }
            for item in items
        ]
        answer = self._ask({"op": "score", "items": body})
        scores = answer.get("scores") if isinstance(answer, dict) else None
        if not isinstance(scores, list) or len(scores) != len(items):
            raise UserError(
                Said(WORDS, "scorer_incomplete", name=self.name, items=len(items)),
                code="scorer_garbled",
            )
        for one in scores:
            if isinstance(one, dict) and one.get("error"):
                words = storable(" ".join(str(one["error"]).split())[:300])
                raise UserError(
                    Said(WORDS, "scorer_declines", name=self.name, words=words),
                    code="scorer_refused",
                )
        names = list(self.facts.higher_is_better)
        return [checked_scores(one, names, self.name) for one in scores]

    def close(self) -> None:
        """Nothing is held."""


class _Server(Endpoint):
    """An address that takes the messages; asked again, and refused, as an endpoint is."""

    path = ""

    def tell(self, message: dict[str, Any]) -> Any:
        answer = self._post(message, self.attempts, None)
        try:
            return answer.json()
        except ValueError as error:
            raise UserError(
                Said(WORDS, "scorer_no_json", url=self.base_url, said=f"{self._said(answer)!r}"),
                code="scorer_garbled",
            ) from error

    def _refuse(self, answer: httpx.Response) -> NoReturn:
        code = "endpoint_refused" if answer.status_code in {401, 403} else "endpoint_rejected"
        raise UserError(
            Said(
                WORDS,
                "scorer_refuses",
                url=self.base_url,
                status=answer.status_code,
                said=self._said(answer),
            ),
            code=code,
        )


def open_http(spec: Mapping[str, Any], **how: Any) -> Outside:
    """
    Args:
        how: ``attempts``, ``first_wait`` and ``timeout`` of :class:`.endpoint.Endpoint`.

    Raises:
        UserError: ``no_key``, or it does not answer as a scorer does.
    """
    variable = spec.get("api_key_env")
    key = os.environ.get(variable, "") if variable else ""
    if variable and not key:
        raise UserError(
            Said(WORDS, "no_key", name=spec["name"], variable=variable),
            code="no_key",
        )
    server = _Server(spec["base_url"], "", key, **how)
    return Outside(spec, server.tell, _as_data)


def look_at(address: str, key: str) -> Facts:
    """What a scorer over HTTP says of itself, asked once.

    Raises:
        UserError: it does not answer as a scorer does.
    """
    server = _Server(address, "", key, attempts=1, timeout=LOOK_SECONDS)
    spec = {"kind": "http", "name": f"The scorer at {address}", "base_url": address}
    try:
        return _facts(spec, server.tell({"op": "describe"}))
    finally:
        server.close()


class Child(Outside):
    """A process of its own, started from words that the server's operator has set down.

    It is given no secrets of this installation, and it is gone when this one closes or dies: its
    standard input ends.
    """

    def __init__(self, spec: Mapping[str, Any]) -> None:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(_SECRET)}
        try:
            self._process = subprocess.Popen(
                list(spec["command"]), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=kept
            )
        except OSError as error:
            raise UserError(
                Said(WORDS, "scorer_not_started", name=spec["name"], error=error),
                code="scorer_gone",
            ) from error
        self._left = b""
        self._seconds: float = START_SECONDS
        self._who = spec["name"]
        try:
            super().__init__(spec, self._tell, _as_path)
        except BaseException:
            self.close()
            raise
        self._seconds = spec.get("seconds", ANSWER_SECONDS)

    def close(self) -> None:
        process = self._process
        # it may be gone already, and then there is nobody to tell
        with contextlib.suppress(OSError):
            if process.stdin:
                process.stdin.close()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout:
            process.stdout.close()

    def _tell(self, message: dict[str, Any]) -> Any:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()
        except OSError as error:
            raise self._gone() from error
        line = self._line()
        try:
            return json.loads(line)
        except ValueError as error:
            raise UserError(
                Said(WORDS, "scorer_wrote", who=self._who, line=f"{line[:200]!r}"),
                code="scorer_garbled",
            ) from error

    def _line(self) -> bytes:
        assert self._process.stdout is not None
        source, end = self._process.stdout.fileno(), time.monotonic() + self._seconds
        while b"\n" not in self._left:
            if len(self._left) > LONGEST_LINE:
                raise UserError(
                    Said(WORDS, "scorer_without_end", who=self._who), code="scorer_garbled"
                )
            wait = end - time.monotonic()
            if wait <= 0 or not select.select([source], [], [], wait)[0]:
                raise UserError(
                    Said(WORDS, "scorer_silent", who=self._who, seconds=f"{self._seconds:g}"),
                    code="scorer_gone",
                )
            some = os.read(source, 1 << 16)
            if not some:
                raise self._gone()
            self._left += some
        line, _, self._left = self._left.partition(b"\n")
        return line

    def _gone(self) -> UserError:
        code = self._process.poll()
        return UserError(
            Said(WORDS, "scorer_ended", who=self._who)
            if code is None
            else Said(WORDS, "scorer_ended_with", who=self._who, status=code),
            code="scorer_gone",
        )


def _parcels(items: Sequence[Item]) -> Iterator[list[Item]]:
    """Few enough that their files together are no burden to send; a large one goes alone."""
    some: list[Item] = []
    size = 0
    for item in items:
        its = item.path.stat().st_size if item.path.exists() else 0
        if some and size + its > MOST_BYTES:
            yield some
            some, size = [], 0
        some.append(item)
        size += its
    yield some


def _as_path(item: Item) -> dict[str, str]:
    return {"path": str(item.path)}


def _as_data(item: Item) -> dict[str, str]:
    try:
        return {"data": base64.b64encode(item.path.read_bytes()).decode()}
    except OSError as error:
        raise UserError(Said(WORDS, "file_gone", file=item.path.name), code="no_picture") from error


def _facts(spec: Mapping[str, Any], said: Any) -> Facts:
    """
    Raises:
        UserError: ``scorer_garbled``: it does not say which numbers it gives.
    """
    found = said.get("dimensions") if isinstance(said, dict) else None
    named = found if isinstance(found, dict) else {}
    good = 0 < len(named) <= MOST_DIMENSIONS
    if not good or not all(_is_name(n) and type(more) is bool for n, more in named.items()):
        raise UserError(
            Said(WORDS, "scorer_undescribed", name=spec["name"], said=str(said)[:200]),
            code="scorer_garbled",
        )
    version = str(said.get("version") or "")
    modality = said.get("modality")
    looks = modality if isinstance(modality, list) else ["image", "video"]
    return Facts(
        name=spec["name"],
        modality=tuple(str(one) for one in looks),
        needs_prompt=bool(said.get("needs_prompt", True)),
        higher_is_better=named,
        version=_hashed(spec, version) if version else "",
        licence=storable(str(said.get("licence") or ""))[:100],
    )


def _is_name(name: str) -> bool:
    return bool(name) and len(name) <= 60 and name.isprintable()


def _hashed(spec: Mapping[str, Any], version: str) -> str:
    """A file's name: two scorers may call their versions the same."""
    from steelyard.lib.hashing import digest_of

    where = spec.get("base_url") or spec.get("command")
    return digest_of([spec["kind"], where, version, spec.get("frames")])
