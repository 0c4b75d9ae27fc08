"""A model's folder is looked at before it is taken: broken files are told at once."""

from __future__ import annotations

import json
import shutil
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import torch
from django.urls import reverse
from safetensors.torch import save_file

from steelyard.lib.errors import UserError
from steelyard.registry.sources import check_source, find_family
from tests.factories import make_project, make_user


@pytest.fixture
def folder(tiny_lm: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_lm, tmp_path / "model"))


def refused(folder: Path) -> str:
    with pytest.raises(UserError) as told:
        check_source(modality="text", family="causal_lm", source=str(folder))
    assert told.value.field == "source"
    return told.value.message


def test_a_whole_model_is_taken(folder: Path) -> None:
    assert check_source(modality="text", family="causal_lm", source=str(folder)) == str(folder)


def test_weights_that_are_half_copied_are_told(folder: Path) -> None:
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    for broken in (whole[: len(whole) // 2], whole + b"\0", b"", b"no weights at all" * 9):
        weights.write_bytes(broken)
        assert "model.safetensors" in refused(folder)
        assert "broken or half copied" in refused(folder)


def test_a_series_of_weights_must_be_there_with_all_its_files(folder: Path) -> None:
    index = '{"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}'
    (folder / "model.safetensors.index.json").write_text(index)
    assert "lacks model-2.safetensors" in refused(folder)


@pytest.mark.django_db
def test_a_config_that_is_no_json_is_told_with_its_place(
    as_user: Any, owner: Any, project: Any, folder: Path
) -> None:
    (folder / "config.json").write_text("{nope")
    body = {"name": "t", "family": "causal_lm", "source": str(folder)}
    url = f"/api/v1/projects/{project.slug}/models"
    answer = as_user(owner).post(url, body, content_type="application/json")
    assert answer.status_code == 400
    assert "config.json" in answer.json()["detail"]
    assert "is no JSON (line 1, column 2)" in answer.json()["detail"]


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    """A folder that looks as a saved Sana pipeline does, without weights worth the name."""
    folder = tmp_path / "pipeline"
    parts = {
        "scheduler": ["diffusers", "DPMSolverMultistepScheduler"],
        "text_encoder": ["transformers", "Gemma2Model"],
        "tokenizer": ["transformers", "GemmaTokenizer"],
        "transformer": ["diffusers", "SanaTransformer2DModel"],
        "vae": ["diffusers", "AutoencoderDC"],
        "safety_checker": [None, None],
    }
    for name in parts:
        (folder / name).mkdir(parents=True)
    for name in ("text_encoder", "transformer", "vae"):
        start = "" if name == "text_encoder" else "diffusion_pytorch_"
        save_file({"a": torch.zeros(2)}, folder / name / f"{start}model.safetensors")
    index = {"_class_name": "SanaPipeline", "_diffusers_version": "0.42.1", **parts}
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


def refused_pipeline(folder: Path, family: str = "sana") -> UserError:
    with pytest.raises(UserError) as told:
        check_source(modality="image", family=family, source=str(folder))
    return told.value


def test_a_pipelines_folder_says_its_family(pipeline: Path, tmp_path: Path) -> None:
    assert find_family(str(pipeline)) == "sana"
    assert check_source(modality="image", family="sana", source=str(pipeline)) == str(pipeline)
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "labels.json").write_text("{}")
    assert find_family(str(tmp_path / "unet")) == "class_unet"


def test_a_family_that_the_files_do_not_speak_of_is_refused(pipeline: Path) -> None:
    error = refused_pipeline(pipeline, "flux")
    assert (error.code, error.field) == ("wrong_family", "family")
    assert "SanaPipeline" in error.message
    assert "Flux.1" in error.message


def test_a_kind_that_is_not_known_here_is_refused(pipeline: Path) -> None:
    index = (pipeline / "model_index.json").read_text().replace("SanaPipeline", "MarigoldPipeline")
    (pipeline / "model_index.json").write_text(index)
    assert refused_pipeline(pipeline).code == "not_a_model"
    with pytest.raises(UserError, match="MarigoldPipeline") as told:
        find_family(str(pipeline))
    assert "Stable Diffusion XL" in told.value.message


@pytest.mark.parametrize("kind", ["bin", "ckpt", "pt"])
def test_pickled_weights_of_a_part_are_refused(pipeline: Path, kind: str) -> None:
    (pipeline / "vae" / "diffusion_pytorch_model.safetensors").rename(
        pipeline / "vae" / f"x.{kind}"
    )
    error = refused_pipeline(pipeline)
    assert (error.code, error.field) == ("pickled_weights", "source")
    assert "vae" in error.message


def test_a_checkpoint_without_a_pipeline_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.ckpt").write_bytes(b"x")
    for told in (tmp_path, tmp_path / "model.ckpt"):
        assert refused_pipeline(told).code == (
            "pickled_weights" if told.is_dir() else "no_such_model"
        )
    with pytest.raises(UserError) as error:
        find_family(str(tmp_path))
    assert error.value.code == "pickled_weights"


def test_a_part_that_is_missing_is_named(pipeline: Path) -> None:
    vae = pipeline / "vae" / "diffusion_pytorch_model.safetensors"
    vae.rename(vae.with_name("diffusion_pytorch_model.fp16.safetensors"))
    assert refused_pipeline(pipeline).code == "weights_variant"
    shutil.rmtree(pipeline / "vae")
    shutil.rmtree(pipeline / "tokenizer")
    error = refused_pipeline(pipeline)
    assert error.code == "not_a_model"
    assert "lacks tokenizer, vae" in error.message


@pytest.mark.django_db
def test_the_family_need_not_be_said_where_the_files_say_it(
    as_user: Any, pipeline: Path, tmp_path: Path
) -> None:
    project = make_project(modality="image")
    client = as_user(make_user(project=project, role="admin"))
    url = f"/api/v1/projects/{project.slug}/models"
    body = {"name": "small", "source": str(pipeline)}
    answer = client.post(url, body, content_type="application/json")
    assert answer.status_code == 201
    assert answer.json()["family"] == "sana"
    assert answer.json()["can_train"]
    page = reverse("registry:model-new", args=[project.slug])
    client.post(page, {"name": "again", "family": "", "source": str(pipeline)})
    assert project.models.get(name="again").family == "sana"
    said = client.post(page, {"name": "other", "family": "flux", "source": str(pipeline)})
    assert "SanaPipeline" in str(said.context["form"].errors["family"])
    said = client.post(page, {"name": "none", "family": "", "source": str(tmp_path)})
    assert "Choose the kind" in str(said.context["form"].errors["family"])


def test_a_model_of_the_hub_that_was_fetched_before_is_known_by_its_files(
    pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "hub" / "models--some--sana"
    (cache / "refs").mkdir(parents=True)
    (cache / "refs" / "main").write_text("abc")
    shutil.copytree(pipeline, cache / "snapshots" / "abc")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert find_family("some/sana") == "sana"
    assert check_source(modality="image", family="sana", source="some/sana") == "some/sana"
    assert refused_pipeline(Path("some/sana"), "flux").code == "wrong_family"
    with pytest.raises(UserError, match="Choose the kind") as told:
        find_family("some/other")
    assert told.value.code == "family_unknown"


RAISES = "{{ raise_exception('Ask me in Latin.') }}"


def test_a_template_that_takes_no_question_is_refused_with_its_own_words(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text(RAISES)
    with pytest.raises(UserError) as told:
        check_source(modality="text", family="causal_lm", source=str(folder))
    assert (told.value.code, told.value.field) == ("bad_template", "source")
    assert "“Ask me in Latin.”" in told.value.message
    # what only systems or odd turns meet is no fault of the model
    (folder / "chat_template.jinja").write_text(
        "{% for m in messages %}{% if m.role == 'system' %}" + RAISES + "{% endif %}"
        "{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}"
    )
    check_source(modality="text", family="causal_lm", source=str(folder))


def test_a_folder_that_needs_code_of_its_own_is_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoConfig": "configuration.Mine"}
    (folder / "config.json").write_text(json.dumps(config))
    check_source(modality="text", family="causal_lm", source=str(folder))
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "of-my-own"}))
    assert "model_type “of-my-own”" in refused(folder)


