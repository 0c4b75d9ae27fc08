"""The table of formats that ``platform/docs/formats.md`` shows; run this module to print it."""

from __future__ import annotations

from collections.abc import Iterable

from annotation.formats.base import Format

HEAD = "| format | name | answers | in | out | lies in | ties | cannot carry |"


def table(formats: Iterable[Format]) -> str:
    """A Markdown table with a row a format."""
    rule = "|" + "---|" * (HEAD.count("|") - 1)
    return "\n".join([HEAD, rule, *(_row(each) for each in formats)]) + "\n"


def _row(each: Format) -> str:
    cells = [
        each.title,
        f"`{each.name}`",
        ", ".join(each.modalities),
        "yes" if each.reads else "no",
        "yes" if each.writes else "no",
        ", ".join(each.containers),
        each.ties,
        each.cannot,
    ]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    from annotation.formats import FORMATS

    print(table(FORMATS.values()), end="")  # noqa: T201
