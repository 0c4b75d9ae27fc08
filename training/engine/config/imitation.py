"""What can be told to recipes that learn answers by themselves, without a worse one beside."""

from __future__ import annotations

from dataclasses import dataclass

from training.engine.config.text import TextRecipe


@dataclass(frozen=True)
class SFTConfig(TextRecipe):
    """Supervised fine-tuning: one answer of every pair is learnt as it is, the chosen one as a
    rule. The usual step before preference training, and the plain thing to compare it with."""

    written_by: str = ""
    """Learn the answers of the model of this name alone, as the version names it, chosen or not;
    empty learns the chosen answers, whoever wrote them."""
    per_token: bool = True
    """Every answer counts alike: its loss is the mean over its tokens. Off sums over them, so that
    long answers count more."""


@dataclass(frozen=True)
class RebirthConfig(SFTConfig):
    """Rebirth tuning (Tang et al. 2024, video-SALMONN 2): the model of before preference training
    learns what the one of after it writes, and keeps the abilities that many rounds wear off. The
    base is the model from before; written_by is the one from after, whose answers stand in the
    version."""
