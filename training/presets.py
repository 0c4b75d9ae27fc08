"""When to choose which recipe, and named starting settings, each with where it comes from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from training.engine.config import RECIPES, form_fields

WHEN: dict[str, Any] = {
    "dpo": _(
        "The usual choice: pairs with a better and a worse answer, and a model that answers "
        "reasonably already."
    ),
    "simpo": _(
        "No reference model, and a reward that is a mean over tokens: where chosen answers are "
        "longer and length must not win. It can move far from the base; watch it."
    ),
    "orpo": _(
        "One stage without a reference: for a base that has not been taught to answer yet, since "
        "it learns the chosen answers as well."
    ),
    "kto": _(
        "Learns from single answers, good or bad, each by itself: where the two sides of a pair "
        "say little about each other."
    ),
    "sft": _("Imitates the chosen answers alone: a first stage, or the baseline to beat."),
    "rebirth": _(
        "After many rounds: the model from before them learns what the one from after them writes, "
        "and keeps what the rounds wore off."
    ),
    "rationale_dpo": _(
        "DPO that learns the written reason too: where most rows have a rationale, and rows are "
        "few."
    ),
    "rationale_orpo": _("The same with ORPO, so without a reference model."),
    "srpo": _(
        "Experimental: the model learns to revise its answers, and to be asked for revisions."
    ),
    "dual_dpo": _(
        "For vision-language models: also prefers the picture that was asked about over one like "
        "it, against answers that are made up."
    ),
    "diffusion_dpo": _(
        "For image and video models: pairs of pictures, or of clips, to one prompt."
    ),
}


@dataclass(frozen=True)
class Preset:
    key: str
    recipe: str
    name: Any
    about: Any
    source: str
    settings: dict[str, Any] = field(default_factory=dict)
    """What differs from the recipe's defaults."""


