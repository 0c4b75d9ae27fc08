"""What becomes of a run on pictures or clips, told before it is started: files, shapes, prompts,
what is in the cache already, memory, time and disk. No weights are loaded."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from steelyard.lib.errors import UserError
from steelyard.lib.records import PreferenceRecord
from steelyard.lib.rundir import RunDir
from steelyard.lib.said import Said, together
from training.engine.config import names_in
from training.engine.diffusion_cache import (
    ErrorsOf,
    KnownFacts,
    Shards,
    cache_folder,
    entry_of,
    key_of,
)
from training.engine.diffusion_data import Chances, MediaDataset, MediaPair, choose_pairs, look_at
from training.engine.diffusion_geometry import (
    DENOISERS,
    Geometry,
    Read,
    activations,
    geometry_of,
    reader_of,
)
from training.engine.diffusion_media import Place
from training.engine.diffusion_parts import what_of
from training.engine.diffusion_prepared import Prepared, media_entry, places_of
from training.engine.families import Family
from training.engine.preflight_machine import (
    BUSY,
    OPTIMISER,
    START,
    Shapes,
    count,
    disk_finding,
    duration,
    gpu_findings,
    kept_bytes,
    machine_of,
    memory_finding,
    shapes_of,
    trained_of,
    unknown_layers,
)
from training.engine.preflight_words import Finding, Remedy
from training.engine.reference import Cache
from training.engine.words import WORDS

SHAPES_SHOWN = 5
CROPPED = 0.05
"""By which part of a side one of a pair may be cropped more than the other without a word."""
MUCH = 2.0
"""How many times a side may be enlarged before it is told."""
_ODD = ("alpha", "animated", "cmyk", "sixteen_bit", "turned")


def media_findings(
    rundir: RunDir,
    spec: dict[str, Any],
    config: Any,
    records: Sequence[PreferenceRecord],
    folder: Path | None,
) -> tuple[list[Finding], dict[str, Any]]:
    """Findings and figures.

    Args:
        folder: where the base model lies; None where it is not on this machine yet.
    """
    try:
        dataset = choose_pairs(records, both_bad=getattr(config, "loss_type", "") == "kto")
        geometry = geometry_of(spec["base"]["family"], folder) if folder else None
    except UserError as error:
        return [Finding("bad_rows", "stop", {"message": error.message})], {}
    found = _left_out(dataset, len(records))
    dataset, more = _files(rundir, spec, dataset)
    found += more + _loss(dataset, config)
    if not dataset.train:
        return found, {}
    figures: dict[str, Any] = {"train": len(dataset.train)}
    found += _steps(config, figures)
    if geometry is None or folder is None:
        return found, figures
    try:
        places = places_of(dataset, _as_family(geometry), config)
        read = reader_of(geometry.name, folder)
        said = {prompt: read(prompt) for prompt in {"", *(pair.prompt for pair in dataset.pairs)}}
    except UserError as error:
        remedies = (Remedy("own_size", {"resolution": 0}),) if error.field == "resolution" else ()
        code = "bad_size" if remedies else "bad_base"
        return [*found, Finding(code, "stop", {"message": error.message}, (), remedies)], figures
    found += _prompts(dataset, said)
    found += _shapes(dataset, places, geometry)
    found += _beta(config, places, geometry)
    found += _cached(rundir, spec, config, dataset, places, geometry, figures, said)
    found += _machine(rundir, spec, config, places, geometry, folder, figures)
    return found, figures


def _as_family(geometry: Geometry) -> Family:
    """What is asked of a family here is all said by its settings."""
    family: Any = geometry
    return family


def _left_out(dataset: MediaDataset, rows: int) -> list[Finding]:
    # two bad ones are told apart
    ties, same = dataset.counts["dropped_ties"], dataset.counts["dropped_identical"]
    if not ties + same:
        return []
    level = "look" if ties + same > rows / 2 else "fine"
    values = {"count": ties + same, "rows": rows, "ties": ties, "same": same}
    return [Finding("no_winner", level, values)]  # type: ignore[arg-type]


def _files(
    rundir: RunDir, spec: dict[str, Any], dataset: MediaDataset
) -> tuple[MediaDataset, list[Finding]]:
    """The pairs whose files can be read, and what is to be said of the files."""
    known = KnownFacts(cache_folder(rundir, spec), rundir.media, spec["base"]["modality"])
    names = sorted({name for pair in dataset.pairs for name in (pair.chosen, pair.rejected)})
    there = [name for name in names if (rundir.media / name).is_file()]
    facts, bad = look_at(there, known, rundir)
    found = []
    lost = [pair for pair in dataset.pairs if pair.chosen in bad or pair.rejected in bad]
    if lost:
        first = lost[0].chosen if lost[0].chosen in bad else lost[0].rejected
        values = {"count": len(lost), "rows": len(dataset.pairs), "file": first[:12]}
        values |= {"reason": bad[first]}
        found.append(Finding("unreadable", "look", values, _rows(lost)))
    kept = [
        [pair for pair in part if pair.chosen in facts and pair.rejected in facts]
        for part in (dataset.train, dataset.test)
    ]
    if not kept[0]:
        found.append(Finding("no_files", "stop", {"rows": len(dataset.train)}))
    odd = Counter(note for one in facts.values() for note in one.notes if note in _ODD)
    if odd:
        told = together(
            Said(WORDS, f"odd_{note}", count=number) for note, number in odd.most_common()
        )
        found.append(Finding("odd_files", "fine", {"files": len(facts), "told": told}))
    return replace(dataset, train=kept[0], test=kept[1], facts=facts), found


def _loss(dataset: MediaDataset, config: Any) -> list[Finding]:
    """What a loss learns from and these rows do not have."""
    train, kind = dataset.train, getattr(config, "loss_type", "dpo")
    groups = Counter(pair.group for pair in train)
    without = {
        "dense": [pair for pair in train if not pair.segments],
        "masked": [pair for pair in train if not pair.regions],
        "rank": [pair for pair in train if groups[pair.group] == 1],
    }.get(kind, [])
    if not without:
        return []
    values = {"count": len(without), "rows": len(train), "loss": kind}
    remedies = (Remedy("plain_loss", {"loss_type": "dpo"}),) if len(without) == len(train) else ()
    return [Finding(f"without_{kind}", "look", values, _rows(without), remedies)]


def _steps(config: Any, figures: dict[str, Any]) -> list[Finding]:
    per_step = config.batch_size * config.accumulation
    in_epoch = math.ceil(figures["train"] / per_step)
    figures |= {"steps": config.max_steps, "epochs": config.max_steps / in_epoch}
    values = {"steps": config.max_steps, "per_step": min(per_step, figures["train"])}
    return [Finding("steps", "fine", {**values, "epochs": f"{figures['epochs']:.3g}"})]


def _prompts(dataset: MediaDataset, said: dict[str, Read]) -> list[Finding]:
    cut = [pair for pair in dataset.pairs if said[pair.prompt].why == "cut"]
    unknown = [pair for pair in dataset.pairs if said[pair.prompt].why not in ("", "cut")]
    found = []
    if cut:
        every = len({pair.prompt for pair in dataset.pairs})
        values = {"count": len({pair.prompt for pair in cut}), "prompts": every}
        found.append(Finding("prompts_cut", "look", values, _rows(cut)))
    if unknown:
        told = {"count": len({p.prompt for p in unknown}), "why": said[unknown[0].prompt].why}
        found.append(Finding("prompts_unknown", "stop", told, _rows(unknown)))
    return found


def _shapes(dataset: MediaDataset, places: dict[str, Place], geometry: Geometry) -> list[Finding]:
    facts = dataset.facts
    sizes = sorted(
        ((one.width, one.height) for one in _used(dataset)), key=lambda s: (s[0] * s[1], s)
    )
    shapes = Counter(replace(place, rate=0.0) for place in places.values())
    told = [f"{_in_words(place)} ({number})" for place, number in shapes.most_common(SHAPES_SHOWN)]
    if len(shapes) > SHAPES_SHOWN:
        told.append(f"+ {len(shapes) - SHAPES_SHOWN}")
    values = {
        "files": len(sizes),
        "least": "{} x {}".format(*sizes[0]),
        "most": "{} x {}".format(*sizes[-1]),
        "shapes": ", ".join(told),
    }
    found = [Finding("shapes", "fine", values)]
    differ = [
        pair for pair in dataset.pairs if _size(facts[pair.chosen]) != _size(facts[pair.rejected])
    ]
    if differ:
        values = {"count": len(differ), "rows": len(dataset.pairs)}
        cropped = any(_apart(facts[pair.chosen], facts[pair.rejected]) for pair in differ)
        level = "look" if cropped else "fine"
        found.append(Finding("sides_differ", level, values, _rows(differ)))  # type: ignore[arg-type]
    small = [
        pair
        for pair in dataset.pairs
        if any(
            _enlarged(facts[name], places[pair.key]) > MUCH for name in (pair.chosen, pair.rejected)
        )
    ]
    if small and not geometry.fixed_size:
        values = {"count": len(small), "rows": len(dataset.pairs)}
        found.append(Finding("enlarged", "look", values, _rows(small)))
    if geometry.modality == "video":
        found += _clips(dataset, places)
    return found


def _clips(dataset: MediaDataset, places: dict[str, Place]) -> list[Finding]:
    lasts = sorted(one.frames / one.rate for one in _used(dataset) if one.rate)
    taken = sorted(place.frames / place.rate for place in places.values())
    values = {
        "least": f"{lasts[0]:.1f}",
        "most": f"{lasts[-1]:.1f}",
        "taken_least": f"{taken[0]:.1f}",
        "taken": f"{taken[-1]:.1f}",
    }
    found = [Finding("clips", "fine", values)]
    still = [pair for pair in dataset.pairs if places[pair.key].frames == 1]
    if still:
        found.append(Finding("still_clips", "look", {"count": len(still)}, _rows(still)))
    return found


def _beta(config: Any, places: dict[str, Place], geometry: Geometry) -> list[Finding]:
    """What beta is on the sum of errors, as the run's log says it."""
    if not config.referenced:
        return []
    common = Counter(replace(place, rate=0.0) for place in places.values()).most_common(1)[0][0]
    elements = math.prod(geometry.latent(common))
    values = {"beta": f"{config.beta:g}", "elements": f"{elements:,}"}
    return [Finding("beta_units", "fine", {**values, "sum": f"{config.beta / elements:.3g}"})]


