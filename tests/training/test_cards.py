"""The card beside a trained model's weights, for each kind of model that can be trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file

from steelyard.inference.image_adapters import WEIGHTS, add_adapter, merge_adapters, save_adapter
from steelyard.lib.records import tables_of
from steelyard.registry.models import ModelVersion
from steelyard.registry.services import commit_version
from steelyard.runs.services import start_run
from tests.factories import make_model, make_project
from tests.tiny_diffusers import make
from tests.tiny_pictures import make_record, make_tiny_class_unet
from tests.tiny_videos import tiny_wan
from training.cards import card
from training.engine.config import config_of
from training.engine.families import open_family
from training.models import TrainingJob

pytestmark = pytest.mark.django_db
RESULT = {
    "beta": {"mean": 2000.0, "sum": 0.125},
    "metrics": {"test_loss": 0.5},
    "counts": {"trained_parameters": 1234},
}
FAMILIES: dict[str, tuple[str, Callable[[Path], Path], str, list[str]]] = {
    "class_unet": ("image", make_tiny_class_unet, "the base's UNet", ["unet"]),
    "stable_diffusion": (
        "image",
        lambda at: make("stable_diffusion", at),
        "the base's UNet",
        ["unet"],
    ),
    "flux": (
        "image",
        lambda at: make("flux", at),
        "the base's diffusion transformer (DiT)",
        ["transformer"],
    ),
    "wan": (
        "video",
        lambda at: tiny_wan(at, experts=True),
        "each of the base's 2 diffusion transformer (DiT)s",
        ["transformer", "transformer_2"],
    ),
}


@pytest.fixture
def make_job(owner: Any) -> Any:
    def made(modality: str, family: str, source: Path, **settings: Any) -> TrainingJob:
        project = make_project(modality=modality, license="cc-by-4.0")
        rows = [make_record(number, "c" * 64, "d" * 64, modality=modality) for number in (1, 2)]
        version = commit_version(
            project=project,
            dataset_name="Votes",
            rows=tables_of(rows),
            recipe={},
            counts={"rows": 2, "train": 2, "test": 0, "ties": 0, "votes": 2},
        )
        return TrainingJob.objects.create(
            project=project,
            run=start_run(project=project, kind="train", title="better", spec={}, by=owner),
            version=version,
            base=make_model(project, "base", modality=modality, family=family, source=str(source)),
            recipe="diffusion_dpo",
            config=config_of(
                "diffusion_dpo", {"lora_rank": 2, "lora_alpha": 4, **settings}
            ).as_dict(),
            model_name="better",
        )

    return made


def adapter(base: ModelVersion, folder: Path) -> Path:
    """A trained adapter of the base, as a run keeps it."""
    spec = {"family": base.family, "source": base.source}
    family = open_family(spec, torch.device("cpu"))
    denoiser = family.load_denoiser(torch.float32)
    add_adapter(denoiser, rank=2, alpha=4, targets=family.lora_targets)
    with torch.no_grad():
        for name, parameter in denoiser.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.1)
    save_adapter(denoiser, folder)
    return folder


def model_of(job: TrainingJob, base: ModelVersion, name: str, **more: Any) -> ModelVersion:
    told = {"family": base.family, "source": base.source, "base": base, **more}
    return make_model(job.project, name, **told)


def run_snippet(text: str, folder: Path, put_in: dict[str, str], there: Any) -> dict[str, Any]:
    """What the card says how to load it, done in the model's folder."""
    lines = text.partition("```python\n")[2].partition("```")[0]
    for name, place in put_in.items():
        lines = lines.replace(f"FOLDER OF {name}", place)
    there.chdir(folder)
    said: dict[str, Any] = {}
    exec(lines, said)
    return said


