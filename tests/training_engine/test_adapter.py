"""What of a model is trained, and that what is kept loads elsewhere as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2Config, GPT2LMHeadModel

from steelyard.inference.text import load_causal_lm
from steelyard.lib.errors import UserError
from training.engine import adapter
from training.engine.config import TextRecipe

IDS = torch.arange(24)[None]


def logits(model: Any) -> Tensor:
    with torch.no_grad():
        return model(input_ids=IDS).logits


def tiny_gpt2() -> GPT2LMHeadModel:
    """A model that has biases, and layers of another kind than Llama's."""
    torch.manual_seed(0)
    shape = {"n_positions": 64, "n_embd": 32, "n_layer": 2, "n_head": 2}
    return GPT2LMHeadModel(GPT2Config(vocab_size=64, bos_token_id=0, eos_token_id=1, **shape))


def trained(model: Any) -> set[str]:
    return {name for name, p in model.named_parameters() if p.requires_grad}


def move(model: Any) -> None:
    """What is trained, somewhere else."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))


def config(**changes: Any) -> TextRecipe:
    return TextRecipe.from_dict({"lora_rank": 4, **changes})


@pytest.mark.parametrize(
    ("train", "share"),
    [("bias", {"attn.c_attn.bias", "ln_1.bias"}), ("norm", {"ln_2.weight", "ln_f.bias"})],
)
def test_only_the_named_weights_are_trained(train: str, share: set[str]) -> None:
    model = adapter.prepare(tiny_gpt2(), config(train=train))
    names = trained(model)
    assert all(any(name.endswith(end) for name in names) for end in share)
    assert all(("bias" if train == "bias" else "ln_") in name for name in names)
    assert not model.training


def test_the_head_is_trained_with_the_embeddings_it_is_tied_to(tiny_lm: Path) -> None:
    tied, _ = load_causal_lm(str(tiny_lm))
    assert trained(adapter.prepare(tied, config(train="head"))) == {"model.embed_tokens.weight"}
    free = GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=1, n_head=2, tie_word_embeddings=False))
    assert trained(adapter.prepare(free, config(train="head"))) == {"lm_head.weight"}


def test_all_weights_are_trained_as_stored_configs_of_rank_0_ask(tiny_lm: Path) -> None:
    for options in ({"train": "all"}, {"lora_rank": 0}):
        model, _ = load_causal_lm(str(tiny_lm))
        adapter.prepare(model, config(**options))
        assert trained(model) == {name for name, _ in model.named_parameters()}


def test_a_model_without_biases_is_told_so_before_training(tiny_lm: Path) -> None:
    model, _ = load_causal_lm(str(tiny_lm))
    with pytest.raises(UserError, match="has no biases") as caught:
        adapter.check(model, config(train="bias"))
    assert (caught.value.code, caught.value.field) == ("nothing_to_train", "train")
    adapter.check(model, config(train="norm"))
    adapter.check(model, config(train="head"))
    with pytest.raises(UserError, match="no layer of this model"):
        adapter.check(model, config(lora_targets="c_attn"))


@pytest.mark.parametrize("options", [{}, {"dora": True}, {"rslora": True}, {"train": "norm"}])
def test_training_starts_at_the_very_model(tiny_lm: Path, options: dict[str, Any]) -> None:
    model, _ = load_causal_lm(str(tiny_lm))
    before = logits(model)
    assert torch.allclose(logits(adapter.prepare(model, config(**options))), before, atol=1e-6)


def test_rank_stabilised_adapters_are_scaled_by_the_root_of_their_rank(tiny_lm: Path) -> None:
    scales = []
    for rslora in (False, True):
        model, _ = load_causal_lm(str(tiny_lm))
        prepared: Any = adapter.prepare(model, config(lora_alpha=16, rslora=rslora))
        layer = prepared.base_model.model.model.layers[0].self_attn.q_proj
        scales.append(layer.scaling["default"])
    assert scales == [16 / 4, 16 / 2]


@pytest.mark.parametrize("options", [{}, {"dora": True, "rslora": True}])
def test_an_adapter_loads_in_peft_and_here_as_it_is(
    tiny_lm: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    model, tokenizer = load_causal_lm(str(tiny_lm))
    model = adapter.prepare(model, config(lora_targets="q_proj,down_proj", **options))
    before = logits(model)
    move(model)
    adapter.save(model, config(**options), tokenizer, tmp_path)
    assert not torch.allclose(logits(model), before, atol=1e-2)

    base = AutoModelForCausalLM.from_pretrained(tiny_lm)
    theirs = PeftModel.from_pretrained(base, tmp_path).eval()
    assert torch.allclose(logits(theirs), logits(model), atol=1e-5)
    merged, _ = load_causal_lm(str(tiny_lm), adapters=[str(tmp_path)])
    assert torch.allclose(logits(merged), logits(model), atol=1e-4)


@pytest.mark.parametrize("train", ["norm", "head", "all"])
def test_trained_weights_load_in_transformers_as_they_are(
    tiny_lm: Path, tmp_path: Path, train: str
) -> None:
    model, tokenizer = load_causal_lm(str(tiny_lm))
    model = adapter.prepare(model, config(train=train))
    move(model)
    adapter.save(model, config(train=train), tokenizer, tmp_path)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    assert torch.equal(logits(theirs), logits(model))
    assert AutoTokenizer.from_pretrained(tmp_path).chat_template