def _cached(
    rundir: RunDir,
    spec: dict[str, Any],
    config: Any,
    dataset: MediaDataset,
    places: dict[str, Place],
    geometry: Geometry,
    figures: dict[str, Any],
    said: dict[str, Read],
) -> list[Finding]:
    folder = cache_folder(rundir, spec)
    on_gpu = machine_of(config.as_dict()).device == "cuda"
    device = torch.device("cuda" if on_gpu else "cpu")
    key = key_of(_as_family(geometry), spec["base"]["source"], device, folder)
    shards = Shards(folder / f"encoded-{key}")
    flips = (False, True) if config.random_flip else (False,)
    files = {
        (name, places[pair.key]) for pair in dataset.pairs for name in (pair.chosen, pair.rejected)
    }
    known = sum(all(media_entry(*f, flip) in shards for flip in flips) for f in files)
    new = [prompt for prompt in said if entry_of("prompt", prompt) not in shards]
    each = [math.prod(geometry.latent(place)) for _, place in files]
    kept = sum(each) * 8 * len(flips) * (len(files) - known) / max(1, len(files))
    kept += sum(geometry.prompt_bytes(said[prompt].tokens, device.type) for prompt in new)
    figures |= {"encode": len(files) - known, "encoded_bytes": kept}
    there = len(said) - len(new)
    values = {"known": known, "files": len(files), "there": there, "prompts": len(said)}
    found = [Finding("encoded", "fine", values)]
    prepared = Prepared(_as_family(geometry), dataset, places, shards)
    prepared.folder, prepared.key = folder, key
    return found + _errors(prepared, spec, config, figures)


