"""Models behind an HTTP endpoint that speaks OpenAI's chat completions.

Hosted services and local servers (vLLM, llama.cpp, Ollama, TGI) are asked in the same way. The
client may be used from several threads at once.
"""

from __future__ import annotations

import email.utils
import random
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpcore
import httpx

from steelyard.inference.clean import storable
from steelyard.inference.saying import WORDS
from steelyard.lib.addresses import NotAllowed, allowed_hosts, reachable
from steelyard.lib.errors import UserError
from steelyard.lib.said import Said

ATTEMPTS = 6
FIRST_WAIT = 1.0
LONGEST_WAIT = 60.0
TIMEOUT = httpx.Timeout(300.0, connect=10.0)
"""Seconds. A long answer from a busy server takes minutes; a server that is there answers the
connection at once."""
_TRY_AGAIN = {408, 425, 429}
GARBLED_ATTEMPTS = 3
"""A server that answers something else than a completion does so by mishap, or always."""
_TOO_LONG = re.compile(
    r"context.{0,20}(?:length|window|size)|maximum.{0,30}(?:tokens|length)|(?:prompt|input|request)"
    r".{0,20}(?:too long|too large)|too many tokens|context_length_exceeded",
    re.IGNORECASE,
)
_NO_PICTURES = re.compile(r"image|vision|multi.?modal|picture|content.{0,20}(?:type|part)", re.I)


class Pace(Protocol):
    """How fast an endpoint may be asked, by everybody who asks it."""

    def wait(self, tokens: int, stop: Callable[[], bool] | None) -> bool:
        """Until the next question may be sent; False as soon as ``stop`` says so."""
        ...

    def hold(self, seconds: float) -> None:
        """The server says that all are to wait."""
        ...


@dataclass(frozen=True)
class Token:
    """One token of an answer, and what could have stood in its place."""

    text: str
    chances: dict[str, float]
    """Log-probabilities of the likeliest tokens, itself among them."""


@dataclass(frozen=True)
class Completion:
    """An answer and what it took."""

    text: str
    tokens_in: int
    tokens_out: int
    counted: bool
    """Whether the server said how many tokens; else they are guessed from the characters."""
    seconds: float
    """From the question that was answered to its answer."""
    tokens: tuple[Token, ...] = ()
    """Where log-probabilities were asked for and given."""


