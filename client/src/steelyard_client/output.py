"""What the command prints: a sentence or a table for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Sequence
from typing import Any


def say(text: str) -> None:
    print(text)  # noqa: T201


def complain(text: str) -> None:
    """One line, whatever it is made of."""
    print(f"steelyard: {' '.join(text.split())}", file=sys.stderr)  # noqa: T201


def tell(said: Namespace, data: Any, text: str) -> None:
    """The data where JSON was asked for, else the text."""
    if said.json:
        as_json(data)
    else:
        say(text)


def as_json(data: Any) -> None:
    say(json.dumps(data, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None))


def table(said: Namespace, rows: Sequence[dict[str, Any]], names: Sequence[str]) -> None:
    """Columns as wide as they need to be; as JSON, the rows whole."""
    if said.json:
        as_json(rows)
        return
    cells = [list(names), *([_cell(row.get(name)) for name in names] for row in rows)]
    widths = [max(len(line[place]) for line in cells) for place in range(len(names))]
    for line in cells:
        row = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        say("  ".join(row).rstrip())


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else " ".join(str(value).split())
