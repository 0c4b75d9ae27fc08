"""``python -m training.engine.preflight RUN_DIR``: what would become of a training run, told before
it is started. Reads the rows, the tokenizer and the headers of the weights; loads no weights.

``run.json`` is that of the training run, with ``kind`` preflight and the server's ``speed``; the
result holds ``report``: findings (``fine``, ``look`` or ``stop``, each with rows and remedies), a
preview of tokenised rows, and figures.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyarrow import ArrowInvalid

from steelyard.lib import engine
from steelyard.lib.errors import UserError
from steelyard.lib.hashing import stable_uniform
from steelyard.lib.records import PreferenceRecord, read_parquet
from steelyard.lib.rundir import RunDir
from steelyard.lib.said import Said
from steelyard.lib.weights import Broken, check_json
from training.engine.config import config_of_run
from training.engine.config.text import is_high
from training.engine.preflight_machine import (
    broken_base,
    folder_of,
    machine_findings,
    shapes_of,
    time_finding,
    trained_of,
    unknown_layers,
)
from training.engine.preflight_rows import row_findings
from training.engine.preflight_words import Finding, Level, Remedy
from training.engine.words import WORDS

if TYPE_CHECKING:
    from training.engine.objectives import Objective

MOST_ROWS = 20_000
"""Of a larger version so many rows are tokenised, drawn by their pairs' keys."""
_ROOM = 1 << 24
"""Tokens that no row is longer than."""
LEVELS: tuple[Level, ...] = ("fine", "look", "stop")


def check(rundir: RunDir, stop: engine.Stop) -> None:
    """Look at everything and write the report. A fault of the asker's is a finding of its own, so
    that all others are told with it."""
    spec = rundir.spec()
    config = config_of_run(spec)
    rundir.progress(0, 3, "looks", Said(WORDS, "reading_rows"))
    found: list[Finding] = []
    records: list[PreferenceRecord] = []
    try:
        records = _records(rundir, spec)
    except UserError as error:
        found.append(Finding("bad_rows", "stop", {"message": error.message}))
    found += row_findings(records, spec["recipe"], config) + _media(spec)
    text = _reads_text(spec)
    rundir.progress(
        1, 3, "looks", Said(WORDS, "tokenising") if text else Said(WORDS, "looking_at_files")
    )
    figures: dict[str, Any] = {"rows": len(records), "looked_at": len(records)}
    shown: list[dict[str, Any]] = []
    folder = folder_of(spec["base"]["source"])
    broken = broken_base(folder) if folder else ""
    if broken:
        found.append(_bad_base(broken))
    elif text:
        more, shown, values = _text(rundir, spec, config, records)
        found += more
        figures |= values
    elif records:
        more, values = _pictures(rundir, spec, config, records, folder)
        # ties are left out, and told as that
        found = [one for one in found if one.code != "many_ties"] + more
        figures |= values
    rundir.progress(2, 3, "looks", Said(WORDS, "measuring"))
    if text and not broken:
        found += _machine(rundir, spec, config, figures)
    report = {
        "level": max((finding.level for finding in found), key=LEVELS.index, default="fine"),
        "findings": [one.as_dict() for one in sorted(found, key=lambda f: -LEVELS.index(f.level))],
        "preview": shown,
        "figures": figures,
    }
    rundir.progress(3, 3, "looks", "")
    rundir.finish(status="succeeded", report=report)


def _bad_base(message: str) -> Finding:
    return Finding("bad_base", "stop", {"message": message}, (), (Remedy("mend_base"),))


def _pictures(
    rundir: RunDir,
    spec: dict[str, Any],
    config: Any,
    records: Sequence[PreferenceRecord],
    folder: Path | None,
) -> tuple[list[Finding], dict[str, Any]]:
    from training.engine.diffusion_preflight import media_findings

    return media_findings(rundir, spec, config, records, folder)


def _reads_text(spec: dict[str, Any]) -> bool:
    return spec["base"]["family"] in {"causal_lm", "vision_language"}


def _records(rundir: RunDir, spec: dict[str, Any]) -> list[PreferenceRecord]:
    names = spec["dataset"].get("files") or [spec["dataset"]["file"]]
    try:
        records = read_parquet([rundir.path / name for name in names])
    except (FileNotFoundError, ArrowInvalid, ValueError) as error:
        raise UserError(Said(WORDS, "rows_not_read", error=error), code="bad_dataset") from error
    modality = spec["base"]["modality"]
    other = [record for record in records if record.modality != modality]
    if other:
        raise UserError(
            Said(
                WORDS,
                "other_modality",
                other=len(other),
                of=len(records),
                theirs=other[0].modality,
                modality=modality,
            ),
            code="wrong_modality",
        )
    return records


def _media(spec: dict[str, Any]) -> list[Finding]:
    lost = spec.get("media_lost", 0)
    return [Finding("media_lost", "stop", {"count": lost})] if lost else []


