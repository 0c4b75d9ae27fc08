"""What the engines say that make and compare outputs, by code; see :mod:`steelyard.lib.said`."""

from __future__ import annotations

from annotation.engine.words import WORDS as OF_JUDGES
from steelyard.lib.said import Counted, Words

WORDS: dict[str, Words] = {
    **OF_JUDGES,
    "no_events": "The judge's answers about all %(references)s references hold no list of events. "
    "Try a larger judge.",
    "without_events": "%(count)s of %(of)s references gave no list of events; captions of those "
    "clips count as invalid.",
    "waiting": "waits for questions",
    "to_make": Counted(
        "%(model)s: %(outputs)s output to make", "%(model)s: %(outputs)s outputs to make", "outputs"
    ),
    "cannot_generate": "%(model)s is of family %(family)s, which cannot make outputs.",
    "best_pipeline": Counted(
        "The only pipeline wins %(share)s %% on the search's prompts. On fresh ones (%(prompts)s): "
        "%(fresh)s.",
        "The best of %(pipelines)s pipelines wins %(share)s %% on the search's prompts. On fresh "
        "ones (%(prompts)s): %(fresh)s.",
        "pipelines",
    ),
    "share": "%(share)s %%",
    "unknown": "unknown",
    "pipeline": "pipeline %(number)s of %(of)s",
    "rescoring": "scoring pipeline %(number)s on fresh prompts",
    "no_new_pipeline": "No pipeline that is new fits what is left of the budget.",
    "no_revisions_file": "There is no file %(path)s.",
    "no_revisions": "%(file)s holds no revision of an answer.",
    "revised_gone": "The answers that were revised are gone.",
    "outputs_kept": "Outputs that are kept: %(outputs)s, to so many prompts: %(prompts)s. They "
    "were not to be paired.",
    "pairs_queued": Counted(
        "%(pairs)s pair is in the labelling queue. Prompts asked: %(prompts)s; other answers to "
        "one prompt are the same.",
        "%(pairs)s pairs are in the labelling queue. Prompts asked: %(prompts)s; other answers to "
        "one prompt are the same.",
        "pairs",
    ),
}
