"""Whether a model can be loaded from where somebody says it is, told before hours are spent.

Only looks at names, small files and the headers of large ones: no weights are read, and nothing is
fetched but the page of a model on the hub that says which kind it is, where nobody else does.
"""

from __future__ import annotations

import re
from importlib.util import find_spec
from json import JSONDecodeError
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.utils.translation import gettext as _

from steelyard.inference.kinds import IMAGE, PIPELINES, VIDEO
from steelyard.lib.errors import UserError
from steelyard.lib.weights import Broken, check_json, header_of
from steelyard.projects.models import Modality
from steelyard.registry.chat_templates import refusal
from steelyard.registry.models import ModelFamily
from steelyard.registry.pipelines import (
    INDEX,
    check_family,
    check_parts,
    family_in,
    index_on_hub,
    refuse_pickled,
)

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
SEEING = [ModelFamily.VISION_LANGUAGE, ModelFamily.ENDPOINT]
FAMILIES = {
    Modality.TEXT: [ModelFamily.CAUSAL_LM, ModelFamily.VISION_LANGUAGE, ModelFamily.ENDPOINT],
    Modality.IMAGE: [*(ModelFamily(family) for family in IMAGE), *SEEING],
    Modality.VIDEO: [*(ModelFamily(family) for family in VIDEO), *SEEING],
}
"""Which families can be added by hand to a project of a modality; those that write are judges where
pictures or clips are compared."""


def check_source(*, modality: str, family: str, source: str, model: str = "") -> str:
    """The source as it is to be kept.

    Raises:
        UserError: naming the field and what would be right.
    """
    known = FAMILIES[Modality(modality)]
    if family not in known:
        raise UserError(
            _(
                "No model of family %(family)s is for a project of %(modality)s; these are: "
                "%(names)s."
            )
            % {"modality": modality, "family": f"{family!r}", "names": ", ".join(known)},
            field="family",
        )
    if family == ModelFamily.ENDPOINT:
        return _endpoint(source, model)
    if not source:
        raise UserError(_("Give the model's folder or its hub name."), field="source")
    if is_folder(source):
        return _folder(Path(source).expanduser(), family)
    if not _HUB_NAME.fullmatch(source) or ".." in source or len(source) > 96:
        raise UserError(
            _(
                "“%(source)s” is neither a folder nor a hub name. A folder begins with “/”; a "
                "hub name looks like “organisation/model”."
            )
            % {"source": source},
            code="bad_model_name",
            field="source",
        )
    index = index_on_hub(source, ask=False) if family in PIPELINES else None
    if index is not None:
        check_family(index, source, family)
    return source


def find_family(source: str) -> str:
    """Which family of image or video models a folder or a model on the hub is of, by its files.

    Raises:
        UserError: ``family_unknown``: they do not say; ``not_a_model``: none that is known here.
    """
    path = Path(source).expanduser()
    if not is_folder(source):
        index = index_on_hub(source, ask=True) if _HUB_NAME.fullmatch(source) else None
    elif (path / "labels.json").is_file():
        return ModelFamily.CLASS_UNET
    else:
        index = _json(path / INDEX) if (path / INDEX).is_file() else None
    if index is not None:
        return family_in(index, source)
    if is_folder(source) and path.is_dir():
        refuse_pickled(path)
    if is_folder(source) and not path.exists():
        raise UserError(
            _("There is no folder %(path)s on this server.") % {"path": path},
            code="no_such_model",
            field="source",
        )
    raise UserError(
        _(
            "No %(name)s says which kind of model %(source)s is, or the hub cannot be asked. "
            "Choose the kind."
        )
        % {"name": INDEX, "source": source},
        code="family_unknown",
        field="family",
    )


def is_folder(source: str) -> bool:
    """Whether it names a place on this server's disk rather than on the hub."""
    return source.startswith(("/", ".", "~"))


def _endpoint(source: str, model: str) -> str:
    try:
        parts = urlsplit(source)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise UserError(
            _("An endpoint's source is its base URL, such as http://localhost:8000/v1."),
            field="source",
        )
    if parts.username or parts.password or parts.query:
        raise UserError(
            _("Leave user, password and query out of the URL; the key has a field of its own."),
            field="source",
        )
    if not model:
        raise UserError(
            _("Say what the endpoint calls the model, as in its list of models."),
            field="endpoint_model",
        )
    return source.rstrip("/")


def _folder(path: Path, family: str) -> str:
    if path.is_file():
        raise UserError(
            _(
                "%(path)s is one file. Give the folder of the model; a checkpoint in one file "
                "becomes one by diffusers' from_single_file and save_pretrained."
            )
            % {"path": path},
            code="no_such_model",
            field="source",
        )
    if not path.is_dir():
        raise UserError(
            _("There is no folder %(path)s on this server.") % {"path": path},
            code="no_such_model",
            field="source",
        )
    path = path.resolve()
    if family in PIPELINES:
        if not (path / INDEX).is_file():
            refuse_pickled(path)
        _need(path, INDEX, "a diffusers pipeline")
        index = _json(path / INDEX)
        check_family(index, str(path), family)
        check_parts(path, index)
    elif family == ModelFamily.CLASS_UNET:
        _need(path, "config.json", "a diffusers UNet")
        _json(path / "config.json")
        _need_safetensors(path)
    else:
        _refuse_adapter(path)
        _need(path, "config.json", "a transformers model")
        _refuse_own_code(path, _json(path / "config.json"))
        _need_safetensors(path)
        _need_chat_template(path)
        _need_answering_template(path, in_parts=family == ModelFamily.VISION_LANGUAGE)
        if family == ModelFamily.VISION_LANGUAGE:
            _need_processor(path)
    _need_whole(path)
    return str(path)


