"""How runs are called that this room starts, by code; see :mod:`steelyard.lib.said`."""

from __future__ import annotations

from steelyard.lib.said import Words

TITLES: dict[str, Words] = {
    "title_train": "Train %(name)s",
    "title_preflight": "Preflight of %(base)s on %(version)s",
    "title_try": "Try %(name)s",
}