_ADAPTER = {"lora_rank": 16, "lora_alpha": 32, "lora_targets": "all-linear"}
_ALL = [
    Preset(
        "lora-small-gpu",
        "dpo",
        _("LoRA, small GPU"),
        _("A rank 16 adapter on every linear layer, 32 pairs a step, two at a time."),
        gettext_noop("LoRA Without Regret (Schulman et al. 2025): every layer, 10 times the rate"),
        {
            **_ADAPTER,
            "learning_rate": 5e-5,
            "batch_size": 2,
            "accumulation": 16,
            "gradient_checkpointing": True,
        },
    ),
    Preset(
        "all-weights",
        "dpo",
        _("All weights"),
        _("Every weight, with the small rate that this needs; 32 pairs a step."),
        gettext_noop("Zephyr (Tunstall et al. 2023): 5e-7, beta 0.1, 32 pairs a step"),
        {
            "train": "all",
            "learning_rate": 5e-7,
            "batch_size": 4,
            "accumulation": 8,
            "gradient_checkpointing": True,
        },
    ),
    Preset(
        "rpo",
        "dpo",
        _("RPO: DPO held to the chosen answers"),
        _("Adds the likelihood of the chosen answers, against both sides losing probability."),
        gettext_noop("RPO (Liu et al. 2024), averaged form: weight 0.2, beta 0.5"),
        {"sft_weight": 0.2, "sft_form": "mean", "beta": 0.5},
    ),
    Preset(
        "guided",
        "dpo",
        _("Guided by reference answers"),
        _("Adds the likelihood of each prompt's reference answer, which the version must have."),
        gettext_noop("gDPO (video-SALMONN 2, Tang et al. 2025): weight 0.1"),
        {"ground_truth_weight": 0.1},
    ),
    Preset(
        "noisy-votes",
        "dpo",
        _("Votes that disagree"),
        _("Expects one label in ten to be wrong, so that no pair is pushed without end."),
        gettext_noop("Conservative DPO (Mitchell 2023)"),
        {"label_smoothing": 0.1},
    ),
    Preset(
        "long-answers",
        "dpo",
        _("Chosen answers are longer"),
        _("Tokens beyond the shorter answer's length count half."),
        gettext_noop("LD-DPO (Liu et al. 2024)"),
        {"ld_alpha": 0.5},
    ),
    Preset(
        "cpu",
        "dpo",
        _("CPU try-out"),
        _("Twenty short steps, to see that everything goes through."),
        gettext_noop("measured here: minutes with SmolLM2-135M on two cores"),
        {"max_steps": 20, "batch_size": 2, "max_length": 256, "lora_rank": 4, "lora_alpha": 8},
    ),
    Preset(
        "simpo-paper",
        "simpo",
        _("As published"),
        _("All weights at a small rate; the most sensitive setting is the learning rate."),
        gettext_noop("SimPO (Meng et al. 2024), Llama-3 Instruct: beta 2.5, gamma/beta 0.55"),
        {"beta": 2.5, "gamma": 1.375, "train": "all", "learning_rate": 1e-6},
    ),
    Preset(
        "simpo-lora",
        "simpo",
        _("LoRA, small GPU"),
        _("The same objective with an adapter."),
        gettext_noop("SimPO's beta with rates that are usual for adapters"),
        {**_ADAPTER, "learning_rate": 1e-5, "batch_size": 2, "accumulation": 16},
    ),
    Preset(
        "orpo-paper",
        "orpo",
        _("As published"),
        _("All weights of a base model in one stage."),
        gettext_noop("ORPO (Hong et al. 2024): 8e-6, lambda 0.1"),
        {"train": "all", "learning_rate": 8e-6, "batch_size": 4, "accumulation": 16},
    ),
    Preset(
        "kto-lora",
        "kto",
        _("LoRA, small GPU"),
        _("Needs steps of at least eight answers: its baseline is a mean over the step."),
        gettext_noop("KTO (Ethayarajh et al. 2024): 5e-7 to 5e-6 for all weights"),
        {**_ADAPTER, "learning_rate": 5e-6, "batch_size": 4, "accumulation": 8},
    ),
    Preset(
        "shuffled-reasons",
        "rationale_dpo",
        _("Control: another pair's reason"),
        _("Run it beside the real one: what it gains too is not owed to what reasons say."),
        gettext_noop("asked for by the reviewers of Just et al. 2024"),
        {"rationale_control": "shuffled"},
    ),
    Preset(
        "sft-lora",
        "sft",
        _("LoRA, small GPU"),
        _("A rank 16 adapter on every linear layer, 32 answers a step."),
        gettext_noop("LoRA Without Regret (Schulman et al. 2025): every layer, 10 times the rate"),
        {**_ADAPTER, "learning_rate": 1e-4, "batch_size": 2, "accumulation": 16},
    ),
    Preset(
        "re-align",
        "dual_dpo",
        _("As published"),
        _("Rewritten answers with pictures that look alike; an adapter of rank 128."),
        gettext_noop("Re-Align (Xing et al. 2025): beta 0.1, 1e-6, rank 128 on attention"),
        {
            "rejected": "refilled",
            "beta": 0.1,
            "learning_rate": 1e-6,
            "lora_rank": 128,
            "lora_alpha": 256,
            "lora_dropout": 0.05,
            "batch_size": 1,
            "accumulation": 8,
            "scheduler": "cosine",
            "warmup_ratio": 0.03,
        },
    ),
    Preset(
        "pictures-small",
        "diffusion_dpo",
        _("A small model on the CPU"),
        _("Short, with prepared draws, so that the frozen model is asked once."),
        gettext_noop("measured here on 32-pixel pictures"),
        {"max_steps": 60, "batch_size": 16, "reference_draws": 4},
    ),
    Preset(
        "stable-diffusion",
        "diffusion_dpo",
        _("Stable Diffusion 1.5, one GPU"),
        _("A small rate and large steps, as noise makes each pair say little."),
        gettext_noop("Diffusion-DPO (Wallace et al. 2023): beta 2000 to 5000"),
        {
            "beta": 5000.0,
            "learning_rate": 1e-5,
            "batch_size": 4,
            "accumulation": 32,
            "max_steps": 500,
            "gradient_checkpointing": True,
            "sample_every": 100,
        },
    ),
    Preset(
        "clips",
        "diffusion_dpo",
        _("Clips, one GPU"),
        _("Half-sized clips of two seconds or so, and a beta that finds itself."),
        gettext_noop("Flow-DPO (Liu et al. 2025): constant beta, once through the pairs"),
        {
            "auto_beta": 0.2,
            "learning_rate": 1e-5,
            "batch_size": 1,
            "accumulation": 32,
            "lora_rank": 16,
            "lora_alpha": 16,
            "resolution": 320,
            "clip_frames": 33,
            "max_steps": 300,
            "gradient_checkpointing": True,
            "sample_every": 100,
            "sample_prompts": 2,
        },
    ),
    Preset(
        "pictures-safe",
        "diffusion_dpo",
        _("Hold the chosen side"),
        _("No step may raise the error on the chosen side; beta is found while it runs."),
        gettext_noop("Diffusion-SDPO (Fu et al. 2025), with beta by its target"),
        {"safeguard": True, "auto_beta": 0.2, "batch_size": 8, "accumulation": 8},
    ),
    Preset(
        "pictures-linear",
        "diffusion_dpo",
        _("A reference that moves"),
        _("Linear-DPO against a running mean, for long runs."),
        gettext_noop("Linear-DPO (2605.21123): beta 100, which is 200 here, EMA 0.95 to 0.995"),
        {"loss_type": "linear", "beta": 200.0, "ema_decay": 0.99, "learning_rate": 5e-6},
    ),
]


def presets_of(recipe: str) -> list[Preset]:
    """Those of a recipe, whose settings it knows."""
    known = {setting.name for setting in form_fields(RECIPES[recipe])}
    return [one for one in _ALL if one.recipe == recipe and set(one.settings) <= known]


def preset(recipe: str, key: str) -> Preset | None:
    return next((one for one in presets_of(recipe) if one.key == key), None)
