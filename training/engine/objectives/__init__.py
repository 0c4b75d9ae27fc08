"""The objectives for language models: what each reads of a record, and what it costs.

An objective is a row of OBJECTIVES; the loop in ``text.py`` is the same for all.
"""

from __future__ import annotations

from training.engine.objectives.base import Objective, Seen
from training.engine.objectives.dpo import DPO
from training.engine.objectives.dual import DUAL_DPO
from training.engine.objectives.imitation import SFT

__all__ = ["OBJECTIVES", "Objective", "Seen"]

OBJECTIVES: dict[str, Objective] = {
    "dpo": DPO,
    "dual_dpo": DUAL_DPO,
    "sft": SFT,
    "rebirth": SFT,
}
"""By the recipe's name."""