@pytest.mark.parametrize("family", FAMILIES)
def test_an_adapters_card_says_what_it_lies_on_and_its_lines_of_python_load_it(
    family: str, make_job: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modality, maker, what, parts = FAMILIES[family]
    job = make_job(modality, family, maker(tmp_path / "base"))
    model = model_of(job, job.base, "better", adapter=str(adapter(job.base, tmp_path / "own")))
    text = card(job, model, RESULT, {})
    for told in (
        f"Trained: a LoRA adapter of rank 2 (alpha 4) on {what}; 1,234 parameters",
        "Objective: `diffusion_dpo`, loss `dpo`",
        "β: 2000 on errors averaged over their elements, which is 0.125 on their sum",
        job.version.digest,
        "Base: base",
        "- Data: cc-by-4.0",
        "- Base model: its folder says none",
        "license: unknown",
        "base_model_relation: adapter",
        "test loss: 0.5",
    ):
        assert told in text
    said = run_snippet(text, tmp_path / "own", {"base": job.base.source}, monkeypatch)
    kept = load_file(tmp_path / "own" / WEIGHTS)
    for part in parts:
        read = said[part] if part in said else getattr(said["pipeline"], part)
        tensors = get_peft_model_state_dict(read, adapter_name=next(iter(read.peft_config)))
        assert {f"{part}.{name}" for name in tensors} == {
            n for n in kept if n.startswith(f"{part}.")
        }
        assert all(torch.equal(kept[f"{part}.{name}"], one) for name, one in tensors.items())


def test_an_adapter_on_an_adapter_is_loaded_on_what_it_was_trained_on(
    make_job: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make("stable_diffusion", tmp_path / "base")
    job = make_job("image", "stable_diffusion", source)
    first = model_of(job, job.base, "first", adapter=str(adapter(job.base, tmp_path / "first")))
    job.base = first
    model = model_of(job, first, "second", adapter=str(adapter(first, tmp_path / "second")))
    text = card(job, model, {}, {})
    places = {"base": str(source), "first": first.adapter}
    unet = run_snippet(text, tmp_path / "second", places, monkeypatch)["pipeline"].unet
    merged = UNet2DConditionModel.from_pretrained(source / "unet")
    merge_adapters(merged, [first.adapter])
    frozen = {
        n.replace(".base_layer", ""): p for n, p in unet.named_parameters() if "lora" not in n
    }
    for name, parameter in merged.named_parameters():
        torch.testing.assert_close(frozen[name], parameter)


def test_a_model_of_all_weights_is_a_pipeline_under_one_licence_where_base_and_data_have_one(
    make_job: Any, tmp_path: Path
) -> None:
    source = tmp_path / "base"
    source.mkdir()
    (source / "README.md").write_text("---\nlicense: cc-by-4.0\ntags: [x]\n---\n# Base\n")
    job = make_job("image", "sana", source, train="all", loss_type="mapo")
    model = model_of(job, job.base, "better", source=str(tmp_path))
    text = card(job, model, {}, {})
    assert 'pipeline = DiffusionPipeline.from_pretrained(".")' in text
    assert "Trained: all weights of the base's diffusion transformer (DiT)" in text
    assert "\nlicense: cc-by-4.0\n" in text
    assert "- Base model: cc-by-4.0" in text
    assert "β" not in text
    (source / "README.md").write_text("---\nlicense: other\nlicense_name: sana\n---\n")
    text = card(job, model, {}, {})
    assert "\nlicense: unknown\n" in text
    assert "- Base model: sana" in text


def test_data_of_several_projects_are_under_the_licence_of_each(
    make_job: Any, tmp_path: Path
) -> None:
    source = tmp_path / "base"
    source.mkdir()
    (source / "README.md").write_text("---\nlicense: cc-by-4.0\n---\n")
    job = make_job("image", "sana", source, train="all", loss_type="mapo")
    other = make_project(modality="image", license="cc-by-nc-4.0")
    job.version.recipe = {"projects": [job.project.slug, other.slug]}
    model = model_of(job, job.base, "better", source=str(tmp_path))
    text = card(job, model, {}, {})
    assert f"- Data: cc-by-4.0 (of the project `{job.project.slug}`)" in text
    assert f"- Data: cc-by-nc-4.0 (of the project `{other.slug}`)" in text
    # what the base and the home allow is not what the other project allows
    assert "\nlicense: unknown\n" in text
    type(other).objects.filter(pk=other.pk).update(license="cc-by-4.0")
    assert "\nlicense: cc-by-4.0\n" in card(job, model, {}, {})
