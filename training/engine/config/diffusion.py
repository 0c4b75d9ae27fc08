"""What image and video recipes can be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from training.engine.config.base import Recipe

REFERENCE_FREE = ("mapo",)
"""Losses that ask no frozen model."""


@dataclass(frozen=True)
class DiffusionDPOConfig(Recipe):
    """Diffusion-DPO of an image or video model (Wallace et al. 2023) and the losses that came after
    it, errors averaged over elements."""

    at_least = {"max_steps": 1}
    # for forms: a setting → another and its values with which it means something
    needs: ClassVar[dict[str, tuple[str, tuple[str, ...]]]] = {
        "beta": ("loss_type", ("dpo", "ipo", "kto", "linear", "rank", "dense", "masked")),
        "auto_beta": ("loss_type", ("dpo", "rank", "dense", "masked")),
        "safeguard": ("loss_type", ("dpo", "ipo", "linear", "rank")),
        "safeguard_slack": ("safeguard", ("on",)),
        "linear_floor": ("loss_type", ("linear",)),
        "mapo_weight": ("loss_type", ("mapo",)),
        "mapo_scale": ("loss_type", ("mapo",)),
        "undesirable_weight": ("loss_type", ("kto",)),
        "region_weight": ("loss_type", ("masked",)),
        "ema_decay": ("reference_draws", ("0",)),
    }

    loss_type: Literal["dpo", "ipo", "kto", "mapo", "linear", "rank", "dense", "masked"] = "dpo"
    """The form of the loss. dpo is Diffusion-DPO, and Flow-DPO for flow models; ipo pulls the
    margin to a fixed target and hurts the chosen side least; kto takes each side by itself, so
    that pairs of which both are bad teach too; mapo needs no frozen model; linear goes on learning
    from learnt pairs, with ema_decay; rank weighs pairs of one prompt by how far apart they are in
    its ranking; dense learns from verdicts on parts of a clip; masked looks harder where people
    drew boxes."""
    beta: float = 2000.0
    """How strongly the model is held near the one it starts from. It multiplies half the squared
    errors averaged over all elements, so it is in the thousands: 2000 to 5000 is usual for Stable
    Diffusion, 20 to 200 with ipo, 200 with linear. The log tells it per element too, which is what
    can be compared between models and sizes. mapo has none."""
    auto_beta: float = 0.0
    """Above 0, beta follows the errors: it is set so that a pair of usual size still counts so much
    of what it counts at the start; 0.2 is usual. beta is then only where it begins."""
    error_unit: Literal["auto", "noise", "prediction"] = "auto"
    """In terms of what errors are measured. noise makes one beta mean the same for every kind of
    prediction, and is the (1 - t)^2 of Flow-DPO's theory; prediction takes the model's own output,
    Flow-DPO's constant beta; auto takes prediction for flow models and noise for all others."""
    learning_rate: float = 1e-4
    """The peak learning rate. An adapter on a small model: 1e-4. Stable Diffusion: 1e-5. All
    weights: 1e-7 to 2e-5. With too much of it pictures get worse, and guidance can turn what was
    learnt into its opposite: if rise_chosen stays above zero, lower it. It goes with 1 / beta.
    AdamW moves every weight by about this much a step, so it is never above 1."""
    max_steps: int = 100
    """How many optimiser steps to train."""
    batch_size: int = 32
    """Pairs in one pass through the model. Memory grows with it."""
    accumulation: int = 1
    """Passes gathered into one optimiser step: batch_size x accumulation pairs a step."""
    weight_by: Literal["none", "agreement", "strength"] = "none"
    """Let pairs count for more the more certain their verdict is: by the share of votes for it, or
    by the mean strength that people gave (0 to 3)."""
    label_control: Literal["none", "random", "reversed"] = "none"
    """Train on labels that teach nothing, to see what an evaluation says of a model that learnt
    nothing: random draws by the seed which side of a pair to train on is called chosen, reversed
    takes the wrong one throughout. The test rows keep their labels. none for a real model."""
    sft_weight: float = 0.0
    """Weight of a second term that holds the error on the chosen side down by itself, as a share of
    the first one's pull at the start: 0.1 to 1 where rise_chosen stays above zero."""
    safeguard: bool = False
    """Let no step raise the error on the chosen side, to first order, by taking back some of the
    push against the rejected one (Diffusion-SDPO)."""
    safeguard_slack: float = 0.0
    """Which part of the chosen side's own progress the safeguard leaves at least; 0 to 1."""
    linear_floor: float = 0.001
    """For linear: the least that a pair counts, however well it is learnt; at most half."""
    mapo_weight: float = 0.1
    """For mapo: weight of the margin beside the chosen side's own error."""
    mapo_scale: float = 5.0
    """For mapo: how steeply the margin grows with the errors."""
    undesirable_weight: float = 1.0
    """For kto: what a bad sample counts against a good one."""
    region_weight: float = 0.5
    """For masked: the share of the error that is measured within the boxes alone, 0 to 1."""
    train: Literal["lora", "all"] = "lora"
    """What is trained: lora a low-rank adapter on frozen weights; all every weight of the denoiser
    (much more memory, and a much smaller learning rate). Encoders are never trained."""
    lora_rank: int = 8
    """Rank of the low-rank adapter that is trained."""
    lora_alpha: int = 8
    """Scale of the adapter: its effect is multiplied by lora_alpha / lora_rank."""
    lora_targets: str = ""
    """Names of the layers that get an adapter, with commas between; empty takes what suits the
    kind of model: attention, for small UNets convolutions too (to_q,to_k,to_v,to_out.0,conv1,
    conv2,proj_in,proj_out), with which a model learns faster and forgets faster."""
    proportion_empty_prompts: float = 0.2
    """Share of training prompts replaced by the empty one, so that guidance keeps working."""
    resolution: int = 0
    """Side in pixels of a square of the size to train at; pictures of other shapes are brought to
    as many pixels, and cropped. 0 takes the model's own size."""
    clip_frames: int = 0
    """How many frames of a clip to train on; 0 takes as many as the clips have and the model was
    made for."""
    random_flip: bool = False
    """Mirror both sides of a pair left to right, half of the time."""
    stratified: bool = True
    """Spread the noise levels of a step evenly instead of drawing each by itself: the same mean
    with less chance in it."""
    reference_draws: int = 0
    """Prepare so many (timestep, noise) draws a pair and compute the frozen model's errors for
    them once, for this run and all others on these pairs and this base. 0 makes a new draw at every
    step and asks the frozen model each time. 4 to 16 where pairs are gone through that often."""
    ema_decay: float = 0.0
    """Above 0, the model is held near a running mean of itself instead of the one it started from:
    so much of the mean is kept at each step; 0.95 to 0.995. With the loss linear, or where a run
    should go far."""
    optimiser: Literal["adamw", "adamw_8bit", "lion", "lion_8bit", "schedule_free"] = "adamw"
    """How gradients move weights. The 8-bit forms keep their state in a quarter of the memory.
    lion wants a learning rate 3 to 10 times smaller than adamw; schedule_free wants no schedule,
    only a warm-up."""
    warmup_ratio: float = 0.0
    """Share of all steps in which the learning rate rises from zero to its peak."""
    scheduler: Literal["linear", "cosine", "constant", "refined"] = "constant"
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
    """Decides the order of the pairs, timesteps, noise and the adapter's start. Same seed, data
    and machine: same model."""
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
    launcher: Literal["local", "ray"] = "local"
    """Where the processes are started: local on this server, ray on the Ray cluster that the
    server knows, over several hosts where one is too small."""
    channels_last: bool = False
    """Lay pictures out in memory as a GPU's convolutions like it: UNets get faster, transformers
    do not care."""
    compile: bool = False
    """Let torch.compile make kernels for the model's repeated blocks: a minute at the start, faster
    steps after; on a GPU only."""
    gradient_checkpointing: bool = False
    """Save memory by computing the forward pass twice; about 30 % slower."""
    halve_on_oom: bool = False
    """Where the GPU's memory is too small for a pass, cut it in two and go on, as often as needed;
    off ends the run with advice."""
    eval_every: int = 0
    """Measure the test pairs every so many steps, besides at the end; 0 only at the end."""
    checkpoint_every: int = 50
    """Save a point to resume from every so many steps."""
    keep_checkpoints: int = 0
    """Keep the model of every so many steps as a model version of its own when the run ends, so
    that it can be evaluated how training went; 0 keeps the model of the end alone."""
    sample_every: int = 0
    """Make pictures or clips for a few prompts every so many steps and at the end, beside those of
    the untrained model: on seeds that stay and on new ones, to be looked at; 0 makes none."""
    sample_prompts: int = 3
    """How many prompts, of the test rows where there are any."""
    sample_steps: int = 0
    """Denoising steps of a sample; 0 takes the model's own setting, else its family's usual number,
    but 20 at most: samples are for a look."""

    @property
    def referenced(self) -> bool:
        """Whether the loss asks the frozen model."""
        return self.loss_type not in REFERENCE_FREE

    def __post_init__(self) -> None:
        self._check_numbers()
        self._require(self.learning_rate > 0, "learning_rate", "must be above 0")
        if self.train == "lora":
            self._require(self.lora_rank >= 1, "lora_rank", "must be at least 1")
            self._require(self.lora_alpha >= 1, "lora_alpha", "must be at least 1")
        self._require(self.auto_beta < 0.5, "auto_beta", "must be below 0.5")
        self._require(
            self.auto_beta == 0 or self.loss_type in ("dpo", "rank", "dense", "masked"),
            "auto_beta",
            f"has no meaning with the {self.loss_type} loss and must be 0",
        )
        self._require(
            not self.safeguard or self.loss_type in ("dpo", "ipo", "linear", "rank"),
            "safeguard",
            f"does not go with the {self.loss_type} loss",
        )
        self._require(self.linear_floor < 0.5, "linear_floor", "must be below 0.5")
        self._require(
            self.ema_decay == 0 or self.reference_draws == 0,
            "ema_decay",
            "needs a reference that moves: reference_draws must be 0 with it",
        )
        self._require(
            self.ema_decay == 0 or self.referenced,
            "ema_decay",
            f"has no meaning with the {self.loss_type} loss and must be 0",
        )
        self._require(
            self.scheduler != "refined" or bool(self.refined_from.strip()),
            "refined_from",
            "must name a past run for the scheduler refined",
        )
