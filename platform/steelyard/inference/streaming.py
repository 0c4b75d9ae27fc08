"""Answers piece by piece, as they are written: of a model in this process or behind an endpoint."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import httpx

from steelyard.inference.clean import storable
from steelyard.inference.endpoint import TIMEOUT, Endpoint
from steelyard.inference.loading import load_writer, open_endpoint
from steelyard.inference.saying import WORDS
from steelyard.lib.addresses import NotAllowed
from steelyard.lib.errors import UserError
from steelyard.lib.said import Said

if TYPE_CHECKING:
    from steelyard.inference.loading import LocalWriter

Messages = Sequence[Mapping[str, Any]]
Say = Callable[[str], None]
"""Is told the next piece of an answer."""
ATTEMPTS = 3
"""How often an endpoint is asked: somebody waits before the screen."""
_TRY_AGAIN = {408, 425, 429}
_UNFINISHED = "\N{REPLACEMENT CHARACTER}"
"""What a tokenizer writes of a character whose bytes are not all there yet."""


class Speaker(Protocol):
    """Writes one answer at a time, and tells it as it goes."""

    at_once: int
    """How many threads may ask at a time."""

    def speak(self, messages: Messages, *, sampling: Mapping[str, Any], seed: int, say: Say) -> str:
        """The whole answer, of which ``say`` was told pieces before. The whole is what counts:
        pieces of some tokenizers differ from it in blanks.

        Raises:
            UserError: the prompt does not fit, or the endpoint gives no (whole) answer.
            Interrupted: the process is to stop; of local models alone.
        """
        ...

    def close(self) -> None: ...


def load_speaker(spec: Mapping[str, Any], *, stop: Callable[[], bool]) -> Speaker:
    """Load a model by its spec, as ``ModelVersion.as_spec`` gives it.

    Raises:
        UserError: it cannot be loaded, or writes no text.
    """
    if spec["family"] == "endpoint":
        return EndpointSpeaker(spec, stop)
    writer: Any = load_writer(spec, stop=stop)
    # of a model that revises only the last answer counts, and nobody is to read the others first
    told_as_written = spec["family"] == "causal_lm" and not spec.get("revisions")
    return LocalSpeaker(writer) if told_as_written else WholeSpeaker(writer)


class LocalSpeaker:
    """A language model in this process."""

    at_once = 1

    def __init__(self, writer: LocalWriter) -> None:
        self.writer = writer

    def speak(self, messages: Messages, *, sampling: Mapping[str, Any], seed: int, say: Say) -> str:
        import torch

        from steelyard.inference import text
        from steelyard.inference.sampling import Draw

        model, tokenizer = self.writer.model, self.writer.tokenizer
        ids, most = text.encode_prompt(tokenizer, messages), sampling["max_new_tokens"]
        text.check_fits(model.config, ids, most, messages)
        draw = Draw([(seed, ids)], sampling["temperature"], sampling["top_p"])
        told = _Pieces(tokenizer, say)
        with torch.inference_mode():
            made = text.generate_batch(
                model, tokenizer, [ids], draw, most, self.writer.stop, streamer=told
            )
        return made[0].text

    def close(self) -> None:
        self.writer.close()


class WholeSpeaker:
    """A model that is known here by whole answers alone, such as a vision-language one."""

    at_once = 1

    def __init__(self, writer: Any) -> None:
        self.writer = writer

    def speak(self, messages: Messages, *, sampling: Mapping[str, Any], seed: int, say: Say) -> str:
        return str(self.writer.write([messages], sampling=sampling, seeds=[seed])[0])

    def close(self) -> None:
        self.writer.close()


class _Pieces:
    """A streamer of transformers: the prompt comes first, then token after token.

    Text is decoded from the last end of a line on, so that a long answer costs no more a token.
    """

    def __init__(self, tokenizer: Any, say: Say) -> None:
        self.tokenizer, self.say = tokenizer, say
        self.ids: list[int] = []
        self.said = 0
        self._prompt = True

    def put(self, value: Any) -> None:
        if self._prompt:
            self._prompt = False
            return
        self.ids += value.flatten().tolist()
        text = _sendable(str(self.tokenizer.decode(self.ids, skip_special_tokens=True)))
        if text.endswith(_UNFINISHED):
            return
        if piece := text[self.said :]:
            self.say(piece)
        self.said = len(text)
        if text.endswith("\n"):
            self.ids, self.said = [], 0

    def end(self) -> None:
        """What is left is in the whole answer."""


class EndpointSpeaker:
    """A language model behind HTTP, asked for a stream of server-sent events. A server that sends
    its answer as a whole all the same is understood."""

    at_once = 4

    def __init__(self, spec: Mapping[str, Any], stop: Callable[[], bool]) -> None:
        self.endpoint, self._stop = open_endpoint(spec), stop

    def speak(self, messages: Messages, *, sampling: Mapping[str, Any], seed: int, say: Say) -> str:
        body: dict[str, Any] = {
            "model": self.endpoint.model,
            "messages": [dict(message) for message in messages],
            "temperature": sampling["temperature"],
            "max_tokens": sampling["max_new_tokens"],
            "seed": seed,
            "stream": True,
        }
        if sampling["top_p"] < 1:
            body["top_p"] = sampling["top_p"]
        pieces: list[str] = []
        for piece in stream(self.endpoint, body, stop=self._stop):
            pieces.append(piece)
            say(piece)
        return storable("".join(pieces))

    def close(self) -> None:
        self.endpoint.close()


def stream(
    endpoint: Endpoint,
    body: dict[str, Any],
    *,
    attempts: int = ATTEMPTS,
    stop: Callable[[], bool] | None = None,
) -> Iterator[str]:
    """The pieces of one answer. What passes by itself is tried again, as long as no piece came.

    Raises:
        UserError: as of :meth:`Endpoint.chat`; ``endpoint_broke_off`` where it stopped midway.
    """
    from steelyard.inference.endpoint import _sleep

    trouble = ""
    for attempt in range(attempts):
        began = False
        try:
            address = f"{endpoint.base_url}{endpoint.path}"
            with endpoint._client.stream("POST", address, json=body, timeout=TIMEOUT) as answer:
                if answer.is_success:
                    for piece in _pieces_of(endpoint, answer):
                        began = True
                        yield piece
                    return
                answer.read()
                if answer.status_code == 400 and "max_completion_tokens" in answer.text:
                    body["max_completion_tokens"] = body.pop("max_tokens", None)
                    continue
                if answer.status_code not in _TRY_AGAIN and answer.status_code < 500:
                    endpoint._refuse(answer)
                trouble = f"it answered {answer.status_code} {endpoint._said(answer)}".rstrip()
        except NotAllowed as error:
            raise UserError(
                Said(WORDS, "not_asked", url=endpoint.base_url, why=error), code="private_address"
            ) from error
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise UserError(
                Said(WORDS, "no_url", url=endpoint.base_url, error=error),
                code="endpoint_unreachable",
            ) from error
        except httpx.TransportError as error:
            if began:
                raise UserError(
                    Said(WORDS, "broke_off_by", url=endpoint.base_url, error=type(error).__name__),
                    code="endpoint_broke_off",
                ) from error
            trouble = f"{type(error).__name__}: {error}".rstrip(": ")
        if attempt + 1 < attempts and not _sleep(endpoint._wait(attempt, None), stop):
            break
    raise UserError(
        Said(WORDS, "no_answer", url=endpoint.base_url, trouble=trouble),
        code="endpoint_unreachable",
    )


def _sendable(piece: str) -> str:
    """:func:`storable` of a piece, whose blanks count."""
    return piece.replace("\x00", "").encode("utf-8", "replace").decode()


def _pieces_of(endpoint: Endpoint, answer: httpx.Response) -> Iterator[str]:
    if "event-stream" not in answer.headers.get("content-type", ""):
        answer.read()
        yield endpoint._text(answer)
        return
    whole = False
    for line in answer.iter_lines():
        data = line.removeprefix("data:").strip()
        if not line.startswith("data:") or not data:
            continue
        if data == "[DONE]":
            return
        try:
            choice = (json.loads(data).get("choices") or [{}])[0]
            piece = (choice.get("delta") or {}).get("content") or ""
        except (ValueError, AttributeError, LookupError, TypeError) as error:
            raise UserError(
                Said(WORDS, "no_stream", url=endpoint.base_url, said=f"{data[:200]!r}"),
                code="endpoint_garbled",
            ) from error
        whole = whole or bool(choice.get("finish_reason"))
        if piece:
            yield _sendable(str(piece))
    if not whole:
        raise UserError(
            Said(WORDS, "broke_off", url=endpoint.base_url),
            code="endpoint_broke_off",
        )
