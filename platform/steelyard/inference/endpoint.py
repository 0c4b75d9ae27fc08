"""Models behind an HTTP endpoint that speaks OpenAI's chat completions.

Hosted services and local servers (vLLM, llama.cpp, Ollama, TGI) are asked in the same way. The
client may be used from several threads at once.
"""

from __future__ import annotations

import email.utils
import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import httpx

from steelyard.inference.clean import storable
from steelyard.lib.errors import UserError

ATTEMPTS = 6
FIRST_WAIT = 1.0
LONGEST_WAIT = 60.0
TIMEOUT = httpx.Timeout(300.0, connect=10.0)
"""Seconds. A long answer from a busy server takes minutes; a server that is there answers the
connection at once."""
_TRY_AGAIN = {408, 425, 429}


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
                f"The key for {self.base_url} has characters that no key has, such as a line "
                "break or an accent. Paste it again.",
                code="endpoint_refused",
            )
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._client = httpx.Client(headers=headers, timeout=timeout)

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
                ``endpoint_unknown_model`` (404), ``endpoint_rejected`` (another 4xx) or
                ``endpoint_garbled`` (no chat completion came back).
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
        return self._text(self._post(body, attempts or self.attempts, stop))

    def _post(
        self, body: dict[str, Any], attempts: int, stop: Callable[[], bool] | None
    ) -> httpx.Response:
        trouble = ""
        for attempt in range(attempts):
            advised = None
            try:
                answer = self._client.post(f"{self.base_url}{self.path}", json=body)
            except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
                raise UserError(
                    f"{self.base_url} is not a URL that can be asked: {error}.",
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
            if attempt + 1 < attempts and not _sleep(self._wait(attempt, advised), stop):
                break
        raise UserError(
            f"The endpoint {self.base_url} gives no answer ({trouble}). Check that it runs, that "
            "the address is right and can be reached from the machine of the worker.",
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
        said = self._said(answer)
        if answer.status_code in {401, 403}:
            raise UserError(
                f"The endpoint {self.base_url} refuses the key ({answer.status_code} {said}). "
                "Enter a key that is valid there for this model.",
                code="endpoint_refused",
            )
        if answer.status_code == 404:
            raise UserError(
                f"The endpoint {self.base_url} knows no model “{self.model}”, or the URL is not "
                f"its base URL (404 {said}). It usually ends in /v1, and /v1/models lists the "
                "models.",
                code="endpoint_unknown_model",
            )
        raise UserError(
            f"The endpoint {self.base_url} does not take the question "
            f"({answer.status_code} {said}).",
            code="endpoint_rejected",
        )

    def _text(self, answer: httpx.Response) -> str:
        try:
            message = answer.json()["choices"][0]["message"]
            text = message.get("content") or ""
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise UserError(
                f"What {self.base_url} answered is no chat completion: {self._said(answer)!r}. "
                "Check that the URL is the base of an OpenAI-compatible API; it usually ends in "
                "/v1.",
                code="endpoint_garbled",
            ) from error
        return storable(str(text))


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
