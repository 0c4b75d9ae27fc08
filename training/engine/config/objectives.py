"""What can be told to the objectives for language models beside DPO."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from training.engine.config.text import TextDPOConfig, TextRecipe


@dataclass(frozen=True)
class SimPOConfig(TextRecipe):
    """SimPO (Meng et al. 2024): the chosen answer is to be likelier per token than the rejected one
    by a margin. No reference model: quicker than DPO and half the memory of one with two models,
    but nothing holds the model near its start except a small learning rate."""

    learning_rate: float = 1e-5
    """The peak learning rate. LoRA: 5e-6 to 5e-5. All weights: 3e-7 to 1e-6, as in the paper; at
    more it writes incoherently, since no reference holds it."""
    loss_type: Literal["sigmoid", "rrhf"] = "sigmoid"
    """sigmoid is SimPO. rrhf (Yuan et al. 2023) asks only that chosen is likelier per token, no
    margin, and adds the likelihood of the chosen answer; beta and gamma do nothing then."""
    beta: float = 2.0
    """Scale of the log-probability per token. 2.0 to 2.5 in most of the paper's runs, 10 in its
    best on Llama 3; far above DPO's, since a mean over tokens is small."""
    gamma: float = 1.0
    """The margin that chosen has to lead by, in units of the scaled log-probability. The paper's
    runs have a gamma of 0.3 to 0.8 times beta."""
    label_smoothing: float = 0.0
    """Expected share of wrong labels, from 0 to below 0.5, for the sigmoid loss."""
    sft_weight: float = 0.0
    """Weight of the chosen answer's cross-entropy per token beside the loss (CPO-SimPO); it keeps
    the likelihood of chosen answers from falling."""
    soft_labels: bool = False
    """Let each pair count by its votes: with a share p of them for chosen, p of the loss and 1 - p
    of the loss with sides changed. Ties count half to each side either way."""

    def __post_init__(self) -> None:
        self._check_shared()
        self._require(self.label_smoothing < 0.5, "label_smoothing", "must be below 0.5")
        plain = self.label_smoothing == 0 or self.loss_type == "sigmoid"
        self._require(plain, "label_smoothing", "has no meaning with the rrhf loss and must be 0")


@dataclass(frozen=True)
class ORPOConfig(TextRecipe):
    """ORPO (Hong et al. 2024): the cross-entropy of the chosen answer and a preference by odds in
    one loss. No reference model; made for base models that have seen no instructions yet."""

    learning_rate: float = 1e-5
    """The peak learning rate. LoRA: 1e-5 to 1e-4. All weights: 5e-6 to 8e-6, as in the paper."""
    beta: float = 0.1
    """Weight of the preference beside the chosen answer's cross-entropy per token, lambda in the
    paper, which has 0.1 in its main runs and 0.1 to 1 in its ablation."""
    soft_labels: bool = False
    """Let each pair count by its votes: with a share p of them for chosen, p of the loss and 1 - p
    of the loss with sides changed. Ties count half to each side either way."""


@dataclass(frozen=True)
class KTOConfig(TextRecipe):
    """KTO (Ethayarajh et al. 2024): every chosen answer is taken as good and every rejected one as
    bad by itself, against how far the model has drifted on answers to other prompts. For labels
    that are noisy or contradict each other; where pairs are clean, DPO uses more of them."""

    beta: float = 0.1
    """How strongly the model is held near the one it starts from. 0.1 in the paper; smaller lets it
    move further."""
    desirable_weight: float = 1.0
    """Weight of chosen answers. In pairs there are as many of one as of the other, so that 1 and 1
    are even; a weight of up to 1.33 times the other's is what the paper advises."""
    undesirable_weight: float = 1.0
    """Weight of rejected answers."""


@dataclass(frozen=True)
class RationaleRecipe(TextRecipe):
    """What recipes that learn from reasons have in common."""

    rationale_weight: float = 0.1
    """How much the rationale counts, gamma in the paper. It says that 1 to 10 make little
    difference, its programs have 0.1, and its example 0.001. With rationale_per sum that is a
    weight of a whole text of some hundred tokens, with token of their mean: 0.001 summed is about
    0.1 to 0.2 by token."""
    rationale_per: Literal["token", "sum"] = "token"
    """Whether a rationale's log-probability is the mean over its tokens, so that long reasons count
    as much as short ones, or their sum, as in the paper."""
    rationale_form: Literal["paper", "code"] = "paper"
    """paper adds the log-probability itself; code its log-sigmoid, which the paper's programs
    compute: half the weight at first and the same direction."""
    rationale_of: Literal["all", "people", "judges", "machines"] = "all"
    """Whose reasons are learnt from: all, people's alone, AI judges' alone, or machines' alone,
    which models have written for people's verdicts where the version has such. Only those who voted
    for the chosen answer are heard."""
    rationale_pick: Literal["longest", "joined", "drawn"] = "longest"
    """Which reasons of several: the longest, all of them one after another, or one that is drawn by
    seed and pair."""
    rationale_evidence: bool = False
    """Put the passages that were marked in the answers behind the reason, as quotes."""
    rationale_tags: bool = False
    """Put the tags that were ticked behind the reason, as words; it may then be tags alone."""
    rationale_control: Literal["none", "shuffled", "token_matched"] = "none"
    """A control to compare with, which the paper does not have. shuffled gives every pair another
    pair's rationale: what is gained with it is not owed to what the reasons say. token_matched
    leaves pairs out until as many tokens are trained as plain DPO has on all pairs: what is gained
    with it is not owed to more text."""


@dataclass(frozen=True)
class RationaleDPOConfig(RationaleRecipe, TextDPOConfig):
    """DPO that also learns why: the likelihood of the rationale, asked for with both answers, is
    added to the loss (RDPO, Just et al. 2024). Pairs without a reason train by DPO alone. The
    paper reports the win rate of three times the pairs; it compares per pair and not per token and
    has no controls, which are offered here."""


@dataclass(frozen=True)
class RationaleORPOConfig(RationaleRecipe, ORPOConfig):
    """ORPO that also learns why (RORPO, Just et al. 2024): the likelihood of the rationale, asked
    for with both answers, is added to the loss. Pairs without a reason train by ORPO alone."""

    rationale_weight: float = 1.0
    """How much the rationale counts, gamma in the paper, whose programs have 1 for ORPO, of the
    mean over tokens."""


@dataclass(frozen=True)
class SRPOConfig(TextRecipe):
    """Experimental. Self-improving robust preference optimisation (Choi et al. 2024): one model
    learns to answer and to improve on an answer that it is shown. Six sequences a pair, so three
    times DPO's work or more. The paper reports gains with each of five revisions; the one public
    replication (1 B parameters, 100 prompts) saw none: 33, 37, 32, 36, 32 and 26 wins of 100 after
    0 to 5 revisions. Measure each number of revisions by itself."""

    beta: float = 0.1
    """How strongly the model is held near the one it starts from; 1 / beta is the lead, in nats,
    that the loss asks for. The values of the paper are not public: try 0.01 and 0.1."""
    srpo_alpha: float = 0.5
    """Share of the loss that teaches to improve, from 0 to 1; the rest teaches to answer. The
    paper's value is not public: try 0.25 to 0.9."""
    soft_labels: bool = True
    """Aim at the share of votes for chosen instead of at certainty; a tie is one half anyhow."""
    revisions: int = 3
    """After training, answer some test prompts and improve on each answer so many times; all of
    them are kept in the run's revisions.jsonl with their number. 0 makes none."""
    revised_prompts: int = 8
    """How many test prompts are answered so."""