def _errors(
    prepared: Prepared, spec: dict[str, Any], config: Any, figures: dict[str, Any]
) -> list[Finding]:
    """Which of the frozen model's errors at prepared draws are there."""
    draws = min(config.reference_draws, math.ceil(figures["epochs"]))
    figures["asked"] = _pairs_of(config, figures) if config.referenced else 0
    if not (draws and config.referenced):
        return []
    chances = Chances(config.seed, config.proportion_empty_prompts, config.random_flip)
    wanted = {
        prepared.error_entry(
            pair,
            chances.prepared(pair.key, number, spread=config.stratified),
            what_of(config),
        )
        for pair in prepared.dataset.train
        for number in range(draws)
    }
    cache = ErrorsOf(prepared.folder, spec, prepared.key).read()
    known = len(Cache(prepared.folder, cache).read(wanted)) if cache else 0
    figures["asked"] = len(wanted) - known
    return [Finding("errors_known", "fine", {"known": known, "wanted": len(wanted)})]


def _machine(
    rundir: RunDir,
    spec: dict[str, Any],
    config: Any,
    places: dict[str, Place],
    geometry: Geometry,
    folder: Path,
    figures: dict[str, Any],
) -> list[Finding]:
    settings = config.as_dict()
    targets = names_in(settings["lora_targets"]) or list(geometry.lora_targets)
    every = shapes_of(folder)
    own = {name: shape for name, shape in every.items() if _is_denoiser(name, geometry)}
    machine = machine_of(settings)
    found = gpu_findings(machine, settings, count(own.values()))
    trained = trained_of(own, {**settings, "lora_targets": ",".join(targets)})
    figures |= {"parameters": count(own.values()), "trained_parameters": trained}
    if not own:
        return [*found, Finding("memory_unknown", "look", {"source": spec["base"]["source"]})]
    if settings["lora_targets"]:
        found += [
            replace(one, remedies=(Remedy("own_targets", {"lora_targets": ""}),))
            for one in unknown_layers(own, settings)
        ]
    need = _memory(settings, places, geometry, every, own, trained, machine.device)
    found.append(memory_finding(machine, need, settings))
    per = 4 + OPTIMISER[settings["optimiser"]]
    disk = 2 * trained * per + trained * 4 + figures["encoded_bytes"]
    disk += kept_bytes(settings, figures["steps"], trained, count(every.values()))
    found.append(disk_finding(disk, rundir.path))
    told = {name: figures[name] for name in ("encode", "asked", "steps")}
    found.append(Finding("passes", "fine", {**told, "pairs": _pairs_of(config, figures)}))
    return [*found, _time(spec.get("speed"), config, figures)]