def _refuse_adapter(path: Path) -> None:
    if not (path / "adapter_config.json").is_file() or (path / "config.json").is_file():
        return
    base = str(_json(path / "adapter_config.json").get("base_model_name_or_path") or "")
    named = _("“%(base)s”") % {"base": base} if base else _("a base that it does not name")
    raise UserError(
        _(
            "%(path)s is an adapter for %(base)s, not a whole model. Merge it into its base (load "
            "it with peft, then merge_and_unload and save_pretrained, the tokenizer too) and give "
            "that folder."
        )
        % {"path": path, "base": named},
        code="is_adapter",
        field="source",
    )


def _refuse_own_code(path: Path, config: dict[str, Any]) -> None:
    """A kind that transformers does not know, which only code in the folder could load."""
    if not config.get("auto_map"):
        return
    kind = str(config.get("model_type", ""))
    if _is_known(kind):
        return
    raise UserError(
        _(
            "%(path)s needs Python code of its own to be run, which Steelyard does not do: its "
            "model_type “%(kind)s” is none that transformers knows. Choose a model of an "
            "architecture that it knows."
        )
        % {"path": path, "kind": kind},
        code="needs_remote_code",
        field="source",
    )


def _is_known(kind: str) -> bool:
    """Whether transformers' lists name it; read as text, for the library itself would load torch,
    which costs a web process seconds and half a gigabyte."""
    found = find_spec("transformers")
    lists = Path(str(found.origin)).parent / "models" / "auto" if found else Path()
    names = ("auto_mappings.py", "configuration_auto.py")
    texts = [(lists / name).read_text() for name in names if (lists / name).is_file()]
    return not texts or any(f'"{kind}"' in text for text in texts)


def _need(path: Path, name: str, what: str) -> None:
    if not (path / name).is_file():
        raise UserError(
            _("%(path)s has no %(name)s; it is not %(what)s.")
            % {"path": path, "name": name, "what": what},
            code="not_a_model",
            field="source",
        )


def _need_safetensors(path: Path) -> None:
    if any(path.glob("*.safetensors")):
        return
    refuse_pickled(path)
    raise UserError(
        _("%(path)s has no .safetensors file, so no weights.") % {"path": path},
        code="not_a_model",
        field="source",
    )


def _need_chat_template(path: Path) -> None:
    if not (path / "tokenizer_config.json").is_file():
        raise UserError(
            _("%(path)s has no tokenizer_config.json; save the tokenizer beside the model.")
            % {"path": path},
            code="no_tokenizer",
            field="source",
        )
    if (path / "chat_template.jinja").exists() or (path / "chat_template.json").exists():
        return
    if not _json(path / "tokenizer_config.json").get("chat_template"):
        raise UserError(
            _(
                "The tokenizer in %(path)s has no chat template. Use an instruct model, or save "
                "a tokenizer with its chat_template set."
            )
            % {"path": path},
            code="no_chat_template",
            field="source",
        )


def _need_answering_template(path: Path, *, in_parts: bool) -> None:
    if said := refusal(path, in_parts=in_parts):
        raise UserError(
            _(
                "The chat template in %(path)s refuses a plain question. It says: “%(said)s”. Mend "
                "the template, or use another model."
            )
            % {"path": path, "said": said},
            code="bad_template",
            field="source",
        )


def _need_processor(path: Path) -> None:
    names = ("processor_config.json", "preprocessor_config.json")
    if any((path / name).is_file() for name in names):
        return
    raise UserError(
        _(
            "%(path)s has neither %(names)s, so it is not known how to show it a picture. Save the "
            "processor beside the model, or add it as a language model."
        )
        % {"path": path, "names": " nor ".join(names)},
        code="no_processor",
        field="source",
    )


def _need_whole(path: Path) -> None:
    """The weights' files are as long as they say themselves, and none of a series is missing."""
    for index in sorted(path.rglob("*.safetensors.index.json")):
        parts = _json(index).get("weight_map")
        names = {str(name) for name in parts.values()} if isinstance(parts, dict) else set()
        lost = sorted(name for name in names if not (index.parent / name).is_file())
        if lost:
            raise UserError(
                _("%(path)s lacks %(names)s, which %(index)s names. Copy the missing files too.")
                % {"path": path, "names": ", ".join(lost[:3]), "index": index.name},
                code="broken_weights",
                field="source",
            )
    for file in sorted(path.rglob("*.safetensors")):
        try:
            header_of(file)
        except Broken as error:
            raise UserError(
                _(
                    "%(file)s in %(path)s is broken or half copied: the file is not as long as "
                    "its header says, or has none. Copy it again."
                )
                % {"file": file.name, "path": file.parent},
                code="broken_weights",
                field="source",
            ) from error
        except OSError as error:
            raise UserError(
                _("%(file)s in %(path)s cannot be read.")
                % {"file": file.name, "path": file.parent},
                code="broken_weights",
                field="source",
            ) from error


def _json(path: Path) -> dict[str, Any]:
    try:
        return check_json(path)
    except (Broken, OSError) as error:
        cause = error.__cause__
        if isinstance(cause, JSONDecodeError):
            text = _("%(name)s in %(path)s is no JSON (line %(line)s, column %(column)s).") % {
                "name": path.name,
                "path": path.parent,
                "line": cause.lineno,
                "column": cause.colno,
            }
        else:
            text = _("%(path)s is not a JSON object.") % {"path": path}
        raise UserError(text, code="not_a_model", field="source") from error
