"""The files of a model that was made here. A folder that somebody named by hand is not ours to
hand out: only what lies among the models that runs have made."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from django.conf import settings
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.utils.http import quote_etag

from steelyard.registry.models import ModelVersion
from steelyard.web.ranges import serve_file

TYPES = {".json": "application/json", ".md": "text/markdown; charset=utf-8"}


class ModelFile(NamedTuple):
    name: str
    """Its path within the model's folder."""
    size: int
    path: Path


def files_of(model: ModelVersion) -> list[ModelFile]:
    """Card, config and weights in safetensors; none of a model that was not made here."""
    folder = _folder(model)
    if folder is None:
        return []
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    named = [(path.relative_to(folder).as_posix(), path) for path in paths]
    return [
        ModelFile(name, path.stat().st_size, path)
        for name, path in named
        if not any(part.startswith(".") for part in name.split("/"))
    ]


def serve_model_file(request: HttpRequest, model: ModelVersion, name: str) -> HttpResponseBase:
    """One of them, whole or in part.

    Raises:
        Http404: the model has no such file here.
    """
    file = next((file for file in files_of(model) if file.name == name), None)
    if file is None:
        raise Http404("This model has no such file here.")
    etag = quote_etag(f"{model.pk}-{file.size}-{file.path.stat().st_mtime_ns}")
    mime = TYPES.get(file.path.suffix, "application/octet-stream")
    response = serve_file(
        request, file.path, size=file.size, etag=etag, mime=mime, modified=model.created_at
    )
    short = "".join(sign if sign.isascii() and sign.isprintable() else "_" for sign in model.name)
    plain = f"{short}-{file.path.name}".replace('"', "").replace("\\", "").replace("/", "-")
    response["Content-Disposition"] = f'attachment; filename="{plain}"'
    response["Cache-Control"] = "private, no-cache"
    return response


def _folder(model: ModelVersion) -> Path | None:
    place = model.adapter or model.source
    if model.made_by_id is None or not place.startswith("/"):
        return None
    folder, ours = Path(place).resolve(), Path(settings.MODELS_DIR).resolve()
    return folder if folder.is_dir() and ours in folder.parents else None
