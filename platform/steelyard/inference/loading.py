"""A writer for any model that writes text, wherever its weights are."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

from steelyard.inference.endpoint import Endpoint
from steelyard.inference.revising import ROOM, RevisingWriter, revision_messages
from steelyard.inference.saying import WORDS
from steelyard.lib.errors import UserError
from steelyard.lib.said import Said

CONCURRENCY = 4
"""Questions to one endpoint at a time."""
DEFAULTS = {"temperature": 0.7, "top_p": 1.0, "max_new_tokens": 256}
_BATCH = {"cpu": 8, "cuda": 32}
_SEEING_BATCH = {"cpu": 2, "cuda": 8}
Media = Sequence[Sequence[Path]]


class Writer(Protocol):
    batch_size: int
    """How many prompts are best handed over at a time."""

    def write(
        self,
        prompts: Sequence[Sequence[Mapping[str, Any]]],
        *,
        sampling: Mapping[str, Any],
        seeds: Sequence[int],
        media: Media = (),
    ) -> list[str]:
        """One answer a prompt; each depends on its own prompt, media and seed only.

        Args:
            media: for each prompt the files that it is about; empty where no prompt has any.
            sampling: ``temperature``, ``top_p``, ``max_new_tokens``, as :func:`sampling_of`
                gives them.
        """
        ...

    def close(self) -> None:
        """Free the model's memory."""
        ...


