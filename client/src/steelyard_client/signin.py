"""Where address and token come from: arguments, the environment, or what ``steelyard login`` has
kept."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

from steelyard_client.errors import SteelyardError

ADVICE = "Set STEELYARD_URL and STEELYARD_TOKEN, or sign in with: steelyard login URL"


def login_file() -> Path:
    """``steelyard/login.json`` in the folder where the person keeps settings."""
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "steelyard" / "login.json"


def keep(url: str, token: str) -> Path:
    """Keep both in the login file, which nobody else may read at any moment."""
    path = login_file()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.unlink(missing_ok=True)
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        json.dump({"url": url, "token": token}, file)
    part.replace(path)
    return path


def forget() -> bool:
    """Whether there was something to forget."""
    path = login_file()
    there = path.exists()
    path.unlink(missing_ok=True)
    return there


def find(url: str | None, token: str | None) -> tuple[str, str]:
    """Address and token; what is kept for one address is given to no other.

    Raises:
        SteelyardError: one of them is nowhere.
    """
    url = url or os.environ.get("STEELYARD_URL")
    token = token or os.environ.get("STEELYARD_TOKEN")
    if not (url and token):
        kept_url, kept_token = _kept()
        url = url or kept_url
        if not token and url.rstrip("/") == kept_url.rstrip("/"):
            token = kept_token
    if not url:
        raise SteelyardError(f"No address of a Steelyard is known. {ADVICE}")
    if not token:
        raise SteelyardError(f"No token for {url} is known. {ADVICE}")
    return url, token


def _kept() -> tuple[str, str]:
    path = login_file()
    if not path.exists():
        return "", ""
    if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise SteelyardError(f"Others may read {path}, which has your token: chmod 600 {path}")
    try:
        said = json.loads(path.read_text())
        return str(said["url"]), str(said["token"])
    except (ValueError, KeyError, TypeError):
        raise SteelyardError(f"{path} is broken; sign in again: steelyard login URL") from None