def _memory(
    settings: dict[str, Any],
    places: dict[str, Place],
    geometry: Geometry,
    every: Shapes,
    own: Shapes,
    trained: int,
    device: str,
) -> dict[str, float]:
    """Bytes while it trains, or while it encodes where that is more: encoders are let go before."""
    wanted = settings["dtype"]
    half = wanted == "bfloat16" or (wanted == "auto" and device == "cuda")
    size = 2 if half else 4
    whole = settings["train"] == "all"
    weights = count(own.values())
    copies = 2 if whole and not settings["reference_draws"] else 1
    per = 4 + OPTIMISER[settings["optimiser"]]
    largest = max(places.values(), key=lambda p: p.height * p.width * p.frames)
    latent = geometry.latent(largest)
    kept = activations(
        geometry,
        latent,
        2 * settings["batch_size"],
        size,
        checkpointing=settings["gradient_checkpointing"],
    )
    need = {
        "weights": weights * (4 * copies if whole else size),
        "optimiser": trained * (per if whole else per + 4),
        "pass": kept,
        "busy": BUSY[device],
    }
    encoders = (count(every.values()) - weights) * (2 if device == "cuda" else 4)
    if encoders > sum(need.values()) - need["busy"]:
        return {"weights": encoders, "optimiser": 0.0, "pass": 0.0, "busy": BUSY[device]}
    return need


def _is_denoiser(name: str, geometry: Geometry) -> bool:
    return geometry.name == "class_unet" or name.startswith(DENOISERS)


def _pairs_of(config: Any, figures: dict[str, Any]) -> int:
    return min(config.batch_size * config.accumulation, figures["train"]) * int(config.max_steps)


def _time(speed: dict[str, Any] | None, config: Any, figures: dict[str, Any]) -> Finding:
    if not speed or not speed.get("pairs_per_second"):
        return Finding("time_unknown", "fine")
    start = START if speed.get("start") is None else speed["start"]
    values = {
        "time": duration(start + _pairs_of(config, figures) / speed["pairs_per_second"]),
        "start": duration(start),
        "speed": f"{speed['pairs_per_second']:.3g}",
        "run": speed["run"],
    }
    return Finding("media_time", "fine", values)


def _used(dataset: MediaDataset) -> list[Any]:
    names = {name for pair in dataset.pairs for name in (pair.chosen, pair.rejected)}
    return [dataset.facts[name] for name in sorted(names)]


def _size(facts: Any) -> tuple[int, int]:
    return facts.width, facts.height


def _apart(one: Any, other: Any) -> bool:
    """Whether their aspects differ so much that one is cropped more than the other."""
    return abs(math.log(one.width * other.height / (one.height * other.width))) > CROPPED


def _enlarged(facts: Any, place: Place) -> float:
    return max(place.width / facts.width, place.height / facts.height)


def _in_words(place: Place) -> str:
    frames = f" x {place.frames}" if place.frames > 1 else ""
    return f"{place.width} x {place.height}{frames}"


def _rows(pairs: Sequence[MediaPair]) -> tuple[tuple[int, str], ...]:
    return tuple((pair.number, pair.key) for pair in sorted(pairs, key=lambda pair: pair.number))
