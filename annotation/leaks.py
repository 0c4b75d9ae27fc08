"""What a recipe would test on although it trains on the same, as far as a preview can tell."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from annotation.freezing.load import texts_of
from annotation.freezing.select import Selection
from steelyard.registry.leaks import hashes, in_both

MOST = 20_000
"""Prompts that are read for it, in half a second; of more the version's statistics tell."""


def leaks_of(selection: Selection) -> int | None:
    """Prompts to test on that, but for case, spaces and punctuation, say the same as one to train
    on; None where there are too many to look at here."""
    rows = selection.rows
    if not rows.test.any() or rows.test.all():
        return 0
    of_row = selection.pairs.prompt[rows.pair]
    prompts, first = np.unique(of_row, return_index=True)
    if len(prompts) > MOST:
        return None
    # all rows of a prompt are in one part
    return in_both(hashes(pa.array(texts_of(prompts), pa.string())), prompts, rows.test[first])
