"""The engine's own log-probabilities against the plain way to compute them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Gemma2Config, Gemma2ForCausalLM

from steelyard.inference.text import load_causal_lm, log_probabilities
from tests.training_engine.rows import make_record
from training.engine.adapter import learning, prepare
from training.engine.config import TextDPOConfig
from training.engine.data import Pair, collate, encode_records
from training.engine.text import summed_log_probs


@pytest.fixture
def loaded(tiny_lm: Path) -> Any:
    model, tokenizer = load_causal_lm(str(tiny_lm))
    records = [make_record(n, chosen="so " * n) for n in range(1, 5)]
    dataset = encode_records(records, tokenizer, max_length=100, drop_too_long=False)
    return model, dataset.pairs


def plain(model: Any, prompt: list[int], answer: list[int]) -> float:
    """One sequence alone, without padding, over the whole of its logits in float64."""
    logits = model(input_ids=torch.tensor([prompt + answer])).logits[0].double()
    scores = logits.log_softmax(-1)
    return sum(float(scores[len(prompt) - 1 + i, token]) for i, token in enumerate(answer))


@torch.no_grad()
def test_it_is_what_one_sequence_after_the_other_gives(loaded: Any) -> None:
    model, pairs = loaded
    chosen, rejected = summed_log_probs(model, collate(pairs), torch.float32)
    assert chosen.tolist() == pytest.approx([plain(model, p.prompt, p.chosen) for p in pairs])
    assert rejected.tolist() == pytest.approx([plain(model, p.prompt, p.rejected) for p in pairs])


@torch.no_grad()
def test_it_agrees_with_what_scores_outputs_elsewhere(loaded: Any) -> None:
    model, pairs = loaded
    chosen, _ = summed_log_probs(model, collate(pairs), torch.float32)
    ids, lengths = [p.prompt + p.chosen for p in pairs], [len(p.prompt) for p in pairs]
    elsewhere = log_probabilities(model, ids, lengths)
    assert chosen.tolist() == pytest.approx([float(each.sum()) for each in elsewhere])


@torch.no_grad()
def test_a_model_that_caps_its_logits_is_asked_as_it_is() -> None:
    torch.manual_seed(0)
    model = Gemma2ForCausalLM(
        Gemma2Config(
            vocab_size=64,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=16,
            final_logit_softcapping=0.05,
        )
    ).eval()
    pair = Pair("", [1, 2, 3], [4, 5, 6, 7], [8, 9], False, 1.0)
    chosen, rejected = summed_log_probs(model, collate([pair]), torch.float32)
    assert float(chosen) == pytest.approx(plain(model, pair.prompt, pair.chosen), rel=1e-5)
    assert float(rejected) == pytest.approx(plain(model, pair.prompt, pair.rejected), rel=1e-5)


def test_only_answers_reach_the_output_head(loaded: Any) -> None:
    model, pairs = loaded
    seen = []
    hook = model.get_output_embeddings().register_forward_hook(
        lambda module, inputs, output: seen.append(tuple(output.shape))
    )
    summed_log_probs(model, collate(pairs), torch.float32)
    hook.remove()
    tokens = sum(len(pair.chosen) + len(pair.rejected) for pair in pairs)
    assert seen == [(1, tokens, model.config.vocab_size)]
    # and the model is left as it was
    assert not model.get_output_embeddings()._forward_pre_hooks


@pytest.mark.parametrize("rank", [0, 4])
def test_gradients_are_those_of_the_plain_way(loaded: Any, rank: int) -> None:
    model, pairs = loaded
    model = prepare(model, TextDPOConfig(lora_rank=rank))
    parameters = [p for p in model.parameters() if p.requires_grad]
    chosen, rejected = summed_log_probs(model, collate(pairs), torch.float32)
    ours = torch.autograd.grad((chosen - 2 * rejected).sum(), parameters)
    total = torch.zeros(())
    for pair in pairs:
        for answer, factor in ((pair.chosen, 1), (pair.rejected, -2)):
            ids = torch.tensor([pair.prompt + answer])
            scores = model(input_ids=ids).logits[0].log_softmax(-1)
            start = len(pair.prompt)
            picked = scores[start - 1 : -1].gather(1, ids[0, start:, None])
            total = total + factor * picked.sum()
    for one, other in zip(ours, torch.autograd.grad(total, parameters), strict=True):
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-4)


def test_checkpointing_changes_memory_and_no_number(tiny_lm: Path, loaded: Any) -> None:
    pairs, gradients = loaded[1], []
    for switched in (False, True):
        model, _ = load_causal_lm(str(tiny_lm))
        model = prepare(model, TextDPOConfig(lora_rank=4, gradient_checkpointing=switched))
        with learning(model):
            layers = [m for m in model.modules() if getattr(m, "gradient_checkpointing", False)]
            assert bool(layers) is switched
            assert all(layer.training for layer in layers)
            chosen, rejected = summed_log_probs(model, collate(pairs), torch.float32)
        parameters = [p for p in model.parameters() if p.requires_grad]
        gradients.append(torch.autograd.grad((chosen - rejected).sum(), parameters))
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_of_all_dropout_only_the_adapters_acts(loaded: Any) -> None:
    model, _ = loaded
    prepared = prepare(model, TextDPOConfig(lora_rank=4, lora_dropout=0.5))
    with learning(prepared):
        awake = [name for name, module in prepared.named_modules() if module.training]
    assert awake
    assert all("lora_dropout" in name for name in awake)
    assert not any(module.training for module in prepared.modules())
