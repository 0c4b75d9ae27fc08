"""What a model's card says of the training and of licences, in sentences."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from steelyard.registry import cards
from steelyard.registry.models import ModelVersion
from training.cards_loading import UNETS, denoisers
from training.models import TrainingJob

UNKNOWN = "unknown"
_FRONT = re.compile(r"\A---\n(.*?)\n---", re.DOTALL)
_LICENCE = re.compile(r"^license(_name)?:[ \t]*[\"']?([\w.+-]+)", re.MULTILINE)
_SUMMED = "the log-probability of an answer, summed over its tokens"
_PER_TOKEN = "the log-probability of an answer per token"
_WEIGHT = "the preference's weight beside the chosen answer's cross-entropy per token"


def trained(job: TrainingJob, model: ModelVersion, result: dict[str, Any]) -> list[str]:
    """What was trained of the base, for which objective, and how strongly it was held near the
    base."""
    loss = job.config.get("loss_type")
    lines = [
        f"- Trained: {_weights(job, model)}{_number(result)}",
        f"- Objective: `{job.recipe}`" + (f", loss `{loss}`" if loss else ""),
    ]
    beta = _media_beta(job, result) if _paints(job) else _beta_of_words(job)
    return [*lines, *([f"- β: {beta}"] if beta else [])]


def licences(job: TrainingJob) -> list[str]:
    data = cards.licences(job.version)
    base = licence_of_base(job.base)
    hub = not job.base.source.startswith("/")
    page = f"see https://huggingface.co/{job.base.source}" if hub else "its folder says none"
    return [
        *(
            f"- Data: {'not said' if said == UNKNOWN else said} "
            + ("(the project's)" if len(data) == 1 else f"(of the project `{slug}`)")
            for slug, said in data.items()
        ),
        f"- Base model: {base if base != UNKNOWN else page}",
        "- The weights: whoever hands them on says it, within what all of these allow, in the "
        "line `license` above",
    ]


def licence(job: TrainingJob) -> str:
    """For the front matter: that of the base and of all data where it is one, for then nothing is
    to be decided."""
    base = licence_of_base(job.base)
    return base if set(cards.licences(job.version).values()) == {base} else UNKNOWN


def licence_of_base(base: ModelVersion) -> str:
    """As the card in its folder says, or that of what it was trained from."""
    for one in [base, *base.ancestors()]:
        # of an adapter ``source`` is the folder of what it lies on
        for folder in filter(None, (one.adapter, one.source)):
            if folder.startswith("/") and (found := _said_in(Path(folder))):
                return found
    return UNKNOWN


def _said_in(folder: Path) -> str:
    try:
        with (folder / "README.md").open(encoding="utf-8", errors="replace") as stream:
            front = _FRONT.match(stream.read(100_000))
    except OSError:
        return ""
    said = {bool(name): value for name, value in _LICENCE.findall(front[1] if front else "")}
    # "other" has its name in a line of its own
    found = said.get(True) or said.get(False, "")
    return "" if found == UNKNOWN else found


def _paints(job: TrainingJob) -> bool:
    return job.base.modality != "text" and job.base.family != "vision_language"


def _weights(job: TrainingJob, model: ModelVersion) -> str:
    what = "language model"
    if job.base.family == "vision_language":
        what = "vision-language model"
    if _paints(job):
        unet = job.base.family in UNETS
        what = "UNet" if unet else "diffusion transformer (DiT)"
    if not model.adapter:
        return f"all weights of the base's {what}" if _paints(job) else f"all weights of the {what}"
    rank, alpha = job.config.get("lora_rank"), job.config.get("lora_alpha")
    size = f" of rank {rank} (alpha {alpha})" if rank else ""
    parts = denoisers(model) if _paints(job) else []
    if len(parts) > 1:
        return f"a LoRA adapter{size} on each of the base's {len(parts)} {what}s"
    return f"a LoRA adapter{size} on the base's {what}" if parts else f"a LoRA adapter{size}"


def _number(result: dict[str, Any]) -> str:
    number = (result.get("counts") or {}).get("trained_parameters")
    return f"; {number:,} parameters" if number else ""


def _media_beta(job: TrainingJob, result: dict[str, Any]) -> str:
    """In both units: papers and other programs have one or the other."""
    if job.config.get("loss_type") == "mapo":
        return ""
    found = result.get("beta") or {}
    if not found:
        return f"{job.config['beta']:g} on errors averaged over their elements"
    at = " at the end, where it had followed the errors," if job.config.get("auto_beta") else ""
    return (
        f"{found['mean']:g}{at} on errors averaged over their elements, which is "
        f"{found['sum']:.3g} on their sum"
    )


def _beta_of_words(job: TrainingJob) -> str:
    config = job.config
    loss = str(config.get("loss_type", ""))
    if "beta" not in config or loss == "rrhf":
        return ""
    if job.recipe in ("orpo", "rationale_orpo"):
        return f"{config['beta']:g}, {_WEIGHT}"
    per_token = job.recipe == "simpo" or loss.endswith("_norm")
    return f"{config['beta']:g} on {_PER_TOKEN if per_token else _SUMMED}"
