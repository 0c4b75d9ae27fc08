"""What a run would need of the machine: memory, time, disk, a GPU. No weights are loaded: shapes
come from the headers of the safetensors files."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from huggingface_hub import try_to_load_from_cache

from steelyard.lib.resources import gpus
from steelyard.lib.weights import Broken, check_json, header_of
from training.engine.config import names_in
from training.engine.kept import number_of
from training.engine.preflight_words import Finding, Remedy

Shapes = dict[str, tuple[int, ...]]
GIB = 1 << 30
BUSY = {"cpu": GIB * 4 // 5, "cuda": GIB}
"""What a process takes before it has loaded anything: libraries, the GPU's context."""
OPTIMISER = {"adamw": 8, "adamw_8bit": 2, "lion": 4, "lion_8bit": 1, "schedule_free": 8}
"""Bytes that an optimiser keeps of each trained weight."""
KEPT = 34
"""Bytes that a layer keeps of each token and hidden unit for the way back, at 16 bit
(Korthikanti et al. 2022, without the attention matrix)."""
START = 20.0
"""Seconds to load libraries and model and to keep what was learnt, where no run has told them."""


@dataclass(frozen=True)
class Machine:
    device: str
    """cpu or cuda."""
    memory: float
    """Bytes that are free for this run."""
    gpus: int

    @property
    def where(self) -> str:
        return "the GPU" if self.device == "cuda" else "the CPU"


def machine_of(settings: dict[str, Any]) -> Machine:
    found = gpus()
    if settings.get("device") != "cpu" and found:
        return Machine("cuda", max(gpu[3] for gpu in found) * (1 << 20), len(found))
    return Machine("cpu", float(psutil.virtual_memory().available), len(found))


def folder_of(source: str) -> Path | None:
    """Where a model lies: its folder, or the hub's cache of it; None where it is not here yet."""
    if Path(source).is_dir():
        return Path(source)
    for name in ("config.json", "model_index.json"):
        found = try_to_load_from_cache(source, name)
        if isinstance(found, str):
            return Path(found).parent
    return None


def shapes_of(folder: Path) -> Shapes:
    """Name and shape of every weight in a folder, by the files' headers.

    Raises:
        Broken: a file has no header that can be read, or is not all there.
    """
    found: Shapes = {}
    for path in sorted(folder.rglob("*.safetensors")):
        for name, entry in header_of(path).items():
            found[f"{path.parent.name}/{name}"] = tuple(entry["shape"])
    return found


def broken_base(folder: Path) -> str:
    """What is wrong with the files of a base model, in a sentence; empty where nothing is."""
    try:
        if (folder / "config.json").is_file():
            check_json(folder / "config.json")
        shapes_of(folder)
    except Broken as error:
        if error.path.suffix == ".json":
            return f"Its {error}."
        return f"Its weights are broken or half copied: {error}. Copy them again."
    except OSError as error:
        return f"Its weights cannot be read: {error.strerror or error}."
    return ""


def count(shapes: Iterable[tuple[int, ...]]) -> int:
    return sum(math.prod(shape) for shape in shapes)


def trained_of(shapes: Shapes, settings: dict[str, Any]) -> int:
    """How many weights are trained."""
    what = settings.get("train", "lora")
    rank = int(settings.get("lora_rank", 0))
    if what == "all" or (what == "lora" and rank == 0):
        return count(shapes.values())
    if what == "lora":
        return sum(rank * (shape[0] + math.prod(shape[1:])) for shape in _targets(shapes, settings))
    word = {"bias": ".bias", "norm": "norm", "head": "lm_head"}.get(what, what)
    found = count(shape for name, shape in shapes.items() if word in name)
    if found or what != "head":
        return found
    return count(shape for name, shape in shapes.items() if "embed_tokens" in name)


