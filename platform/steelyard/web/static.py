"""Static files: each URL names the state of all of them, so that a browser may keep them for ever,
and what is text is compressed once and served so.

Nothing has to be collected or built. A relative URL within a style sheet or a module stays within
the same state, because the state stands in front of the path: ``/static-3f2a…/js/label.js``.
``/static/js/label.js`` is served too, for those who ask for the newest.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.storage import StaticFilesStorage
from django.http import HttpRequest, HttpResponse
from whitenoise.middleware import WhiteNoiseMiddleware
from whitenoise.responders import StaticFile

FOREVER = "max-age=31536000, public, immutable"
COMPRESSED = {".css", ".js", ".mjs", ".json", ".svg", ".txt"}
_VERSIONED = re.compile(r"/static-(?P<state>[0-9a-f]+)(?P<path>/.+)", re.ASCII)


class VersionedStorage(StaticFilesStorage):
    """Static URLs with the state of the files in front; plain ones while somebody edits them."""

    def url(self, name: str | None) -> str:
        plain = super().url(name)
        if settings.DEBUG:
            return plain
        base = settings.STATIC_URL.rstrip("/")
        return plain.replace(base, f"{base}-{state()}", 1)


class StaticFilesMiddleware(WhiteNoiseMiddleware):
    """WhiteNoise with versioned URLs, and with compressed files that lie elsewhere."""

    def __call__(self, request: HttpRequest) -> HttpResponse:
        found = _VERSIONED.fullmatch(request.path_info)
        if found is None:
            return super().__call__(request)
        path = self.static_prefix.rstrip("/") + found["path"]
        file = self.find_file(path) if self.autorefresh else self.files.get(path)
        if file is None:
            return self.get_response(request)
        response = self.serve(file, request)
        # to a page of another state the newest is given, but not to keep
        response["Cache-Control"] = FOREVER if found["state"] == state() else "no-cache"
        return response

    def get_static_file(self, path: str, url: str, stat_cache: Any = None) -> StaticFile:
        file = super().get_static_file(path, url, stat_cache)
        if self.autorefresh or Path(path).suffix not in COMPRESSED:
            return file
        _encoding, _path, headers = file.alternatives[-1]  # the file as it is
        plain = [(name, value) for name, value in headers if name != "Content-Length"]
        return StaticFile(path, plain, encodings={"gzip": _compressed(Path(path))})

    def immutable_file_test(self, path: str, url: str) -> bool:
        return False


@cache
def state() -> str:
    """A name for what is in the static folders, read once a process."""
    digest = hashlib.sha256()
    for folder in settings.STATICFILES_DIRS:
        for path in sorted(p for p in Path(folder).rglob("*") if p.is_file()):
            digest.update(f"{path.relative_to(folder)}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:12]


@cache
def _compressed(path: Path) -> str:
    """Where the file lies compressed; it is named by its content, so it is made once."""
    data = path.read_bytes()
    folder = Path(settings.STATIC_CACHE_DIR)
    target = folder / f"{hashlib.sha256(data).hexdigest()[:32]}.gz"
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=folder)
        with os.fdopen(handle, "wb") as stream:
            stream.write(gzip.compress(data, mtime=0))
        os.replace(name, target)  # another process may have made it meanwhile: the same bytes
    return str(target)
