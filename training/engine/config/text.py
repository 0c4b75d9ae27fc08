"""What text recipes can be told: the settings that all of them share, then each one's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from training.engine.config.base import Recipe

HIGH = {"all": 2e-5, "lora": 1e-3}
"""What is trained → the learning rate above which it is warned of."""


def is_high(rate: float, trained: str) -> bool:
    """Whether that rate is hardly ever meant for what is trained."""
    return rate > HIGH.get(trained, float("inf"))


@dataclass(frozen=True)
class TextRecipe(Recipe):
    """What every recipe for language models has: data, what is trained, steps and the machine."""

    families: ClassVar[tuple[str, ...]] = ("causal_lm", "vision_language")

    learning_rate: float = 5e-5
    """The peak learning rate. LoRA: 1e-5 to 1e-4. All weights: 5e-7 to 5e-6. AdamW moves every
    weight by about this much a step, so it is never above 1."""
    epochs: float = 1.0
    """How many times the training pairs are gone through."""
    max_steps: int = 0
    """Stop after so many optimiser steps, whatever the epochs say; 0 lets the epochs decide."""
    batch_size: int = 4
    """Pairs in one pass through the model. Memory grows with it."""
    accumulation: int = 1
    """Passes gathered into one optimiser step: batch_size x accumulation pairs a step."""
    tokens_per_pass: int = 0
    """Cut a step into passes of at most so many tokens, padding included, instead of batch_size
    pairs each; pairs of like length go together. The result is the same, only memory and speed
    differ. 0 counts pairs."""
    max_length: int = 1024
    """The longest prompt and answer together, in tokens. Longer answers are cut at their end, and
    the run's log counts them. Never more than the model's own context."""
    drop_too_long: bool = False
    """What to do with pairs whose prompt alone fills max_length: off refuses the run and names
    them, on leaves them out and counts them."""
    frames: int = 8
    """As how many pictures a clip is shown that a prompt is about, spread evenly over it; for
    vision-language models. Each takes as many tokens as a picture."""
    train: Literal["lora", "all", "bias", "norm", "head"] = "lora"
    """What of the model is trained: lora a low-rank adapter on frozen weights; all every weight
    (much more memory, and a much smaller learning rate); bias, norm or head those weights alone."""
    lora_rank: int = 8
    """Rank of the low-rank adapter that train lora adds; 0 is an older way to say train all."""
    lora_alpha: int = 16
    """Scale of the adapter: its effect is multiplied by lora_alpha / lora_rank."""
    lora_targets: str = "q_proj,k_proj,v_proj,o_proj"
    """Names of the layers that get an adapter, with commas between; all-linear takes every linear
    layer but the output head."""
    lora_dropout: float = 0.0
    """Share of adapter inputs set to zero while training, 0 to below 1."""
    dora: bool = False
    """Train the size of each weight column apart from its direction (DoRA): often a little better
    at small ranks, and slower."""
    rslora: bool = False
    """Scale the adapter by lora_alpha / sqrt(lora_rank) instead (rank-stabilised LoRA), so that
    high ranks learn as fast as low ones."""
    optimiser: Literal["adamw", "adamw_8bit", "lion", "lion_8bit", "schedule_free"] = "adamw"
    """How gradients move weights. The 8-bit forms keep their state in a quarter of the memory.
    lion wants a learning rate 3 to 10 times smaller than adamw; schedule_free wants no schedule,
    only a warm-up."""
    warmup_ratio: float = 0.1
    """Share of all steps in which the learning rate rises from zero to its peak."""
    scheduler: Literal["linear", "cosine", "constant", "refined"] = "linear"
    """How the learning rate falls after the warm-up: to zero in a line, along a cosine, or not.
    refined follows the gradients of a past run, with a warm-up of its own: see refined_from."""
    refined_from: str = ""
    """For the scheduler refined: the number of a finished run of this project with like settings,
    or gradient lengths with commas between. Steps whose gradients were long get a smaller rate."""
    max_grad_norm: float = 1.0
    """Gradients longer than this are shortened to it; 0 leaves them as they are."""
    weight_decay: float = 0.0
    """The optimiser's pull of the trained weights toward zero."""
    seed: int = 0
    """Decides the order of the pairs, the adapter's start and dropout. Same seed, data and
    machine: same model."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Number format of the frozen weights. auto: bfloat16 on a GPU, float32 on a CPU. What is
    trained is always float32."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to run; auto takes a GPU if there is one."""
    threads: int = 0
    """CPU threads to use, at most the machine's cores; 0 leaves it to the machine's setting."""
    processes: int = 0
    """In how many processes to train, each with its own GPU where there are GPUs; 0 is one. They
    share the passes of a step, so accumulation should be at least as many. The numbers are those
    of one process, up to the order of sums."""
    shard: bool = False
    """Spread weights, gradients and optimiser state over the processes (FSDP2) instead of a copy
    in each: for models whose weights are all trained and fit no single GPU. adamw and lion only."""
    launcher: Literal["local", "ray"] = "local"
    """Where the processes are started: local on this server, ray on the Ray cluster that the
    server knows, over several hosts where one is too small."""
    share_prompt: bool = True
    """Read a prompt once for all of its answers, packed in one row. Where a model cannot be read
    so, which is measured on the data before the first step, each answer gets a row of its own."""
    attention: Literal["sdpa", "flex"] = "sdpa"
    """How attention is computed. flex skips the blocks that a packed row masks out, which can pay
    on rows of many thousand tokens and costs time on short ones; on a GPU only."""
    compile: bool = False
    """Let torch.compile make kernels for the model: minutes at the start, faster steps after; on a
    GPU only."""
    gradient_checkpointing: bool = False
    """Save memory by computing the forward pass twice; about 30 % slower."""
    halve_on_oom: bool = False
    """Where the GPU's memory is too small for a pass, cut it in two and go on, as often as needed;
    off ends the run with advice. Several processes agree on it; with shard it cannot be done."""
    eval_every: int = 0
    """Measure the test pairs every so many steps, besides at the end; 0 only at the end."""
    checkpoint_every: int = 50
    """Save a point to resume from every so many steps."""
    keep_checkpoints: int = 0
    """Keep the model of every so many steps as a model version of its own when the run ends, so
    that it can be evaluated how training went; 0 keeps the model of the end alone."""
    sample_every: int = 0
    """Write answers to a few prompts every so many steps, beside those of the untrained model, to
    be read on the run's page; 0 writes none."""
    sample_prompts: int = 3
    """How many prompts, of the test rows where there are any."""

    @property
    def trained(self) -> str:
        """What is trained; runs of before there was ``train`` say all weights by rank 0."""
        return "all" if self.train == "lora" and self.lora_rank == 0 else self.train

    def _check_shared(self) -> None:
        """What every text recipe checks in its ``__post_init__``."""
        self._check_numbers()
        self._check_optimiser()
        self._require(
            self.epochs > 0 or self.max_steps > 0, "epochs", "must be above 0 without max_steps"
        )
        self._require(self.lora_dropout < 1, "lora_dropout", "must be below 1")
        self._require(
            self.trained == "lora" or not self.dora, "dora", "needs an adapter: train lora"
        )
        self._require(
            self.scheduler != "refined" or bool(self.refined_from.strip()),
            "refined_from",
            "must name a past run for the scheduler refined",
        )
        self._require(
            not self.shard or self.trained == "all", "shard", "needs train all: adapters are small"
        )
        self._require(
            not self.shard or self.optimiser in ("adamw", "lion"),
            "optimiser",
            "must be adamw or lion with shard",
        )

        self._require(
            not (self.shard and self.halve_on_oom),
            "halve_on_oom",
            "must be off with shard, whose processes gather weights within a pass",
        )

    def __post_init__(self) -> None:
        self._check_shared()


