"""``make messages``: the words of the interface, read from the code into ``locale/``, and compiled.

    python scripts/messages.py            read anew (where gettext is installed), then compile
    python scripts/messages.py compile    only make the .mo of each .po

What is new or has changed stands in the .po with an empty translation, or marked fuzzy; tests fail
until somebody has written it. Compiling needs no gettext, and the .mo are committed, so that
nothing else does. A new language: its row in ``settings.LANGUAGES``, a folder
``locale/<code>/LC_MESSAGES``, and this.
"""

# ruff: noqa: T201
from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polib

ROOT = Path(__file__).resolve().parent.parent
LOCALE = ROOT / "locale"
MARKED = ROOT / "platform" / "steelyard" / "web" / "_engine_words.py"
LIBRARIES = ["static/vendor/*", "node_modules", ".venv", "var", "tests", "*/migrations/*"]


def main() -> None:
    if "compile" not in sys.argv[1:]:
        if shutil.which("xgettext") is None:
            sys.exit("messages: xgettext is missing (Debian: apt install gettext).")
        read_anew()
    for po in sorted(LOCALE.glob("*/LC_MESSAGES/*.po")):
        compile_one(po)


def read_anew() -> None:
    """Both catalogues of every language, by Django's own makemessages."""
    # they are said as they are, never filled in: a per cent sign in them is one
    texts = sorted({_marked(words) for words in words_of_engines()})
    words = "\n".join(f"# xgettext:no-python-format\n{text}" for text in texts)
    MARKED.write_text(
        f"from django.utils.translation import gettext as _\n"
        f"from django.utils.translation import ngettext\n\n{words}\n"
    )
    try:
        for domain, extra in (("django", ["-e", "html,py"]), ("djangojs", ["-e", "js"])):
            ignored = [part for pattern in LIBRARIES for part in ("-i", pattern)]
            languages = [part for code in languages_here() for part in ("-l", code)]
            flags = ["--no-location", "--no-wrap", "--no-obsolete", *languages]
            command = ["makemessages", "-d", domain, *extra, *flags, *ignored]
            subprocess.run([sys.executable, "manage.py", *command], cwd=ROOT, check=True)
    finally:
        MARKED.unlink()
    for po in LOCALE.glob("*/LC_MESSAGES/*.po"):
        catalogue = polib.pofile(str(po), wrapwidth=0)
        catalogue.metadata.pop("POT-Creation-Date", None)  # it would change at every reading
        catalogue.save()


def languages_here() -> list[str]:
    return sorted(folder.name for folder in LOCALE.iterdir() if folder.is_dir())


def _marked(words: Any) -> str:
    """As Python, for gettext to find: of one and of many where it counts."""
    if isinstance(words, str):
        return f"_({words!r})"
    return f"ngettext({words.one!r}, {words.many!r}, 1)"


def words_of_engines() -> Iterator[Any]:
    """What code says that knows no Django: a recipe's help texts, why pairs are
    left out, what formats carry, and the settings of trainings."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "steelyard.settings")
    import django

    django.setup()
    from django.conf import settings

    from annotation.formats import FORMATS
    from annotation.freezing.select import DROPPED, DROPPED_IF_ASKED
    from annotation.recipe import AGGREGATIONS, ANNOTATORS, BOTH_BAD, TIES, help_texts
    from steelyard.inference.scorers.base import KINDS
    from steelyard.runs.said import words_of
    from training.engine.config import RECIPES, form_fields
    from training.engine.preflight_words import REMEDIES, WORDS
    from training.forms import label_of
    from training.services import summary_of

    for kind in settings.RUN_KINDS:
        yield from words_of(kind).values()
    for table in (
        AGGREGATIONS,
        ANNOTATORS,
        BOTH_BAD,
        TIES,
        DROPPED,
        DROPPED_IF_ASKED,
        help_texts(),
    ):
        yield from table.values()
    for kind in KINDS.values():
        yield from (text for text in (kind.words, kind.licence, kind.weights) if text)
    for format in FORMATS.values():
        if format.writes:
            yield from (format.ties, format.cannot)
        for option in format.options:
            yield option.title
            yield from (words for _value, words in option.choices)
    for title, text in WORDS.values():
        yield from (title, text)
    yield from REMEDIES.values()
    for name, config in RECIPES.items():
        yield summary_of(name)
        for setting in form_fields(config):
            yield label_of(setting)
            yield setting.help


def compile_one(po: Path) -> None:
    """Written only where it says something else than before."""
    catalogue = polib.pofile(str(po), wrapwidth=0)
    data = catalogue.to_binary()
    mo = po.with_suffix(".mo")
    if not mo.exists() or mo.read_bytes() != data:
        mo.write_bytes(data)
    open_ones = len(catalogue.untranslated_entries()) + len(catalogue.fuzzy_entries())
    print(f"{po.relative_to(ROOT)}: {len(catalogue)} entries, {open_ones} to be translated")


if __name__ == "__main__":
    main()