class Endpoint:
    """One model of one server.

    Args:
        base_url: up to and without ``/chat/completions``, such as ``http://localhost:8000/v1``.
        model: as the server calls it.
        key: sent as a bearer token; never shown in an error, a log or a ``repr``.
        attempts: how often a question is asked before it counts as unanswered.
        first_wait: seconds before the second attempt; they double each time.
    """

    path = "/chat/completions"
    """What follows the base URL."""

    def __init__(
        self,
        base_url: str,
        model: str,
        key: str = "",
        *,
        attempts: int = ATTEMPTS,
        first_wait: float = FIRST_WAIT,
        timeout: httpx.Timeout | float = TIMEOUT,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.model = model
        self.attempts, self.first_wait = attempts, first_wait
        self._limit_name = "max_tokens"
        self._key = key = key.strip()
        if not (key.isascii() and (key.isprintable() or not key)):
            raise UserError(
                Said(WORDS, "bad_key", url=self.base_url),
                code="endpoint_refused",
            )
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._client = httpx.Client(
            headers=headers, timeout=timeout, transport=_transport(self.base_url)
        )

    def __repr__(self) -> str:
        return f"Endpoint({self.base_url!r}, {self.model!r})"

    def close(self) -> None:
        self._client.close()

    def chat(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        temperature: float,
        max_new_tokens: int,
        seed: int | None = None,
        top_p: float | None = None,
        attempts: int | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> str:
        """Ask once; the text of the answer.

        What passes by itself (no connection, a timeout, 429, 5xx) is tried again after a growing,
        jittered wait, or after what ``Retry-After`` says; no wait is longer than a minute.

        Args:
            seed: not every server heeds it.
            attempts: how often to ask, where it is not as often as usual.
            stop: asked while waiting; when true, the last trouble is raised at once.

        Raises:
            UserError: ``endpoint_unreachable``, ``endpoint_refused`` (401, 403),
                ``endpoint_unknown_model`` (404), ``endpoint_rejected`` (another 4xx),
                ``prompt_too_long`` or ``cannot_see`` where it says so, ``private_address`` or
                ``endpoint_garbled`` (no chat completion came back).
        """
        return self.complete(
            messages,
            temperature=temperature,
            max_new_tokens=max_new_tokens,
            seed=seed,
            top_p=top_p,
            attempts=attempts,
            stop=stop,
        ).text

    def complete(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        temperature: float,
        max_new_tokens: int,
        seed: int | None = None,
        top_p: float | None = None,
        attempts: int | None = None,
        stop: Callable[[], bool] | None = None,
        response_format: Mapping[str, Any] | None = None,
        chances: int = 0,
        name: str = "",
        pace: Pace | None = None,
    ) -> Completion:
        """Ask once; the answer with what it took. As :meth:`chat`, and

        Args:
            response_format: as chat completions have it; a server that knows none rejects it.
            chances: how many likely tokens to be told at each place of the answer.
            name: of the question, the same whenever it is asked; a server that knows
                ``Idempotency-Key`` answers it once however often the connection breaks.
            pace: waited for before each attempt.
        """
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [dict(message) for message in messages],
            "temperature": temperature,
            self._limit_name: max_new_tokens,
        }
        if top_p is not None and top_p < 1:
            body["top_p"] = top_p
        if seed is not None:
            body["seed"] = seed
        if response_format is not None:
            body["response_format"] = dict(response_format)
        if chances:
            body |= {"logprobs": True, "top_logprobs": chances}
        garbled = 0
        while True:
            answer = self._post(body, attempts or self.attempts, stop, name, pace)
            try:
                return self._completion(answer, body)
            except UserError:
                garbled += 1
                if garbled >= min(GARBLED_ATTEMPTS, attempts or self.attempts):
                    raise
                if not _sleep(self._wait(garbled - 1, _retry_after(answer)), stop):
                    raise

    def _post(
        self,
        body: dict[str, Any],
        attempts: int,
        stop: Callable[[], bool] | None,
        name: str = "",
        pace: Pace | None = None,
    ) -> httpx.Response:
        trouble = ""
        headers = {"Idempotency-Key": name} if name else None
        for attempt in range(attempts):
            advised = None
            if pace is not None and not pace.wait(guess_tokens(body), stop):
                break
            try:
                answer = self._client.post(
                    f"{self.base_url}{self.path}", json=body, headers=headers
                )
            except NotAllowed as error:
                raise UserError(
                    Said(WORDS, "not_asked", url=self.base_url, why=str(error)),
                    code="private_address",
                ) from error
            except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
                raise UserError(
                    Said(WORDS, "no_url", url=self.base_url, error=error),
                    code="endpoint_unreachable",
                ) from error
            except httpx.TransportError as error:
                trouble = f"{type(error).__name__}: {error}".rstrip(": ")
            else:
                if answer.is_success:
                    return answer
                if answer.status_code == 400 and self._renamed_limit(body, answer):
                    continue
                if answer.status_code not in _TRY_AGAIN and answer.status_code < 500:
                    self._refuse(answer)
                trouble = f"it answered {answer.status_code} {self._said(answer)}".rstrip()
                advised = _retry_after(answer)
                if pace is not None and answer.status_code == 429 and advised:
                    pace.hold(min(advised, LONGEST_WAIT))
            if attempt + 1 < attempts and not _sleep(self._wait(attempt, advised), stop):
                break
        raise UserError(
            Said(WORDS, "no_answer", url=self.base_url, trouble=trouble),
            code="endpoint_unreachable",
        )

    def _wait(self, attempt: int, advised: float | None) -> float:
        """Seconds; half of it is drawn, so that many clients do not come back together."""
        if advised is not None:
            return min(advised, LONGEST_WAIT)
        longest = min(self.first_wait * 2**attempt, LONGEST_WAIT)
        return longest * (0.5 + random.random() / 2)

    def _renamed_limit(self, body: dict[str, Any], answer: httpx.Response) -> bool:
        """OpenAI's newer models take the same limit under another name, and say so."""
        if "max_tokens" not in body or "max_completion_tokens" not in answer.text:
            return False
        self._limit_name = "max_completion_tokens"
        body[self._limit_name] = body.pop("max_tokens")
        return True

    def _said(self, answer: httpx.Response) -> str:
        """The server's own words, shortened; some servers repeat the key in them."""
        try:
            body = answer.json()
            error = body.get("error", body)
            text = error.get("message", "") if isinstance(error, dict) else str(error)
        except (ValueError, AttributeError):
            text = answer.text
        text = " ".join(str(text).split())
        return (text.replace(self._key, "…") if self._key else text)[:300]

    def _refuse(self, answer: httpx.Response) -> NoReturn:
        said, url = self._said(answer), self.base_url
        if answer.status_code in {401, 403}:
            raise UserError(
                Said(WORDS, "key_refused", url=url, status=answer.status_code, said=said),
                code="endpoint_refused",
            )
        if answer.status_code == 404:
            raise UserError(
                Said(WORDS, "unknown_model", url=url, model=self.model, said=said),
                code="endpoint_unknown_model",
            )
        if answer.is_redirect:
            raise UserError(
                Said(
                    WORDS,
                    "leads_on",
                    url=self.base_url,
                    location=f"{answer.headers.get('location', '')!r}",
                ),
                code="endpoint_rejected",
            )
        raise UserError(
            Said(WORDS, "not_taken", url=url, status=answer.status_code, said=said),
            code=_why_rejected(answer, said),
        )

    def _completion(self, answer: httpx.Response, body: Mapping[str, Any]) -> Completion:
        text, said = self._said_in(answer)
        usage = said.get("usage")
        usage = usage if isinstance(usage, dict) else {}
        counts = [usage.get("prompt_tokens"), usage.get("completion_tokens")]
        counted = all(type(count) is int and count >= 0 for count in counts)
        return Completion(
            text=text,
            tokens_in=counts[0] if counted else guess_tokens(body),  # type: ignore[arg-type]
            tokens_out=counts[1] if counted else len(text) // 4 + 1,  # type: ignore[arg-type]
            counted=counted,
            seconds=answer.elapsed.total_seconds(),
            tokens=_tokens_in(said),
        )

    def _text(self, answer: httpx.Response) -> str:
        return self._said_in(answer)[0]

    def _said_in(self, answer: httpx.Response) -> tuple[str, dict[str, Any]]:
        try:
            said = answer.json()
            message = said["choices"][0]["message"]
            text = message.get("content") or ""
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise UserError(
                Said(WORDS, "no_completion", url=self.base_url, said=f"{self._said(answer)!r}"),
                code="endpoint_garbled",
            ) from error
        return storable(str(text)), said


def guess_tokens(body: Mapping[str, Any]) -> int:
    """About how many tokens a question has: a quarter of its characters, and a picture 800."""
    total = 0
    for message in body["messages"]:
        content = message["content"]
        parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
        for part in parts:
            total += 800 if part["type"] == "image_url" else len(str(part["text"])) // 4 + 4
    return total


def _tokens_in(said: Mapping[str, Any]) -> tuple[Token, ...]:
    """The log-probabilities of an answer, or nothing where there are none that can be read."""
    try:
        rows = said["choices"][0]["logprobs"]["content"]
        return tuple(
            Token(
                str(row["token"]),
                {
                    str(row["token"]): float(row["logprob"]),
                    **{str(one["token"]): float(one["logprob"]) for one in row["top_logprobs"]},
                },
            )
            for row in rows
        )
    except (LookupError, TypeError, ValueError):
        return ()


def _why_rejected(answer: httpx.Response, said: str) -> str:
    if answer.status_code == 413 or _TOO_LONG.search(said):
        return "prompt_too_long"
    if _NO_PICTURES.search(said) and b"image_url" in answer.request.content:
        return "cannot_see"
    return "endpoint_rejected"


def _transport(base_url: str) -> httpx.BaseTransport:
    """By the proxy that the environment names, which is the operator's to restrict; without one
    straight to an address that has been looked at."""
    try:
        parts = urlsplit(base_url)
        host = parts.hostname or ""
    except ValueError:
        return httpx.HTTPTransport()
    proxy = getproxies().get(parts.scheme) or getproxies().get("all")
    if proxy and host and not proxy_bypass(host):
        return httpx.HTTPTransport(proxy=proxy)
    transport = httpx.HTTPTransport(limits=httpx.Limits(max_connections=None))
    transport._pool._network_backend = _Looking()
    return transport


class _Looking(httpcore.SyncBackend):
    """Connects to addresses that may be reached, and to no other."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        try:
            addresses = reachable(host, port, allowed_hosts())
        except NotAllowed:
            raise
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(str(error)) from error
        last: Exception | None = None
        for address in addresses:
            try:
                return super().connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                last = error
        raise last or httpcore.ConnectError(f"{host} has no address")


def _retry_after(answer: httpx.Response) -> float | None:
    """Seconds that the server asks for: the header holds a number or a date."""
    value = answer.headers.get("retry-after", "")
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError):
        return None


def _sleep(seconds: float, stop: Callable[[], bool] | None) -> bool:
    """Wait; False as soon as ``stop`` says so."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if stop is not None and stop():
            return False
        time.sleep(min(left, 0.5))
    return stop is None or not stop()