@dataclass(frozen=True)
class TextDPOConfig(TextRecipe):
    """Direct preference optimisation of a causal language model (Rafailov et al. 2023)."""

    beta: float = 0.1
    """How strongly the model is held near the one it starts from: smaller lets it move further.
    0.01 to 0.5 is usual."""
    loss_type: Literal[
        "sigmoid",
        "ipo",
        "hinge",
        "robust",
        "sigmoid_norm",
        "ipo_norm",
        "exo",
        "nca",
        "bco",
        "sppo_hard",
        "apo_zero",
        "apo_down",
        "discopop",
    ] = "sigmoid"
    """The form of the loss. sigmoid is DPO as published; ipo (summed log-probabilities) pulls the
    margin to a fixed target and overfits less; hinge stops pushing once the margin is reached;
    robust corrects for a known share of wrong labels, given as label_smoothing; the _norm forms
    count log-probabilities per token; nca, bco, sppo_hard and apo_zero hold the chosen answers'
    own likelihood up; apo_down lets both fall; exo and discopop are other shapes of sigmoid."""
    label_smoothing: float = 0.0
    """Expected share of wrong labels, from 0 to below 0.5, for sigmoid, sigmoid_norm, robust and
    exo; with sigmoid this is conservative DPO."""
    ties: Literal["rao_kupper", "davidson", "half"] = "rao_kupper"
    """How pairs without a winner teach, where the dataset version keeps ties. rao_kupper and
    davidson (sigmoid loss only) give win, tie and loss each a probability, so a tie draws the two
    answers together; half takes a tie as half a win for each side, as the other losses always
    do."""
    tie_share: float = 0.5
    """How often two equally good answers are called a tie, above 0 and below 1: the width of the
    tie in rao_kupper and davidson."""
    soft_labels: bool = False
    """Learn from the share of votes for each answer instead of from the winner alone: of three
    votes to one, three quarters of the loss pull one way and one quarter the other. A tie is a
    half, and ties has no say."""
    weight_by: Literal["none", "agreement", "strength"] = "none"
    """Let pairs count for more the more certain their verdict is: by the share of votes for it, or
    by the mean strength that people gave (0 to 3; ties have none)."""
    strength_offset: float = 0.0
    """How large a lead, in units of beta times log-probability, each point of strength asks for: a
    pair that people called much better has to be told apart by more (DPO with an offset, Amini et
    al. 2024). For the sigmoid loss; ties then count half to each side."""
    ld_alpha: float = 1.0
    """Below 1, the tokens by which one answer is longer than the other count for so much less, so
    that length is learnt less than content (LD-DPO); 0 leaves them out."""
    sft_weight: float = 0.0
    """Weight of a second term that keeps the chosen answers likely (RPO), for runs in which they
    lose probability together with the rejected ones. By sft_form: mean 0.1 to 1; sum 0.005."""
    sft_form: Literal["mean", "sum"] = "mean"
    """How that term counts an answer: the mean over its tokens; or their sum times beta, as
    published, in which long answers count for more."""
    ground_truth_weight: float = 0.0
    """Weight of a further term: how likely the prompt's reference answer is, the mean over its
    tokens (gDPO of video-SALMONN 2, which has 0.1). Pairs whose prompt has none learn without; 0
    reads no reference answers."""
    rounds: int = 1
    """How many times the pairs are trained on, each time for the whole of epochs and schedule, with
    the adapter merged, a new one begun and the merged model as the new reference (mrDPO). The model
    moves further from its start than in one long run; look at what it writes between rounds, or
    make each a run of its own on new judgments. Above 1 it needs train lora without dora."""

    def __post_init__(self) -> None:
        self._check_shared()
        self._require(self.label_smoothing < 0.5, "label_smoothing", "must be below 0.5")
        self._require(
            self.label_smoothing == 0
            or self.loss_type in ("sigmoid", "sigmoid_norm", "robust", "exo"),
            "label_smoothing",
            f"has no meaning with the {self.loss_type} loss and must be 0",
        )
        self._require(0 < self.tie_share < 1, "tie_share", "must be above 0 and below 1")
        sigmoid = self.strength_offset == 0 or self.loss_type == "sigmoid"
        self._require(sigmoid, "strength_offset", "is for the sigmoid loss and must be 0")
        plain = self.trained == "lora" and not self.dora
        self._require(self.rounds == 1 or plain, "rounds", "needs train lora without dora")
