"""Copies of pictures and videos for looking at, made in a process of its own.

``python -m steelyard.assets.making KIND SOURCE FOLDER`` writes the files into FOLDER and says what
they are on standard output, as one JSON object: ``{"made": [...]}`` or ``{"problem": "…"}``. A
hostile file can make a decoder slow, greedy or wrong, so the process limits its own memory and
processor time before it opens anything; its parent limits the time on the clock.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import sys
from dataclasses import asdict
from pathlib import Path

from steelyard.assets import previews, proxies
from steelyard.assets.probing import Made
from steelyard.lib.errors import UserError

MEMORY_BYTES = 4 * 2**30
"""Of address space; half of it is what the libraries reserve."""
CPU_SECONDS = 600
FILE_BYTES = 2**30
_PARENT_DEATH = 1  # PR_SET_PDEATHSIG: nobody waits for the answer of a worker that was killed


def make(kind: str, source: Path, folder: Path) -> list[Made]:
    """The renditions of one stored file, written into ``folder``.

    Raises:
        UserError: they cannot be made; the message says why.
    """
    if kind == "image":
        return previews.preview(source, folder)
    return proxies.poster_and_proxy(source, folder)


def main(kind: str, source: str, folder: str) -> dict[str, object]:
    try:
        return {"made": [asdict(one) for one in make(kind, Path(source), Path(folder))]}
    except UserError as error:
        return {"problem": error.message}
    except MemoryError:
        return {"problem": f"It needs more than {MEMORY_BYTES // 2**30} GiB of memory."}
    except OSError as error:  # the limit on a file's size, or a full disk
        return {"problem": f"The copy could not be written: {error.strerror or error}."}


def limit_myself() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):
        os.nice(10)  # pages come first
    with contextlib.suppress(OSError, AttributeError):  # only Linux has it
        ctypes.CDLL(None).prctl(_PARENT_DEATH, signal.SIGKILL)


if __name__ == "__main__":
    limit_myself()
    sys.stdout.write(json.dumps(main(*sys.argv[1:])))
