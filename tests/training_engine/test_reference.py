"""The reference's log-probabilities: computed once for all runs, never taken for others'."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from steelyard.inference.text import load_causal_lm
from steelyard.lib.engine import Stop
from steelyard.lib.rundir import RunDir
from tests.tiny_models import CHAT_TEMPLATE, make_tiny_lm
from tests.training_engine.rows import events_of, make_record, metrics_of
from training.engine import text
from training.engine.forward import Row
from training.engine.reference import Cache, entry_of, key_of, weights_digest

Make = Callable[..., RunDir]
LN2 = 0.693147


@pytest.fixture
def passes(monkeypatch: Any) -> list[int]:
    """How many rows the reference was asked for, a number a run."""
    told: list[int] = []
    inner = text.reference_values

    def counting(rundir: Any, examples: Any, names: Any, score: Any, **options: Any) -> Any:
        told.append(0)

        def counted(rows: Any) -> Any:
            told[-1] += len(rows)
            return score(rows)

        return inner(rundir, examples, names, counted, **options)

    monkeypatch.setattr(text, "reference_values", counting)
    return told


@pytest.fixture
def run(make_run: Make, tmp_path: Path) -> Callable[..., RunDir]:
    """Train one step with a cache that all runs of a test share."""

    def go(name: str, *, source: Path | None = None, **config: Any) -> RunDir:
        rundir = make_run(name, **{"max_steps": 1, **config})
        spec = rundir.spec() | {"cache": str(tmp_path / "shared")}
        spec["base"]["source"] = str(source or spec["base"]["source"])
        rundir.create(spec)
        text.train(rundir, Stop(rundir))
        return rundir

    return go


def test_another_run_on_the_same_pairs_takes_what_is_there(
    run: Callable[..., RunDir], passes: list[int]
) -> None:
    run("first")
    run("rate", learning_rate=1e-3, beta=0.3, seed=4, lora_rank=0)
    # per token, so that weights of tokens and other losses need no second pass
    short = run("short", ld_alpha=0.0)
    run("norm", loss_type="sigmoid_norm")
    assert passes == [12, 0, 0, 0]
    assert metrics_of(short)["loss"][1] == pytest.approx(LN2, abs=1e-6)


def test_what_numbers_depend_on_is_in_the_key(
    run: Callable[..., RunDir], passes: list[int], tmp_path: Path
) -> None:
    first = run("first")
    told = [run("format", dtype="bfloat16")]
    told.append(run("apart", share_prompt=False))
    template = CHAT_TEMPLATE.replace("assistant\n", "helper\n")
    told.append(run("template", source=make_tiny_lm(tmp_path / "t", chat_template=template)))
    model, tokenizer = load_causal_lm(first.spec()["base"]["source"])
    model.lm_head.weight.data[5, 5] += 1e-3
    model.save_pretrained(tmp_path / "moved")
    tokenizer.save_pretrained(tmp_path / "moved")
    told.append(run("weights", source=tmp_path / "moved"))
    assert passes == [12] * 5
    for rundir in told:
        assert metrics_of(rundir)["loss"][1] == pytest.approx(LN2, abs=2e-3)


def test_a_copy_of_the_model_elsewhere_is_the_same_model(
    run: Callable[..., RunDir], passes: list[int], tmp_path: Path
) -> None:
    first = run("first")
    shutil.copytree(first.spec()["base"]["source"], tmp_path / "copy")
    run("second", source=tmp_path / "copy")
    assert passes == [12, 0]


def test_only_what_is_missing_is_asked(
    run: Callable[..., RunDir], passes: list[int], make_run: Make, tmp_path: Path
) -> None:
    run("first", batch_size=1)
    rundir = make_run("more", [make_record(n) for n in range(1, 16)], batch_size=1, max_steps=1)
    rundir.create(rundir.spec() | {"cache": str(tmp_path / "shared")})
    text.train(rundir, Stop(rundir))
    assert passes == [12, 3]


def test_the_smallest_change_of_a_weight_makes_another_model(tiny_lm: Path) -> None:
    """A merged adapter is one: nothing goes by where weights came from."""
    model, _ = load_causal_lm(str(tiny_lm))
    before = weights_digest(model)
    assert weights_digest(load_causal_lm(str(tiny_lm))[0]) == before
    weight = model.model.layers[0].self_attn.q_proj.weight.data
    weight[0, 0] = torch.nextafter(weight[0, 0], torch.tensor(1.0))
    after = weights_digest(model)
    assert after != before
    keys = {key_of(model, digest, torch.float32, True) for digest in (before, after)}
    assert len(keys) == 2


def test_an_entry_is_known_by_prompt_pictures_and_answer() -> None:
    rows = [
        Row([1, 2], ([3],)),
        Row([1], ([2, 3],)),
        Row([1, 2], ([4],)),
        Row([1, 2], ([3],), ("aa",)),
    ]
    assert len({entry_of(row) for row in rows}) == 4
    assert entry_of(rows[0]) == entry_of(Row([1, 2], ([3],)))


def test_many_may_write_at_once_and_each_reads_whole_entries(tmp_path: Path) -> None:
    entries = {bytes([n]) * 32: torch.full((n + 1,), float(n)) for n in range(40)}
    names = list(entries)

    def write(first: int) -> None:
        Cache(tmp_path, "key").write({n: entries[n] for n in names[first : first + 20]})

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, [0, 10, 20]))
    write(0)
    found = Cache(tmp_path, "key").read(set(names))
    assert found.keys() == entries.keys()
    assert all(torch.equal(found[name], entries[name]) for name in names)
    assert Cache(tmp_path, "other").read(set(names)) == {}


def test_a_cache_that_cannot_be_written_stops_nothing(make_run: Make, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    rundir = make_run(max_steps=1)
    rundir.create(rundir.spec() | {"cache": str(tmp_path / "file")})
    text.train(rundir, Stop(rundir))
    assert rundir.result() is not None
    assert "could not be kept" in events_of(rundir)
