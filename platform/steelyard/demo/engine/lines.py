"""What a part has written so far, so that one killed at any moment goes on from there."""

from __future__ import annotations

import json
from typing import Any

from steelyard.lib.rundir import RunDir, write_atomically

OUTPUTS = "outputs.jsonl"
MODELS = "models.jsonl"


def written(rundir: RunDir, name: str) -> list[dict[str, Any]]:
    """The whole lines of a file; half a line, left by a kill, is cut off first."""
    path = rundir.path / name
    if not path.exists():
        return []
    data = path.read_bytes()
    end = data.rfind(b"\n") + 1
    if end < len(data):
        # in place, not by a new file: the web side reads on from the byte it came to
        with path.open("r+b") as stream:
            stream.truncate(end)
    return [json.loads(line) for line in data[:end].splitlines()]


def append(rundir: RunDir, name: str, line: dict[str, Any]) -> None:
    """Add a line; whatever files it names must be there already."""
    with (rundir.path / name).open("ab") as stream:
        stream.write(json.dumps(line).encode() + b"\n")


def asked(text: str) -> list[dict[str, str]]:
    """A prompt of one message."""
    return [{"role": "user", "content": text}]


def prompts_done(rundir: RunDir) -> set[str]:
    """The prompts that have their line already."""
    return {line["prompt"][-1]["content"] for line in written(rundir, OUTPUTS)}


def keep_media(rundir: RunDir, name: str, data: bytes) -> str:
    """Put a file under ``media/``, whole or not at all; its name, as a line gives it."""
    rundir.media.mkdir(exist_ok=True)
    write_atomically(rundir.media / name, data)
    return name
