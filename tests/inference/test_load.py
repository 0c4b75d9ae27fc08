"""Loading a language model, and what is said of a source that is none."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaForCausalLM

from steelyard.inference.text import load_causal_lm
from steelyard.lib.errors import UserError
from tests.tiny_models import make_tiny_lm


def _refusal(source: object, **more: Any) -> UserError:
    with pytest.raises(UserError) as caught:
        load_causal_lm(str(source), **more)
    assert str(source) in caught.value.message or more
    return caught.value


@pytest.fixture
def copy(tiny_lm: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_lm, tmp_path / "copy"))


def _adapter(model: Any, folder: Path, seed: int) -> Any:
    """Train-like adapter with random numbers; the model with it merged."""
    torch.manual_seed(seed)
    config = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    wrapped = get_peft_model(model, config)
    wrapped.save_pretrained(str(folder))
    return wrapped.merge_and_unload()


def test_it_works(tiny_lm: Path) -> None:
    model, tokenizer = load_causal_lm(str(tiny_lm))
    assert isinstance(model, LlamaForCausalLM)
    assert not model.training
    assert all(p.requires_grad for p in model.parameters())
    assert tokenizer.padding_side == "left"


def test_the_weights_come_in_the_wanted_number_format(tiny_lm: Path) -> None:
    model, _ = load_causal_lm(str(tiny_lm), dtype=torch.bfloat16)
    assert model.dtype == torch.bfloat16


def test_adapters_lie_on_each_other_in_order(tiny_lm: Path, tmp_path: Path) -> None:
    model, _ = load_causal_lm(str(tiny_lm))
    plain = {name: value.clone() for name, value in model.state_dict().items()}
    folders = [tmp_path / "first", tmp_path / "second"]
    for seed, folder in enumerate(folders):
        model = _adapter(model, folder, seed)

    loaded, _ = load_causal_lm(str(tiny_lm), adapters=[str(f) for f in folders])
    assert type(loaded) is LlamaForCausalLM
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)
    moved = [n for n, value in loaded.state_dict().items() if not torch.equal(value, plain[n])]
    assert {name.split(".")[-2] for name in moved} == {"q_proj", "v_proj"}
    assert all(p.requires_grad for p in loaded.parameters())


def test_a_tokenizer_without_a_pad_token_pads_with_its_end_token(copy: Path) -> None:
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        path = copy / name
        if path.exists():
            values = json.loads(path.read_text())
            values.pop("pad_token", None)
            path.write_text(json.dumps(values))
    _, tokenizer = load_causal_lm(str(copy))
    assert tokenizer.pad_token_id == tokenizer.eos_token_id


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert _refusal(tmp_path / "nothing").code == "unknown_model"


def test_a_name_that_no_hub_takes() -> None:
    assert _refusal("no such model!").code == "unknown_model"


def test_a_hub_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    error = _refusal("some-body/some-model")
    assert error.code == "model_unreachable"
    assert "local folder" in error.message


def test_no_chat_template(tmp_path: Path) -> None:
    error = _refusal(make_tiny_lm(tmp_path / "plain", chat_template=None))
    assert error.code == "no_chat_template"


def test_pickled_weights_are_not_opened(copy: Path) -> None:
    model = LlamaForCausalLM.from_pretrained(copy)
    (copy / "model.safetensors").unlink()
    torch.save(model.state_dict(), copy / "pytorch_model.bin")
    assert _refusal(copy).code == "no_safetensors"


def test_a_half_copied_file(copy: Path) -> None:
    data = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(data[: len(data) // 2])
    assert _refusal(copy).code == "broken_weights"


def test_a_config_of_more_layers_than_there_are_weights(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    config["num_hidden_layers"] = 3
    config.pop("layer_types", None)
    (copy / "config.json").write_text(json.dumps(config))
    assert _refusal(copy).code == "broken_weights"


@pytest.mark.parametrize("kind", ["clip", "of-my-own"])
def test_another_sort_of_model(copy: Path, kind: str) -> None:
    (copy / "config.json").write_text(json.dumps({"model_type": kind}))
    assert _refusal(copy).code == "not_a_model"


def test_a_model_that_brings_its_own_code(copy: Path) -> None:
    config = {"model_type": "of-my-own", "auto_map": {"AutoConfig": "configuration.Mine"}}
    (copy / "config.json").write_text(json.dumps(config))
    (copy / "configuration.py").write_text("raise SystemExit('this must never be run')")
    assert _refusal(copy).code == "needs_remote_code"


def test_an_adapter_that_is_none(tiny_lm: Path, tmp_path: Path) -> None:
    error = _refusal(tiny_lm, adapters=[str(tmp_path)])
    assert error.code == "bad_adapter"
    assert str(tmp_path) in error.message


def test_an_adapter_whose_weights_are_pickled(tiny_lm: Path, tmp_path: Path) -> None:
    model, _ = load_causal_lm(str(tiny_lm))
    _adapter(model, tmp_path / "one", 1)
    (tmp_path / "one" / "adapter_model.safetensors").rename(tmp_path / "one" / "adapter_model.bin")
    assert _refusal(tiny_lm, adapters=[str(tmp_path / "one")]).code == "bad_adapter"


@pytest.mark.parametrize("change", [{"num_hidden_layers": 1}, {"hidden_size": 32}])
def test_an_adapter_of_another_model(copy: Path, tmp_path: Path, change: dict[str, int]) -> None:
    model, _ = load_causal_lm(str(copy))
    _adapter(model, tmp_path / "one", 1)
    config = LlamaForCausalLM.from_pretrained(copy).config
    for name, value in {"head_dim": None, **change}.items():
        setattr(config, name, value)
    config.head_dim = config.hidden_size // config.num_attention_heads
    LlamaForCausalLM(config).save_pretrained(copy)
    error = _refusal(copy, adapters=[str(tmp_path / "one")])
    assert error.code == "adapter_does_not_fit"
    assert str(tmp_path / "one") in error.message
