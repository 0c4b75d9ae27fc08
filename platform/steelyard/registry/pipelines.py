"""Which kind of model a diffusers folder or one on the hub is, and whether all of it is there."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from django.utils.translation import gettext as _

from steelyard.inference.kinds import PIPELINES, family_of
from steelyard.lib.errors import UserError
from steelyard.registry.models import ModelFamily

INDEX = "model_index.json"
_NEEDED = ("scheduler", "vae", "text_encoder", "tokenizer")
_UNUSED = ("safety_checker", "feature_extractor", "image_encoder")
"""Parts that are not loaded here, so they may be missing."""
_LIGHT = ("Tokenizer", "Scheduler", "Processor", "Extractor")
"""Classes with such a word in their names have no weights."""
_PICKLED = ("*.bin", "*.ckpt", "*.pt", "*.pth")
_WEIGHTS = re.compile(r"(diffusion_pytorch_)?model(-\d+-of-\d+)?\.safetensors")
_SECONDS = 5.0
"""How long the hub may take to say what kind of model it has."""


def family_in(index: dict[str, Any], source: str) -> str:
    """The family that ``model_index.json`` speaks of.

    Raises:
        UserError: ``not_a_model``: none that is known here.
    """
    name = str(index.get("_class_name", ""))
    family = family_of(name)
    if family is None:
        known = ", ".join(str(label) for value, label in ModelFamily.choices if value in PIPELINES)
        raise UserError(
            _(
                "%(source)s is a %(name)s, which is not trained or painted with here. Kinds that "
                "are: %(known)s."
            )
            % {"source": source, "name": name or _("model without a name"), "known": known},
            code="not_a_model",
            field="source",
        )
    return family


def check_family(index: dict[str, Any], source: str, family: str) -> None:
    """Refuse a family that the files do not speak of.

    Raises:
        UserError: ``wrong_family`` or ``not_a_model``.
    """
    found = family_in(index, source)
    if found != family:
        raise UserError(
            _("%(source)s is a %(name)s, so it is of the kind “%(found)s”, not “%(family)s”.")
            % {
                "source": source,
                "name": index["_class_name"],
                "found": ModelFamily(found).label,
                "family": ModelFamily(family).label,
            },
            code="wrong_family",
            field="family",
        )


def check_parts(path: Path, index: dict[str, Any]) -> None:
    """All that the index names lies there, weights in safetensors.

    Raises:
        UserError: ``not_a_model``, ``pickled_weights`` or ``weights_variant``, naming the part.
    """
    parts = {
        name: str(value[1])
        for name, value in index.items()
        if isinstance(value, list) and len(value) == 2 and value[1] and name not in _UNUSED
    }
    denoiser = next((name for name in ("transformer", "unet") if name in parts), "transformer")
    missing = [name for name in (*_NEEDED, denoiser) if name not in parts]
    missing += [name for name in parts if not (path / name).is_dir()]
    if missing:
        raise UserError(
            _("%(path)s lacks %(parts)s. Copy the whole pipeline, with all its folders.")
            % {"path": path, "parts": ", ".join(dict.fromkeys(missing))},
            code="not_a_model",
            field="source",
        )
    for name, kind in parts.items():
        if not any(word in kind for word in _LIGHT):
            _check_weights(path / name)


def _check_weights(part: Path) -> None:
    names = [file.name for file in part.glob("*.safetensors")]
    if any(_WEIGHTS.fullmatch(name) for name in names):
        return
    if names:
        raise UserError(
            _(
                "The weights in %(part)s are a variant alone (%(name)s). Copy the plain ones too, "
                "or load the pipeline with its variant and save it with save_pretrained."
            )
            % {"part": part, "name": names[0]},
            code="weights_variant",
            field="source",
        )
    refuse_pickled(part)
    raise UserError(
        _("%(part)s has no .safetensors file, so no weights.") % {"part": part},
        code="not_a_model",
        field="source",
    )


def refuse_pickled(folder: Path) -> None:
    """Say so where there are weights that could run code.

    Raises:
        UserError: ``pickled_weights``.
    """
    found = next((file for kind in _PICKLED for file in sorted(folder.glob(kind))), None)
    if found is not None:
        raise UserError(
            _(
                "The weights in %(path)s are pickled (%(kind)s), which could run code. Convert "
                "them to safetensors: load the model and call save_pretrained."
            )
            % {"path": folder, "kind": found.suffix},
            code="pickled_weights",
            field="source",
        )


def is_on_hub(name: str) -> bool | None:
    """Whether the hub has such a model, or it has been fetched before; None where the hub does not
    say: it is out of reach, is not to be asked, or wants a key for it."""
    import httpx
    from huggingface_hub import constants, get_token

    cached = Path(constants.HF_HUB_CACHE) / f"models--{name.replace('/', '--')}" / "snapshots"
    if cached.is_dir():
        return True
    if constants.HF_HUB_OFFLINE:
        return None
    token = get_token()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    address = f"{constants.ENDPOINT}/api/models/{name}"
    try:
        answer = httpx.get(address, headers=headers, timeout=_SECONDS, follow_redirects=True)
    except (httpx.HTTPError, OSError):
        return None
    return {200: True, 404: False}.get(answer.status_code)


def index_on_hub(name: str, *, ask: bool) -> dict[str, Any] | None:
    """The ``model_index.json`` of a model on the hub; None where it has none or is out of reach.

    Args:
        ask: over the network; else only what has been fetched before is looked at.
    """
    import httpx
    from huggingface_hub import hf_hub_download

    try:
        path = hf_hub_download(name, INDEX, local_files_only=not ask, etag_timeout=_SECONDS)
        index = json.loads(Path(path).read_bytes())
    except (OSError, ValueError, httpx.HTTPError):
        return None
    return index if isinstance(index, dict) else None
