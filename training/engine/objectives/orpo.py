"""ORPO: cross-entropy of the chosen answer and its lead in odds, without a reference."""

from __future__ import annotations

from torch import Tensor

from training.engine import losses_other
from training.engine.config.objectives import ORPOConfig
from training.engine.data import preference
from training.engine.objectives.base import Objective, Seen
from training.engine.objectives.dpo import won
from training.engine.objectives.simpo import LEAD, lead_metrics, share_for_chosen


def loss(seen: Seen, config: ORPOConfig) -> tuple[Tensor, dict[str, Tensor]]:
    chosen, rejected = seen.mean("chosen"), seen.mean("rejected")
    p = share_for_chosen(seen, soft=config.soft_labels)
    each = losses_other.orpo(chosen, rejected, weight=config.beta, p=p)
    odds = losses_other.log_odds(chosen) - losses_other.log_odds(rejected)
    more = lead_metrics(seen, chosen, rejected)
    return each, {**more, "log_odds_ratio": won(seen, odds)}


ORPO = Objective(rows=preference, referenced=frozenset(), loss=loss, measured=LEAD)
