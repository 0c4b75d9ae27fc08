"""The engine's own log-probabilities against the plain way to compute them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from steelyard.inference.text import load_causal_lm, log_probabilities
from tests.training_engine.rows import make_record
from training.engine import forward
from training.engine.adapter import learning, prepare
from training.engine.config import TextDPOConfig
from training.engine.data import encode_records
from training.engine.dropout import by_row
from training.engine.forward import Row, one_by_one, score, why_not_packed

SMALL: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    # the defaults name tokens that so small a vocabulary has not
    "bos_token_id": 1,
    "eos_token_id": 2,
}
ROWS = [
    Row([5, 6, 7, 8], ([9, 10, 11], [12, 13, 14, 15, 16])),
    Row([3, 4], ([20], [21, 22], [23, 24, 25])),
    Row([30, 31, 32], ([33, 34],)),
]


def make(kind: str) -> Any:
    torch.manual_seed(0)
    match kind:
        case "llama":
            model: Any = LlamaForCausalLM(LlamaConfig(**SMALL))
        case "qwen2":
            model = Qwen2ForCausalLM(Qwen2Config(**SMALL))
        case "gpt2":
            ends = {"bos_token_id": 1, "eos_token_id": 2}
            model = GPT2LMHeadModel(
                GPT2Config(vocab_size=64, n_embd=32, n_layer=2, n_head=4, **ends)
            )
        case "gemma2":
            model = Gemma2ForCausalLM(
                Gemma2Config(**SMALL, head_dim=8, final_logit_softcapping=0.05, sliding_window=64)
            )
        case "window":
            model = MistralForCausalLM(MistralConfig(**SMALL, sliding_window=3))
        case "wide window":
            model = MistralForCausalLM(MistralConfig(**SMALL, sliding_window=64))
        case "alibi":
            model = BloomForCausalLM(
                BloomConfig(vocab_size=64, hidden_size=32, n_layer=2, n_head=4)
            )
        case "states":
            model = MambaForCausalLM(
                MambaConfig(vocab_size=64, hidden_size=32, num_hidden_layers=2, state_size=4)
            )
    with torch.no_grad():
        # weights as a model starts with them hardly tell one context from another
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(4)
    return model.eval()


@torch.no_grad()
def plain(model: Any, rows: list[Row]) -> list[float]:
    """Each sequence alone, without padding, over the whole of its logits in float64."""
    found = []
    for row in one_by_one(rows):
        (answer,) = row.answers
        ids = torch.tensor([row.prompt + answer])
        scores = model(input_ids=ids).logits[0].double().log_softmax(-1)
        start = len(row.prompt)
        found += [float(scores[start - 1 + place, token]) for place, token in enumerate(answer)]
    return found


def packed(model: Any, rows: list[Row], prefix: bool = True) -> torch.Tensor:
    return score(model, rows, dtype=torch.float32, prefix=prefix).values


@pytest.mark.parametrize("prefix", [True, False], ids=["packed", "apart"])
@pytest.mark.parametrize("kind", ["llama", "qwen2", "gpt2", "wide window"])
@torch.no_grad()
def test_it_is_what_one_sequence_after_the_other_gives(kind: str, prefix: bool) -> None:
    model = make(kind)
    assert why_not_packed(model, ROWS, dtype=torch.float32) == ""
    assert packed(model, ROWS, prefix).tolist() == pytest.approx(plain(model, ROWS), abs=1e-5)


@pytest.mark.parametrize("kind", ["window", "alibi", "states"])
def test_a_model_that_packed_rows_would_mislead_is_found_out(kind: str) -> None:
    model = make(kind)
    assert why_not_packed(model, ROWS, dtype=torch.float32)
    with torch.no_grad():
        apart = packed(model, ROWS, prefix=False)
    assert apart.tolist() == pytest.approx(plain(model, ROWS), abs=1e-4)


def test_rows_within_a_window_are_packed_and_longer_ones_not() -> None:
    model = make("window")
    short = [Row([1], ([2], [3]))]
    assert why_not_packed(model, short, dtype=torch.float32) == ""
    assert why_not_packed(model, short + ROWS, dtype=torch.float32)


@torch.no_grad()
def test_a_model_that_caps_its_logits_is_asked_as_it_is(monkeypatch: Any) -> None:
    model = make("gemma2")
    assert packed(model, ROWS).tolist() == pytest.approx(plain(model, ROWS), rel=1e-5)
    # its head is not the last thing that it does, so the head alone may not be asked
    monkeypatch.setattr(forward, "HEAD_LIMIT", 64)
    assert packed(model, ROWS).tolist() == pytest.approx(plain(model, ROWS), rel=1e-5)


@torch.no_grad()
def test_it_agrees_with_what_scores_outputs_elsewhere(tiny_lm: Path) -> None:
    model, tokenizer = load_causal_lm(str(tiny_lm))
    records = [make_record(n, chosen="so " * n) for n in range(1, 5)]
    dataset = encode_records(records, tokenizer, max_length=100, drop_too_long=False)
    rows = [row for example in dataset.examples for row in example.rows]
    scored = score(model, rows, dtype=torch.float32, prefix=True)
    pairs = [(row.prompt, *row.answers) for row in one_by_one(rows)]
    elsewhere = log_probabilities(
        model, [prompt + answer for prompt, answer in pairs], [len(prompt) for prompt, _ in pairs]
    )
    assert scored.sums().tolist() == pytest.approx([float(each.sum()) for each in elsewhere])
    assert scored.lengths.tolist() == [len(each) for each in elsewhere]
    assert scored.means()[0] == pytest.approx(float(elsewhere[0].mean()))


def test_only_answers_reach_the_output_head() -> None:
    model = make("llama")
    seen = []
    hook = model.lm_head.register_forward_hook(
        lambda module, inputs, output: seen.append(tuple(output.shape))
    )
    packed(model, ROWS)
    hook.remove()
    tokens = sum(len(answer) for row in ROWS for answer in row.answers)
    assert seen == [(1, tokens, 64)]
    # and the model is left as it was
    assert not model.lm_head._forward_pre_hooks


@pytest.mark.parametrize("limit", [2**26, 5 * 64], ids=["at once", "in parts"])
@pytest.mark.parametrize("rank", [0, 4])
def test_gradients_are_those_of_the_plain_way(rank: int, limit: int, monkeypatch: Any) -> None:
    monkeypatch.setattr(forward, "HEAD_LIMIT", limit)
    model = prepare(make("llama"), TextDPOConfig(lora_rank=rank))
    parameters = [p for p in model.parameters() if p.requires_grad]
    largest = 0

    def note(module: Any, inputs: Any, output: torch.Tensor) -> None:
        nonlocal largest
        largest = max(largest, output.numel())

    hook = model.get_output_embeddings().register_forward_hook(note)
    sums = score(model, ROWS, dtype=torch.float32, prefix=True).sums()
    factors = torch.tensor([1, -2, 3, -4, 5, -6])
    ours = torch.autograd.grad((sums * factors).sum(), parameters)
    hook.remove()
    assert largest <= limit
    total = torch.zeros(())
    for row, factor in zip(one_by_one(ROWS), factors, strict=True):
        ids = torch.tensor([row.prompt + row.answers[0]])
        scores = model(input_ids=ids).logits[0].log_softmax(-1)
        start = len(row.prompt)
        total = total + factor * scores[start - 1 : -1].gather(1, ids[0, start:, None]).sum()
    for one, other in zip(ours, torch.autograd.grad(total, parameters), strict=True):
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-3)


def test_checkpointing_changes_memory_and_no_number() -> None:
    gradients = []
    for switched in (False, True):
        config = TextDPOConfig(lora_rank=4, lora_dropout=0.3, gradient_checkpointing=switched)
        model = prepare(make("llama"), config)
        draws = by_row(model)
        with learning(model):
            layers = [m for m in model.modules() if getattr(m, "gradient_checkpointing", False)]
            assert bool(layers) is switched
            assert all(layer.training for layer in layers)
            draws.next(0, 1, [(str(place), row.packed) for place, row in enumerate(ROWS)])
            total = packed(model, ROWS).sum()
            parameters = [p for p in model.parameters() if p.requires_grad]
            gradients.append(torch.autograd.grad(total, parameters))
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_of_all_dropout_only_the_adapters_acts() -> None:
    prepared = prepare(make("llama"), TextDPOConfig(lora_rank=4, lora_dropout=0.5))
    by_row(prepared)
    with learning(prepared):
        awake = [name for name, module in prepared.named_modules() if module.training]
    assert awake
    assert all("lora_dropout" in name for name in awake)
    assert not any(module.training for module in prepared.modules())
