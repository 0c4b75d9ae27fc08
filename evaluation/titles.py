"""How runs are called that this room starts, by code; see :mod:`steelyard.lib.said`."""

from __future__ import annotations

from steelyard.lib.said import Words

TITLES: dict[str, Words] = {
    "title_arena": "Arena %(name)s",
    "title_search": "A pipeline better than %(model)s is looked for",
    "title_outputs": "Outputs for %(name)s",
    "title_revisions": "%(judge)s compares what %(model)s has revised",
    "title_new_pairs": "New pairs of %(models)s",
    "title_generate": "Outputs of %(models)s",
}

FOLLOWING: dict[str, Words] = {
    "new_pairs_no_model": "No new pairs were made, for its model is not kept.",
    "new_pairs_refused": "No new pairs were made: %(why)s",
}
"""In the log of a training run."""