def unknown_layers(shapes: Shapes, settings: dict[str, Any]) -> list[Finding]:
    """Names in lora_targets that no weight of the model answers to."""
    if settings.get("train", "lora") != "lora" or not settings.get("lora_rank"):
        return []
    targets = str(settings.get("lora_targets", ""))
    if targets.strip() == "all-linear" or not shapes:
        return []
    layers = {
        name.removesuffix(".weight")
        for name, shape in shapes.items()
        if name.endswith(".weight") and len(shape) > 1
    }
    lost = [
        wanted
        for wanted in names_in(targets)
        if not any(layer.endswith((f".{wanted}", f"/{wanted}")) for layer in layers)
    ]
    if not lost:
        return []
    there = sorted({layer.rpartition(".")[2] for layer in layers if not layer[-1].isdigit()})
    values = {"names": ", ".join(lost), "there": ", ".join(there[:12])}
    remedy = Remedy("lora_targets", {"lora_targets": "all-linear"})
    return [Finding("unknown_layers", "stop", values, (), (remedy,))]


def machine_findings(
    *,
    shapes: Shapes,
    source: str,
    settings: dict[str, Any],
    model: dict[str, Any],
    longest: int,
    answer: int,
    tokens: int,
    steps: int,
    disk: Path,
) -> list[Finding]:
    """Memory, disk and GPU.

    Args:
        model: the base's config.json.
        longest: tokens of all contexts with their answers of the longest row as it is trained.
        answer: half the tokens of a row's answers, of the row where they are longest.
        tokens: of all rows, which the reference's log-probabilities are kept of.
        steps: of the run.
    """
    machine = machine_of(settings)
    found = gpu_findings(machine, settings, count(shapes.values()))
    if not shapes:
        return [*found, Finding("memory_unknown", "look", {"source": source})]
    need = memory_needed(
        shapes=shapes,
        settings=settings,
        model=model,
        longest=longest,
        answer=answer,
        device=machine.device,
    )
    found.append(memory_finding(machine, need, settings))
    trained = trained_of(shapes, settings)
    size = 2 * trained * (4 + OPTIMISER[settings.get("optimiser", "adamw")]) + trained * 4
    size += kept_bytes(settings, steps, trained, count(shapes.values()))
    return [*found, disk_finding(size + 4 * tokens, disk)]


def kept_bytes(settings: dict[str, Any], steps: int, trained: int, every: int) -> int:
    """What the models of checkpoints take: adapters, or whole models."""
    adapter = settings.get("train", "lora") == "lora" and bool(settings.get("lora_rank"))
    return 4 * (trained if adapter else every) * number_of(settings, steps, adapter=adapter)


def memory_needed(
    *,
    shapes: Shapes,
    settings: dict[str, Any],
    model: dict[str, Any],
    longest: int,
    answer: int,
    device: str,
) -> dict[str, float]:
    """Bytes: ``weights``, ``optimiser`` (gradients and trained weights too), ``pass``, ``busy``."""
    wanted = settings.get("dtype", "auto")
    half = wanted == "bfloat16" or (wanted == "auto" and device == "cuda")
    size = 2 if half else 4
    parameters, trained = count(shapes.values()), trained_of(shapes, settings)
    whole = trained >= parameters
    per = 4 + OPTIMISER[settings.get("optimiser", "adamw")]
    rows = settings.get("batch_size", 1)
    tokens = settings.get("tokens_per_pass") or rows * longest
    hidden = model.get("hidden_size") or model.get("n_embd") or 0
    layers = model.get("num_hidden_layers") or model.get("n_layer") or 0
    vocabulary = model.get("vocab_size") or 0
    kept = KEPT * size / 2 * hidden
    if settings.get("gradient_checkpointing"):
        activations = tokens * (layers * size * hidden + kept)
    else:
        activations = tokens * layers * kept
    # scores of the answers' tokens alone, in float32, once forward and once back
    logits = 2 * rows * answer * vocabulary * 4 * 2
    return {
        "weights": parameters * (4 if whole else size),
        "optimiser": trained * (per if whole else per + 4),
        "pass": activations + logits,
        "busy": BUSY[device],
    }


