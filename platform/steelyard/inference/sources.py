"""What went wrong when a model was loaded, in the words of the person who named it."""

from __future__ import annotations

from collections.abc import Iterator

from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)
from safetensors import SafetensorError

from steelyard.inference.saying import WORDS
from steelyard.lib.errors import UserError
from steelyard.lib.said import Said

LOAD_ERRORS = (OSError, ValueError, KeyError, RuntimeError, SafetensorError)
"""What the libraries raise when a folder or a hub name is not what was expected."""


def explain(error: Exception, source: str, what: str) -> UserError:
    """The asker's error that a library's exception stands for.

    Args:
        source: the folder or hub name that was asked for.
        what: what was expected there, such as "a language model".
    """
    causes = list(_causes(error))
    for kinds, code, advice in _KNOWN:
        if any(isinstance(cause, kinds) for cause in causes):
            return UserError(Said(WORDS, advice, source=source, what=what), code=code)
    text = str(error)
    for words, code, advice in _SIGNS:
        if any(word in text for word in words):
            return UserError(Said(WORDS, advice, source=source, what=what), code=code)
    return UserError(
        Said(WORDS, "not_loaded", source=source, what=what, text=" ".join(text.split())[:500]),
        code="not_a_model",
    )


_KNOWN: list[tuple[tuple[type[BaseException], ...], str, str]] = [
    ((GatedRepoError,), "gated_model", "gated_model"),
    ((RepositoryNotFoundError, HFValidationError), "unknown_model", "not_on_the_hub"),
    ((OfflineModeIsEnabled, LocalEntryNotFoundError), "model_unreachable", "hub_unreachable"),
    ((SafetensorError,), "broken_weights", "broken_weights"),
]
"""Kinds of errors, the asker's error, and the words for it."""
_SIGNS: list[tuple[tuple[str, ...], str, str]] = [
    (
        ("is not a local folder", "is not the path to a directory", "Incorrect path_or_model_id"),
        "unknown_model",
        "nowhere",
    ),
    (("trust_remote_code",), "needs_remote_code", "needs_remote_code"),
    (
        ("no file named model.safetensors", "does not appear to have a file named model.safe"),
        "no_safetensors",
        "no_safetensors",
    ),
    (
        ("Unrecognized configuration class", "Unrecognized model", "model_type"),
        "not_a_model",
        "other_model_type",
    ),
    (("config.json",), "not_a_model", "no_config"),
]


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
