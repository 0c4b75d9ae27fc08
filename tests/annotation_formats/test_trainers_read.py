"""TRL's trainers and ``datasets.load_dataset`` read our exports as they are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from annotation.formats import FORMATS, write_files
from annotation.formats.base import Format, MediaFile
from steelyard.lib.records import PreferenceRecord
from tests.annotation_formats import frozen
from tests.annotation_formats.tiny_vlm import make_tiny_vlm
from tests.tiny_models import make_tiny_lm

pytestmark = pytest.mark.slow
SHAPES = [
    {"shape": shape, "prompt": prompt}
    for shape in ("conversational", "standard")
    for prompt in ("explicit", "implicit")
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_lm(tmp_path_factory.mktemp("model"))


def exported(path: Path, format: Format, **options: str) -> Path:
    """Records written as whoever exports them would."""
    writing = format.writing(options)
    schema = format.schema(writing) if format.schema else None
    rows = format.rows(frozen.RECORDS, writing)
    write_files.write(rows, path, path.suffix[1:], schema=schema)
    return path


def loaded(path: Path) -> Any:
    from datasets import load_dataset

    builder = {"jsonl": "json"}.get(path.suffix[1:], path.suffix[1:])
    return load_dataset(
        builder, data_files=str(path), split="train", cache_dir=str(path.parent / "cache")
    )


def arguments(kind: Any, tmp_path: Path, **more: Any) -> Any:
    return kind(
        output_dir=str(tmp_path / "out"),
        max_steps=1,
        per_device_train_batch_size=2,
        report_to=[],
        use_cpu=True,
        save_strategy="no",
        disable_tqdm=True,
        **more,
    )


def trained(trainer: Any) -> None:
    before = {n: p.detach().clone() for n, p in trainer.model.named_parameters()}
    assert trainer.train().training_loss > 0
    assert any(not before[n].equal(p) for n, p in trainer.model.named_parameters())


def tokenizer(model: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(model)


@pytest.mark.parametrize("options", SHAPES, ids=lambda o: "-".join(o.values()))
def test_dpo_trains_on_an_export(model: Path, tmp_path: Path, options: dict[str, str]) -> None:
    from transformers import AutoModelForCausalLM
    from trl import DPOConfig, DPOTrainer

    container = "jsonl" if options == SHAPES[0] else "parquet"
    path = exported(tmp_path / f"x.{container}", FORMATS["trl_preference"], **options)
    trainer = DPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(model),
        args=arguments(DPOConfig, tmp_path, max_length=128),
        train_dataset=loaded(path),
        processing_class=tokenizer(model),
    )
    first = trainer.train_dataset[0]
    told = [tokenizer(model).decode(first[f"{part}_ids"]) for part in ("prompt", "chosen")]
    assert "Name a sea." in told[0]
    assert "The Baltic." in told[1]
    assert "Name a sea." not in told[1]
    trained(trainer)


@pytest.mark.parametrize("shape", ["conversational", "standard"])
def test_kto_trains_on_an_export(model: Path, tmp_path: Path, shape: str) -> None:
    from transformers import AutoModelForCausalLM
    from trl import KTOConfig, KTOTrainer

    path = exported(tmp_path / "x.parquet", FORMATS["trl_unpaired"], shape=shape)
    trainer = KTOTrainer(
        model=AutoModelForCausalLM.from_pretrained(model),
        ref_model=AutoModelForCausalLM.from_pretrained(model),
        args=arguments(KTOConfig, tmp_path, max_length=128),
        train_dataset=loaded(path),
        processing_class=tokenizer(model),
    )
    trained(trainer)


@pytest.mark.parametrize("options", [SHAPES[1], SHAPES[2]], ids=lambda o: "-".join(o.values()))
def test_a_reward_model_trains_on_an_export_with_margins(
    model: Path, tmp_path: Path, options: dict[str, str]
) -> None:
    from transformers import AutoModelForSequenceClassification
    from trl import RewardConfig, RewardTrainer

    path = exported(tmp_path / "x.parquet", FORMATS["trl_reward"], **options)
    trainer = RewardTrainer(
        model=AutoModelForSequenceClassification.from_pretrained(model, num_labels=1),
        args=arguments(RewardConfig, tmp_path, max_length=128),
        train_dataset=loaded(path),
        processing_class=tokenizer(model),
    )
    assert "margin" in trainer.train_dataset.column_names
    trained(trainer)


@pytest.mark.parametrize(
    "format",
    [f for f in FORMATS.values() if f.writes and "text" in f.modalities],
    ids=lambda f: f.name,
)
def test_datasets_loads_an_export_in_every_container(format: Format, tmp_path: Path) -> None:
    for container in format.containers:
        path = exported(tmp_path / f"x.{container}", format)
        rows, _ = frozen.written(format)
        found = loaded(path)
        assert len(found) == len(rows)
        assert set(found.column_names) == {name for row in rows for name in row}


def test_dpo_trains_on_an_export_with_pictures(tmp_path: Path) -> None:
    from transformers import AutoModelForImageTextToText, AutoProcessor
    from trl import DPOConfig, DPOTrainer

    model = make_tiny_vlm(tmp_path / "model")
    trainer = DPOTrainer(
        model=AutoModelForImageTextToText.from_pretrained(model),
        args=arguments(DPOConfig, tmp_path, max_length=None),
        train_dataset=loaded(with_pictures(tmp_path, frozen.WIN_B, frozen.TALK)),
        processing_class=AutoProcessor.from_pretrained(model),
    )
    trained(trainer)


def test_datasets_gives_the_pictures_of_an_export_as_pictures(tmp_path: Path) -> None:
    found = loaded(with_pictures(tmp_path, frozen.WIN_B, without=[frozen.TALK]))
    (picture,) = found[0]["images"]
    assert isinstance(picture, Image.Image)
    assert picture.size == (9, 7)
    assert found[1]["images"] == []
    assert found[0]["prompt"] == [{"role": "user", "content": "Name a sea."}]


def with_pictures(
    folder: Path, *records: PreferenceRecord, without: Iterable[PreferenceRecord] = ()
) -> Path:
    """These records exported as if their prompts were about a picture, and some as they are."""
    format = FORMATS["trl_preference"]
    writing = format.writing({"media": "yes"}, kite(folder))
    given = [*(replace(record, prompt_media=["kite"]) for record in records), *without]
    schema = format.schema(writing) if format.schema else None
    path = folder / "x.parquet"
    write_files.write(format.rows(given, writing), path, "parquet", schema=schema)
    return path


def kite(folder: Path) -> Any:
    path = folder / "kite.png"
    Image.new("RGB", (9, 7), "red").save(path)
    name = f"{sha256(path.read_bytes()).hexdigest()}.png"
    return lambda sha: MediaFile(path, "image/png", name)
