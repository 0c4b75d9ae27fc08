"""A writer for any model that writes text, wherever its weights are."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

from steelyard.inference.endpoint import Endpoint
from steelyard.lib.errors import UserError

CONCURRENCY = 4
"""Questions to one endpoint at a time."""
DEFAULTS = {"temperature": 0.7, "top_p": 1.0, "max_new_tokens": 256}
_BATCH = {"cpu": 8, "cuda": 32}


class Writer(Protocol):
    batch_size: int
    """How many prompts are best handed over at a time."""

    def write(
        self,
        prompts: Sequence[Sequence[Mapping[str, Any]]],
        *,
        sampling: Mapping[str, Any],
        seeds: Sequence[int],
    ) -> list[str]:
        """One answer a prompt; each depends on its own prompt and seed only.

        Args:
            sampling: ``temperature``, ``top_p``, ``max_new_tokens``, as :func:`sampling_of`
                gives them.
        """
        ...

    def close(self) -> None:
        """Free the model's memory."""
        ...


def sampling_of(spec: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """How a model writes: its own sampling, where it says none what is wanted, else defaults.

    Raises:
        UserError: a number is out of its bounds.
    """
    known = {**wanted, **spec.get("sampling", {})}
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
) -> None:
    """Say what can be known to go wrong without loading weights or asking anybody.

    Raises:
        UserError: the model is not there, a prompt does not fit its context, an adapter's folder
            or an endpoint's key is missing.
    """
    if spec["family"] == "endpoint":
        open_endpoint(spec).close()
        return
    from steelyard.inference import adapters, text

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
    if spec["family"] == "causal_lm":
        return LocalWriter(spec, stop)
    if spec["family"] == "endpoint":
        return EndpointWriter(spec, stop)
    raise UserError(
        f"{spec['name']} is of family {spec['family']!r}, which writes no text. Choose a language "
        "model or an endpoint.",
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
            f"The key of {spec['name']} is not there: the environment variable {variable} is not "
            "set for this process.",
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
        self.stop, self._text = stop, text
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
    ) -> list[str]:
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


class EndpointWriter:
    """A language model behind HTTP, asked several questions at a time."""

    batch_size = CONCURRENCY

    def __init__(self, spec: Mapping[str, Any], stop: Callable[[], bool] | None = None) -> None:
        self.endpoint = open_endpoint(spec)
        self._stop = stop
        self._pool = ThreadPoolExecutor(CONCURRENCY)

    def write(
        self,
        prompts: Sequence[Sequence[Mapping[str, Any]]],
        *,
        sampling: Mapping[str, Any],
        seeds: Sequence[int],
    ) -> list[str]:
        asked = [
            self._pool.submit(
                self.endpoint.chat,
                messages,
                temperature=sampling["temperature"],
                top_p=sampling["top_p"],
                max_new_tokens=sampling["max_new_tokens"],
                seed=seed,
                stop=self._stop,
            )
            for messages, seed in zip(prompts, seeds, strict=True)
        ]
        return [future.result() for future in asked]

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        self.endpoint.close()


def _check_number(name: str, value: Any, least: float, most: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise UserError(
            f"{name} is {value!r} in the sampling; it must be a number, {least:g} to {most:g}.",
            code="bad_sampling",
        )
