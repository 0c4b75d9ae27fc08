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

from steelyard.lib.errors import UserError

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
            return UserError(advice.format(source=source, what=what), code=code)
    text = str(error)
    for words, code, advice in _WORDS:
        if any(word in text for word in words):
            return UserError(advice.format(source=source, what=what), code=code)
    return UserError(
        f"{source} could not be loaded as {what}: {' '.join(text.split())[:500]}",
        code="not_a_model",
    )


_KNOWN: list[tuple[tuple[type[BaseException], ...], str, str]] = [
    (
        (GatedRepoError,),
        "gated_model",
        "{source} is behind a licence on the hub. Accept it there and set HF_TOKEN for the "
        "worker, or give a local folder.",
    ),
    (
        (RepositoryNotFoundError, HFValidationError),
        "unknown_model",
        "There is no model called {source}: neither a folder on this machine nor a name on the "
        "hub. Check the spelling; a private one needs HF_TOKEN.",
    ),
    (
        (OfflineModeIsEnabled, LocalEntryNotFoundError),
        "model_unreachable",
        "{source} is not on this machine, and the hub could not be reached to fetch it. Check the "
        "name and the machine's connection, or give a local folder.",
    ),
    (
        (SafetensorError,),
        "broken_weights",
        "The weights of {source} are broken or half copied. Copy or download them again.",
    ),
]
_WORDS: list[tuple[tuple[str, ...], str, str]] = [
    (
        ("is not a local folder", "is not the path to a directory", "Incorrect path_or_model_id"),
        "unknown_model",
        "There is no model called {source}: neither a folder on this machine nor a name on the "
        "hub. Check the spelling.",
    ),
    (
        ("trust_remote_code",),
        "needs_remote_code",
        "{source} needs Python code of its own to be run, which Steelyard does not do. Choose a "
        "model of an architecture that transformers knows.",
    ),
    (
        ("no file named model.safetensors", "does not appear to have a file named model.safe"),
        "no_safetensors",
        "{source} has no weights in safetensors; other formats could run code. Convert them: load "
        "the model and call save_pretrained.",
    ),
    (
        ("Unrecognized configuration class", "Unrecognized model", "model_type"),
        "not_a_model",
        "{source} is not {what} that transformers can load: look at model_type in its config.json.",
    ),
    (
        ("config.json",),
        "not_a_model",
        "{source} has no config.json, so it is not {what}. Give the folder that save_pretrained "
        "wrote.",
    ),
]


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