def _text(
    rundir: RunDir,
    spec: dict[str, Any],
    config: Any,
    records: Sequence[PreferenceRecord],
) -> tuple[list[Finding], list[dict[str, Any]], dict[str, Any]]:
    """Findings, a preview and figures; where tokenizer or rows cannot be used, that alone."""
    from steelyard.inference.adapters import read_config
    from steelyard.inference.text import context_length
    from training.engine import preflight_tokens as tokens
    from training.engine.bases import open_base
    from training.engine.objectives.imitation import check_writer

    settings = config.as_dict()
    objective = _objective(spec["recipe"], settings)
    try:
        check_writer(records, config)
    except UserError as error:
        return [Finding("bad_rows", "stop", {"message": error.message})], [], {}
    try:
        base = open_base(spec["base"], rundir, records, frames=config.frames)
        for folder in spec["base"].get("adapters", []):
            read_config(Path(folder))
        encoder = base.encoder(_ROOM)
    except UserError as error:
        return [_bad_base(error.message)], [], {}
    context = context_length(base.shape)
    limit = min(config.max_length, context or config.max_length)
    try:
        rows = tokens.tokenised(_drawn(records), encoder, objective.rows, config)
        found, left, train = tokens.length_findings(
            rows, encoder=base.encoder(limit), context=context, objective=objective, config=config
        )
    except UserError as error:
        return [Finding("bad_rows", "stop", {"message": error.message})], [], {}
    found += tokens.template_findings(rows, base.tokenizer)
    found += tokens.bias_findings(rows, spec["recipe"], settings)
    scale = len(records) / max(1, len(rows))
    sizes = [sum(row.packed for row in example.rows) for example in train]
    answers = [sum(len(a) for row in e.rows for a in row.answers) for e in train]
    figures = {
        "looked_at": len(rows),
        "train": round(scale * len(train)),
        "train_tokens": round(scale * sum(sizes)),
        "tokens": round(scale * sum(sizes) * len(left) / max(1, len(train))),
        "longest": max(sizes, default=0),
        "longest_answer": math.ceil(max(answers, default=0) / 2),
    }
    found += _steps(settings, figures)
    return found, tokens.preview(left, base.tokenizer), figures


def _objective(recipe: str, settings: dict[str, Any]) -> Objective:
    """What the recipe learns from. Negatives that the run finds first are not there yet: of those
    the pair alone is looked at."""
    from training.engine.data import preference
    from training.engine.objectives import OBJECTIVES

    objective = OBJECTIVES[recipe]
    if settings.get("negatives") == "retrieved":
        return replace(objective, rows=preference)
    return objective


def _drawn(records: Sequence[PreferenceRecord]) -> list[tuple[int, PreferenceRecord]]:
    numbered = list(enumerate(records, 1))
    if len(numbered) <= MOST_ROWS:
        return numbered
    share = MOST_ROWS / len(numbered)
    return [one for one in numbered if stable_uniform("preflight", one[1].pair) < share]


def _steps(settings: dict[str, Any], figures: dict[str, Any]) -> list[Finding]:
    per_step = settings["batch_size"] * settings["accumulation"]
    in_epoch = max(1, math.ceil(figures["train"] / per_step))
    steps = settings["max_steps"] or math.ceil(settings["epochs"] * in_epoch)
    figures |= {"steps": steps, "epochs": steps / in_epoch}
    values = {"steps": steps, "per_step": per_step, "epochs": f"{steps / in_epoch:.2g}"}
    found = [Finding("steps", "fine", values)]
    if steps < 10:
        more = math.ceil(20 / in_epoch)
        remedy = Remedy("epochs", {"epochs": float(more)}, str(more))
        # who set the number of steps by hand wants it so
        advice = Remedy("max_steps" if settings["max_steps"] else "more_steps")
        offered = figures["train"] and not settings["max_steps"]
        remedies = (remedy, advice) if offered else (advice,)
        found = [Finding("few_steps", "look", values, (), remedies)]
    return found + _rate(settings)


def _rate(settings: dict[str, Any]) -> list[Finding]:
    whole = settings["train"] == "lora" and not settings["lora_rank"]
    trained = "all" if whole else settings["train"]
    if not is_high(settings["learning_rate"], trained):
        return []
    code, usual = ("rate_high_adapter", "5e-5") if trained == "lora" else ("rate_high", "5e-6")
    remedy = Remedy("learning_rate", {"learning_rate": float(usual)}, usual)
    return [Finding(code, "look", {"rate": f"{settings['learning_rate']:g}"}, (), (remedy,))]


def _machine(
    rundir: RunDir, spec: dict[str, Any], config: Any, figures: dict[str, Any]
) -> list[Finding]:
    settings = config.as_dict()
    from training.engine.preflight_model import model_findings

    source = spec["base"]["source"]
    folder = folder_of(source)
    model: dict[str, Any] = {}
    try:
        shapes = shapes_of(folder) if folder else {}
        if folder and (folder / "config.json").exists():
            model = check_json(folder / "config.json")
    except (Broken, OSError) as error:
        return [_bad_base(f"Its weights cannot be read: {error}.")]
    model = model.get("text_config", model)
    figures |= {"parameters": sum(math.prod(shape) for shape in shapes.values())}
    figures |= {"trained_parameters": trained_of(shapes, settings)}
    found = machine_findings(
        shapes=shapes,
        source=source,
        settings=settings,
        model=model,
        longest=figures.get("longest", 0),
        answer=figures.get("longest_answer", 0),
        tokens=figures.get("tokens", 0),
        steps=figures.get("steps", 0),
        disk=rundir.path,
    )
    built = model_findings(folder, spec["base"]["family"], config) if folder else None
    found += unknown_layers(shapes, settings) if built is None else built
    found.append(
        time_finding(
            spec.get("speed"),
            tokens=figures.get("train_tokens", 0),
            epochs=figures.get("epochs", 0),
        )
    )
    return found


if __name__ == "__main__":
    engine.run(check)