def test_an_adapters_folder_is_told_as_one_with_its_base(folder: Path) -> None:
    (folder / "config.json").unlink()
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "some/base"}')
    assert "is an adapter for “some/base”" in refused(folder)
    assert "merge_and_unload" in refused(folder)


def test_a_folder_that_is_not_there_is_told_so_without_a_kind_too() -> None:
    with pytest.raises(UserError, match="There is no folder /nowhere/at-all") as told:
        find_family("/nowhere/at-all")
    assert (told.value.code, told.value.field) == ("no_such_model", "source")


@pytest.mark.django_db
def test_a_name_that_the_hub_does_not_know_is_refused_and_one_it_cannot_tell_of_is_marked(
    as_user: Any, owner: Any, project: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    status = {"/api/models/org/gone": 404, "/api/models/org/there": 200, "/api/models/org/shy": 401}

    class Hub(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status[self.path])
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    hub = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    Thread(target=hub.serve_forever, daemon=True).start()
    monkeypatch.setattr("steelyard.registry.pipelines._SECONDS", 60.0)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{hub.server_port}")
    client, url = as_user(owner), f"/api/v1/projects/{project.slug}/models"

    def add(name: str) -> Any:
        body = {"name": name, "family": "causal_lm", "source": f"org/{name}"}
        return client.post(url, body, content_type="application/json")

    try:
        gone, there, shy = add("gone"), add("there"), add("shy")
    finally:
        hub.shutdown()
        hub.server_close()
    far = add("far")
    assert (gone.status_code, gone.json()["code"]) == (400, "no_such_model")
    assert "The hub has no model" in gone.json()["detail"]
    assert [answer.json()["can_train"] for answer in (there, shy, far)] == [True, None, None]
    page = client.get(reverse("registry:model-detail", args=[project.slug, far.json()["id"]]))
    assert b"could not be asked" in page.content