def sampling_of(spec: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """How a model writes: as is wanted, where nothing is said by its own sampling, else defaults.

    Raises:
        UserError: a number is out of its bounds.
    """
    known = {**spec.get("sampling", {}), **wanted}
    values = {name: known.get(name, default) for name, default in DEFAULTS.items()}
    _check_number("temperature", values["temperature"], 0, 10)
    _check_number("top_p", values["top_p"], 1e-6, 1)
    _check_number("max_new_tokens", values["max_new_tokens"], 1, 100_000)
    values["max_new_tokens"] = int(values["max_new_tokens"])
    return values


def check_writer(
    spec: Mapping[str, Any],
    prompts: Sequence[Sequence[Mapping[str, Any]]],
    *,
    sampling: Mapping[str, Any],
    media: Media = (),
) -> None:
    """Say what can be known to go wrong without loading weights or asking anybody.

    Args:
        media: as of :meth:`Writer.write`.

    Raises:
        UserError: the model is not there, a prompt does not fit its context, an adapter's folder
            or an endpoint's key is missing.
    """
    if spec["family"] == "endpoint":
        open_endpoint(spec).close()
        return
    if spec["family"] == "pipeline":
        from steelyard.inference.pipelines.writing import check_pipeline

        check_pipeline(spec, media)
        return
    from steelyard.inference import adapters, text, vision
    from steelyard.inference.frames import read_pictures

    if told := spec.get("revisions"):
        # the last answer is read before the next is written
        prompts = [revision_messages(messages, "", told["asked"]) for messages in prompts]
        longest = int(ROOM * sampling["max_new_tokens"])
        sampling = {**sampling, "max_new_tokens": longest}
    if spec["family"] == "vision_language":
        config, processor = vision.load_processor(spec["source"])
        for messages, files in zip(prompts, media or [[]] * len(prompts), strict=True):
            seen = [picture for path in files for picture in read_pictures(path)]
            ids = vision.encode_look(processor, messages, seen).ids
            text.check_fits(config, ids, sampling["max_new_tokens"], messages)
    else:
        check_blind(spec, media)
        config, tokenizer = text.load_tokenizer(spec["source"])
        for messages in prompts:
            ids = text.encode_prompt(tokenizer, messages)
            text.check_fits(config, ids, sampling["max_new_tokens"], messages)
    for folder in spec.get("adapters", []):
        adapters.read_config(Path(folder))


def load_writer(spec: Mapping[str, Any], *, stop: Callable[[], bool] | None = None) -> Writer:
    """Load a model by its spec, as ``ModelVersion.as_spec`` gives it.

    Args:
        stop: asked now and then while it writes; when true the writer raises
            :class:`~steelyard.inference.sampling.Interrupted`.

    Raises:
        UserError: the model cannot be loaded, or is none that writes text.
    """
    if spec.get("revisions"):
        plain = {name: value for name, value in spec.items() if name != "revisions"}
        return RevisingWriter(load_writer(plain, stop=stop), spec["revisions"])
    if spec["family"] == "causal_lm":
        return LocalWriter(spec, stop)
    if spec["family"] == "vision_language":
        return SeeingWriter(spec, stop)
    if spec["family"] == "endpoint":
        return EndpointWriter(spec, stop)
    if spec["family"] == "pipeline":
        from steelyard.inference.pipelines.writing import PipelineWriter

        return PipelineWriter(spec, stop)
    raise UserError(
        Said(WORDS, "writes_no_text", model=spec["name"], family=f"{spec['family']!r}"),
        code="cannot_generate",
    )


def open_endpoint(spec: Mapping[str, Any]) -> Endpoint:
    """The endpoint of a spec; its key comes from the environment variable that the spec names.

    Raises:
        UserError: that variable is not set.
    """
    variable = spec.get("api_key_env")
    key = os.environ.get(variable, "") if variable else ""
    if variable and not key:
        raise UserError(
            Said(WORDS, "no_key", name=spec["name"], variable=variable),
            code="no_key",
        )
    return Endpoint(spec["base_url"], spec["model"], key)


class LocalWriter:
    """A language model in this process."""

    def __init__(self, spec: Mapping[str, Any], stop: Callable[[], bool] | None = None) -> None:
        # torch is slow to import, and a process that only asks an endpoint can do without
        import torch

        from steelyard.inference import text

        device = "cuda" if torch.cuda.is_available() else "cpu"
        self.batch_size = _BATCH[device]
        self.spec, self.stop, self._text = spec, stop, text
        self.model, self.tokenizer = text.load_causal_lm(
            spec["source"],
            adapters=spec.get("adapters", []),
            dtype=torch.bfloat16 if device == "cuda" else torch.float32,
            device=device,
        )

    def write(
        self,
        prompts: Sequence[Sequence[Mapping[str, Any]]],
        *,
        sampling: Mapping[str, Any],
        seeds: Sequence[int],
        media: Media = (),
    ) -> list[str]:
        check_blind(self.spec, media)
        made = self._text.generate(
            self.model,
            self.tokenizer,
            prompts,
            max_new_tokens=sampling["max_new_tokens"],
            temperature=sampling["temperature"],
            top_p=sampling["top_p"],
            seeds=seeds,
            batch_size=self.batch_size,
            stop=self.stop,
        )
        return [answer.text for answer in made]

    def close(self) -> None:
        del self.model
        import torch

        if torch.cuda.is_available():
            torch.cuda.empty_cache()


class SeeingWriter:
    """A vision-language model in this process."""

    def __init__(self, spec: Mapping[str, Any], stop: Callable[[], bool] | None = None) -> None:
        import torch

        from steelyard.inference import vision

        device = "cuda" if torch.cuda.is_available() else "cpu"
        self.batch_size = _SEEING_BATCH[device]
        self.stop, self._vision = stop, vision
        self.model, self.processor = vision.load_vision_language(
            spec["source"],
            adapters=spec.get("adapters", []),
            dtype=torch.bfloat16 if device == "cuda" else torch.float32,
            device=device,
        )

    def write(
        self,
        prompts: Sequence[Sequence[Mapping[str, Any]]],
        *,
        sampling: Mapping[str, Any],
        seeds: Sequence[int],
        media: Media = (),
    ) -> list[str]:
        from steelyard.inference.frames import read_pictures

        pictures = [
            [picture for path in files for picture in read_pictures(path)]
            for files in media or [[]] * len(prompts)
        ]
        made = self._vision.generate(
            self.model,
            self.processor,
            prompts,
            pictures,
            max_new_tokens=sampling["max_new_tokens"],
            temperature=sampling["temperature"],
            top_p=sampling["top_p"],
            seeds=seeds,
            batch_size=self.batch_size,
            stop=self.stop,
        )
        return [answer.text for answer in made]

    def close(self) -> None:
        del self.model
        import torch

        if torch.cuda.is_available():
            torch.cuda.empty_cache()


class EndpointWriter:
    """A language model behind HTTP, asked several questions at a time."""

    batch_size = CONCURRENCY

    def __init__(self, spec: Mapping[str, Any], stop: Callable[[], bool] | None = None) -> None:
        self.endpoint = open_endpoint(spec)
        self.usage: list[dict[str, Any]] = []
        """Of each answer of the last call, what it took."""
        self._stop = stop
        self._pool = ThreadPoolExecutor(CONCURRENCY)

    def write(
        self,
        prompts: Sequence[Sequence[Mapping[str, Any]]],
        *,
        sampling: Mapping[str, Any],
        seeds: Sequence[int],
        media: Media = (),
    ) -> list[str]:
        asked = [
            self._pool.submit(
                self.endpoint.complete,
                _shown(messages, files),
                temperature=sampling["temperature"],
                top_p=sampling["top_p"],
                max_new_tokens=sampling["max_new_tokens"],
                seed=seed,
                stop=self._stop,
            )
            for messages, seed, files in zip(
                prompts, seeds, media or [[]] * len(prompts), strict=True
            )
        ]
        answers = [future.result() for future in asked]
        self.usage = [
            {"tokens_in": one.tokens_in, "tokens_out": one.tokens_out, "counted": one.counted}
            for one in answers
        ]
        return [one.text for one in answers]

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        self.endpoint.close()


def _shown(
    messages: Sequence[Mapping[str, Any]], files: Sequence[Path]
) -> Sequence[Mapping[str, Any]]:
    """The messages with pictures at the head of the last user's, as chat completions take them."""
    if not files:
        return messages
    from steelyard.inference.frames import read_pictures

    parts: list[dict[str, Any]] = []
    for picture in (picture for path in files for picture in read_pictures(path)):
        packed = io.BytesIO()
        picture.save(packed, "JPEG", quality=92)
        data = base64.b64encode(packed.getvalue()).decode()
        parts.append({"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{data}"}})
    made = [dict(message) for message in messages]
    for message in reversed(made):
        if message["role"] == "user":
            message["content"] = [*parts, {"type": "text", "text": message["content"]}]
            return made
    raise UserError("A prompt with pictures needs a message of a user.", code="no_user")


def check_blind(spec: Mapping[str, Any], shown: Iterable[Any]) -> None:
    """A language model, or a pipeline, has nothing to look at.

    Raises:
        UserError: there is something that would have to be shown.
    """
    if any(shown):
        raise UserError(Said(WORDS, "cannot_see", model=spec["name"]), code="cannot_see")


def _check_number(name: str, value: Any, least: float, most: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise UserError(
            f"{name} is {value!r} in the sampling; it must be a number, {least:g} to {most:g}.",
            code="bad_sampling",
        )