def time_finding(speed: dict[str, Any] | None, *, tokens: int, epochs: float) -> Finding:
    """
    Args:
        speed: ``tokens_per_second``, ``run`` and, where known, ``start``: the seconds besides
            steps, as measured on this server before.
        tokens: of the rows to train on, once through, with all sequences of a pair.
    """
    if not speed or not speed.get("tokens_per_second"):
        return Finding("time_unknown", "fine")
    start = START if speed.get("start") is None else speed["start"]
    seconds = start + tokens * epochs / speed["tokens_per_second"]
    values = {
        "time": duration(seconds),
        "start": duration(start),
        "speed": f"{speed['tokens_per_second']:.0f}",
        "run": speed["run"],
    }
    return Finding("time", "fine", values)


def _targets(shapes: Shapes, settings: dict[str, Any]) -> list[tuple[int, ...]]:
    targets = str(settings.get("lora_targets", ""))
    linear = {n: s for n, s in shapes.items() if len(s) > 1 and n.endswith(".weight")}
    if targets.strip() == "all-linear":
        return [s for n, s in linear.items() if "embed" not in n and "lm_head" not in n]
    ends = tuple(f".{name}.weight" for name in names_in(targets))
    return [s for n, s in linear.items() if ends and n.endswith(ends)]


def gpu_findings(machine: Machine, settings: dict[str, Any], parameters: int) -> list[Finding]:
    if machine.device == "cuda":
        return [Finding("gpu", "fine", {"count": machine.gpus, "where": machine.where})]
    if settings.get("device") == "cuda":
        remedy = Remedy("device_auto", {"device": "auto"})
        return [Finding("no_gpu", "stop", {}, (), (remedy,))]
    level = "look" if parameters > 500_000_000 else "fine"
    return [Finding("cpu_only", level, {"parameters": _short(parameters)})]  # type: ignore[arg-type]


def memory_finding(machine: Machine, need: dict[str, float], settings: dict[str, Any]) -> Finding:
    total = sum(need.values())
    values = {
        "needed": in_bytes(total),
        "there": in_bytes(machine.memory),
        "where": machine.where,
        **{name: in_bytes(value) for name, value in need.items()},
    }
    if total < 0.9 * machine.memory:
        return Finding("memory", "fine", values)
    remedies = _savings(settings)
    if need["weights"] > machine.memory:
        return Finding("memory_over", "stop", values, (), tuple(remedies))
    return Finding("memory_tight", "look", values, (), tuple(remedies))


def _savings(settings: dict[str, Any]) -> list[Remedy]:
    """What would take less memory, the mildest first."""
    found = []
    batch = int(settings.get("batch_size", 1))
    if batch > 1:
        half = {
            "batch_size": batch // 2,
            "accumulation": int(settings.get("accumulation", 1)) * batch // (batch // 2),
        }
        found.append(Remedy("halve_batch", half, str(batch // 2)))
    if settings.get("gradient_checkpointing") is False:
        found.append(Remedy("gradient_checkpointing", {"gradient_checkpointing": True}))
    if settings.get("halve_on_oom") is False:
        found.append(Remedy("halve_on_oom", {"halve_on_oom": True}))
    if settings.get("train") == "all":
        found.append(Remedy("train_lora", {"train": "lora", "lora_rank": 8}))
    return found


def disk_finding(need: float, disk: Path) -> Finding:
    free = shutil.disk_usage(disk).free
    values = {"free": in_bytes(free), "needed": in_bytes(need)}
    if free < need:
        return Finding("disk_full", "stop", values)
    return (
        Finding("disk_tight", "look", values)
        if free < 2 * need
        else Finding("disk", "fine", values)
    )


def in_bytes(number: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if number < 1024:
            return f"{number:.0f} {unit}"
        number /= 1024
    return f"{number:.1f} GiB"


def duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"


def _short(number: int) -> str:
    for size, word in ((10**9, "billion"), (10**6, "million")):
        if number >= size:
            return f"{number / size:.3g} {word}"
    return f"{number:,}"
