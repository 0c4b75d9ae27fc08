"""Requests to one site: signed in, repeated where that is safe, and read page by page."""

from __future__ import annotations

import email.utils
import os
import platform
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import httpx

from steelyard_client.errors import ConnectionFailed, SteelyardError, error_of

VERSION = "0.1.0"
API = "/api/v1/"
FIRST_WAIT = 0.5
"""seconds; twice as long each time"""
LONGEST_WAIT = 90.0
"""seconds; the server counts requests by the minute, so that no wait that makes sense is longer"""
_UNSURE = {502, 503, 504}
Params = Mapping[str, Any]
Told = Callable[[int, int], None]
"""Called with what is done and the total, 0 where that is not known."""
Media = Path | bytes


class Connection:
    """One site and one token.

    Args:
        url: where the site is, with or without ``/api/v1``.
        timeout: seconds without any byte until a request counts as lost.
        retries: how often a request is sent again after it failed.
    """

    def __init__(self, url: str, token: str, *, timeout: float = 60.0, retries: int = 5) -> None:
        self.url = _site(url)
        self.retries = retries
        if not token.isascii() or not token.isprintable() or " " in token or not token:
            raise SteelyardError(
                "The token has signs that none has; copy it anew from your account page."
            )
        self._client = httpx.Client(
            timeout=timeout,
            headers={
                "Authorization": f"Bearer {token}",
                "User-Agent": f"steelyard-client/{VERSION} Python/{platform.python_version()}",
                "Accept": "application/json, */*;q=0.1",
            },
        )

    def close(self) -> None:
        self._client.close()

    def get(self, path: str, params: Params | None = None) -> Any:
        return _body(self.send("GET", path, params=params, again=True))

    def post(
        self, path: str, body: Any = None, *, params: Params | None = None, again: bool = False
    ) -> Any:
        """``again`` says that it may be sent twice: a second one changes nothing."""
        return _body(self.send("POST", path, json=body, params=params, again=again))

    def put(self, path: str, body: Any) -> Any:
        """Replace what is there; a second one changes nothing."""
        return _body(self.send("PUT", path, json=body, again=True))

    def upload(
        self,
        path: str,
        media: Media,
        *,
        name: str,
        fields: dict[str, str] | None = None,
        told: Told | None = None,
    ) -> Any:
        """A file in a form. The API knows files by content, so a second one changes nothing."""
        file = (name, media)
        return _body(self.send("POST", path, file=file, fields=fields or {}, told=told, again=True))

    def pages(self, path: str, params: Params | None = None) -> Iterator[dict[str, Any]]:
        """Everything in a list, fetched as it is asked for by the links that the pages name."""
        body = self.get(path, params)
        while True:
            if isinstance(body, list):
                yield from body
                return
            yield from body["results"]
            if not body.get("next"):
                return
            body = self.get(_own(body["next"]))

    def download(
        self, path: str, target: Path, *, params: Params | None = None, told: Told | None = None
    ) -> None:
        """A file, piece by piece; where the connection breaks it goes on from there, if the server
        has the same file still and gives parts of it. The target is there when it is whole."""
        part = target.with_name(f".{target.name}.{random.randrange(16**8):08x}.part")
        try:
            with part.open("wb") as file:
                self._fill(file, path, params, told or _nobody)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)

    def _fill(self, file: Any, path: str, params: Params | None, told: Told) -> None:
        etag, broken = "", 0
        while True:
            have = file.tell() if etag else 0
            # not compressed on its way, so that what is there is a part of the file
            headers = {"Accept-Encoding": "identity"}
            if have:
                headers |= {"Range": f"bytes={have}-", "If-Range": etag}
            response = self.send(
                "GET", path, params=params, headers=headers, again=True, stream=True
            )
            try:
                if response.status_code != 206:
                    have = 0
                file.seek(have)
                file.truncate()
                rest = response.headers.get("Content-Length")
                total = have + int(rest) if rest else 0
                for piece in response.iter_bytes():
                    file.write(piece)
                    told(file.tell(), total)
                return
            except httpx.TransportError as error:
                broken += 1
                if broken > self.retries:
                    raise _failed(self.url, error) from error
                etag = response.headers.get("ETag", "")
                etag = "" if etag.startswith("W/") else etag
                time.sleep(_backoff(broken))
            finally:
                response.close()

    def send(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        json: Any = None,
        content: bytes | None = None,
        file: tuple[str, Media] | None = None,
        fields: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        told: Told | None = None,
        again: bool = False,
        stream: bool = False,
    ) -> httpx.Response:
        """One request, repeated as often as it may be.

        Args:
            path: below ``/api/v1/``, or from the site's root where it begins with a slash.
            told: of a file, how many of its bytes are sent.
            again: whether it may be sent twice. One that the server has not taken in (429, or no
                connection at all) is sent again in any case.

        Raises:
            ApiError: the server refused.
            ConnectionFailed: nobody answered.
        """
        url = self.url + (path if path.startswith("/") else API + path)
        clean = {key: value for key, value in (params or {}).items() if value is not None}
        tried = 0
        while True:
            tried += 1
            try:
                with ExitStack() as opened:
                    request = self._client.build_request(
                        method,
                        url,
                        params=clean or None,
                        json=json,
                        content=content,
                        files=_files(file, opened, told or _nobody),
                        data=fields if file else None,
                        headers=headers,
                    )
                    response = self._client.send(
                        request, stream=stream, follow_redirects=method == "GET"
                    )
            except httpx.InvalidURL as error:
                raise SteelyardError(f"{url} is no address: {error}.") from error
            except httpx.TransportError as error:
                unsent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
                if tried > self.retries or not (again or unsent):
                    raise _failed(self.url, error) from error
                time.sleep(_backoff(tried))
                continue
            if response.is_success:
                return response
            wait = self._refused(response, again)
            if tried > self.retries or wait is None:
                raise error_of(response)
            time.sleep(wait or _backoff(tried))

    def _refused(self, response: httpx.Response, again: bool) -> float | None:
        """Seconds until it may be sent again, 0 where nobody says how many; None for never."""
        response.read()
        response.close()
        status = response.status_code
        if response.is_redirect:
            raise SteelyardError(
                f"{self.url} leads to {response.headers.get('Location')}; give that address."
            )
        if status == 429 or (status in _UNSURE and again):
            wait = _retry_after(response.headers.get("Retry-After", ""))
            return wait if wait <= LONGEST_WAIT else None
        return None


