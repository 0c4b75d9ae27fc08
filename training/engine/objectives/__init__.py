"""The objectives for language models: what each reads of a record, and what it costs.

An objective is a row of OBJECTIVES; the loop in ``text.py`` is the same for all.
"""

from __future__ import annotations

from training.engine.objectives.base import Objective, Seen
from training.engine.objectives.dpo import DPO
from training.engine.objectives.dual import DUAL_DPO
from training.engine.objectives.imitation import REBIRTH, SFT
from training.engine.objectives.kto import KTO
from training.engine.objectives.orpo import ORPO
from training.engine.objectives.rationale import RATIONALE_DPO, RATIONALE_ORPO
from training.engine.objectives.simpo import SIMPO
from training.engine.objectives.srpo import SRPO

__all__ = ["OBJECTIVES", "Objective", "Seen"]

OBJECTIVES: dict[str, Objective] = {
    "dpo": DPO,
    "simpo": SIMPO,
    "orpo": ORPO,
    "kto": KTO,
    "rationale_dpo": RATIONALE_DPO,
    "rationale_orpo": RATIONALE_ORPO,
    "srpo": SRPO,
    "dual_dpo": DUAL_DPO,
    "sft": SFT,
    "rebirth": REBIRTH,
}
"""By the recipe's name."""
