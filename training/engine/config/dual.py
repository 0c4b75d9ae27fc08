"""What can be told to Re-Align's rDPO, which compares answers and pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from training.engine.config.text import TextRecipe


@dataclass(frozen=True)
class DualDPOConfig(TextRecipe):
    """rDPO of Re-Align (Xing et al. 2025) for vision-language models: DPO on the answers, and a
    preference for the picture: the chosen answer is to be likelier with its own picture than with
    another one that looks alike. Against answers that do not look."""

    families: ClassVar[tuple[str, ...]] = ("vision_language",)

    beta: float = 0.1
    """How strongly the model is held near the one it starts from, in both terms. The paper has
    0.1."""
    visual_weight: float = 1.0
    """Weight of the preference for the picture beside DPO. The paper has 1."""
    negatives: Literal["retrieved", "own"] = "retrieved"
    """Where the other picture comes from. retrieved looks among the pictures of the version for
    one that is like it, by the model's own vision tower, before training; what was found stands in
    the run's data/dual.jsonl. own takes the second of the two pictures that each prompt has."""
    rejected: Literal["record", "refilled"] = "record"
    """Which answer is the worse one. record is the one that people rejected. refilled writes it as
    Re-Align does, with retrieved pictures: the words of the chosen answer that say what there is
    are masked, and the model fills them in while it looks at the other picture."""
    neighbours: int = 5
    """How many pictures, the most alike first, are tried as the other one. The paper does not say
    how many it tried."""
    most_alike: float = 0.95
    """A refilled answer that is as like the chosen one as this, or more, is no worse, and the next
    picture is tried; where none is left, the pair is left out and counted. The paper has 0.95."""
    alike_by: Literal["words", "hidden"] = "words"
    """How alike two answers are. words is the share of their words that both have; hidden the
    cosine of the language model's mean hidden states, which of most models is near 1 for any two
    texts, so that most_alike has to be higher. The paper has a sentence encoder's cosine."""

    def __post_init__(self) -> None:
        self._check_shared()
        self._require(
            self.rejected == "record" or self.negatives == "retrieved",
            "rejected",
            "can be refilled only with retrieved pictures",
        )