def _site(url: str) -> str:
    """The address without what stands behind it."""
    said = url.strip().rstrip("/").removesuffix(API.rstrip("/"))
    try:
        parts = urlsplit(said)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        good = False
    if not good:
        raise SteelyardError(
            f"{url!r} is no address of a site; it looks like https://steelyard.example."
        )
    return said.rstrip("/")


def _own(link: str) -> str:
    """A page's link as a path of the site: behind a proxy a server may not know its own name, and
    a token goes nowhere else."""
    parts = urlsplit(link)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def _body(response: httpx.Response) -> Any:
    if not response.content:
        return None
    try:
        return response.json()
    except ValueError:
        raise SteelyardError(
            f"{response.url} answered no JSON; is that the address of a Steelyard?"
        ) from None


def _files(file: tuple[str, Media] | None, opened: ExitStack, told: Told) -> Any:
    if file is None:
        return None
    name, media = file
    if isinstance(media, bytes):
        return {"file": (name, media)}
    try:
        return {"file": (name, _Sent(opened.enter_context(media.open("rb")), told))}
    except OSError as error:
        raise SteelyardError(f"{media} cannot be read: {error.strerror}.") from error


class _Sent:
    """A file that says how much of it has been read to be sent."""

    def __init__(self, file: IO[bytes], told: Told) -> None:
        self._file, self._told = file, told
        self._size = os.fstat(file.fileno()).st_size

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._told(self._file.tell(), self._size)
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _backoff(tried: int) -> float:
    """Longer each time, and no two clients at the same moment."""
    return float(min(FIRST_WAIT * 2 ** (tried - 1), 30) * random.uniform(0.7, 1.3))


def _retry_after(said: str) -> float:
    """Seconds from a header that has them or a date; 0 where it has neither."""
    if said.isascii() and said.isdecimal():
        return float(said)
    try:
        then = email.utils.parsedate_to_datetime(said)
    except ValueError:
        return 0.0
    return max((then.astimezone(UTC) - datetime.now(UTC)).total_seconds(), 0.0)


def _failed(url: str, error: httpx.TransportError) -> ConnectionFailed:
    if isinstance(error, httpx.TimeoutException):
        return ConnectionFailed(f"{url} did not answer in time.")
    return ConnectionFailed(f"{url} cannot be reached: {str(error) or type(error).__name__}.")


def _nobody(done: int, total: int) -> None:
    pass
