"""Texts are a function of prompt, seed and sampling; probabilities agree with a plain loop."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from steelyard.inference.sampling import Interrupted, choose
from steelyard.inference.text import (
    encode_prompt,
    generate,
    log_probabilities,
    option_log_probabilities,
)
from steelyard.lib.errors import UserError

SEEDS = [11, 12, 13, 14]


def _prompt(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


PROMPTS = [_prompt("yes " * n) for n in (2, 17, 1, 9)]


def _write(lm: Any, prompts: Any = PROMPTS, seeds: Any = SEEDS, **more: Any) -> list[Any]:
    settings = {"max_new_tokens": 12, "temperature": 1.0, "top_p": 0.95, **more}
    return generate(*lm, prompts, seeds=seeds, **settings)


def test_it_works(lm: Any) -> None:
    made = _write(lm)
    assert len(made) == 4
    assert all(len(answer.tokens) <= 12 for answer in made)
    assert any(answer.text for answer in made)


def test_an_answer_does_not_depend_on_its_batch(lm: Any) -> None:
    together = _write(lm, batch_size=4)
    alone = [_write(lm, [prompt], [seed])[0] for prompt, seed in zip(PROMPTS, SEEDS, strict=True)]
    turned = _write(lm, PROMPTS[::-1], SEEDS[::-1], batch_size=3)[::-1]
    assert together == alone == turned


def test_another_seed_gives_another_answer(lm: Any) -> None:
    assert _write(lm) != _write(lm, seeds=[1, 2, 3, 4])


def test_the_same_seed_is_another_draw_for_another_prompt(lm: Any) -> None:
    made = _write(lm, [_prompt("a"), _prompt("b")], [5, 5])
    assert made[0].tokens != made[1].tokens


def test_at_temperature_0_it_takes_the_most_probable_token(lm: Any) -> None:
    model, tokenizer = lm
    made = _write(lm, temperature=0, seeds=[0] * 4)
    for prompt, answer in zip(PROMPTS, made, strict=True):
        ids = encode_prompt(tokenizer, prompt)
        for token in answer.tokens:
            with torch.inference_mode():
                assert token == int(model(torch.tensor([ids])).logits[0, -1].argmax())
            ids.append(token)


def test_a_model_may_have_several_end_tokens(lm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, _ = lm
    plain = _write(lm, PROMPTS[:1], SEEDS[:1])[0]
    another = plain.tokens[3]
    monkeypatch.setattr(model.generation_config, "eos_token_id", [2, another])
    ended = _write(lm, PROMPTS[:1], SEEDS[:1])[0]
    assert ended.tokens == plain.tokens[: plain.tokens.index(another)]
    assert ended.finished


def test_a_models_own_generation_settings_do_not_interfere(
    lm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, _ = lm
    plain = _write(lm)
    for name, value in {"repetition_penalty": 5.0, "do_sample": True, "temperature": 0.1}.items():
        monkeypatch.setattr(model.generation_config, name, value)
    assert _write(lm) == plain


def test_a_prompt_longer_than_the_context_is_named(lm: Any) -> None:
    with pytest.raises(UserError, match="abc abc") as caught:
        _write(lm, [PROMPTS[0], _prompt("abc " * 600)], [1, 2])
    assert caught.value.code == "prompt_too_long"
    assert "context of 512" in caught.value.message


def test_it_can_be_broken_off(lm: Any) -> None:
    asked = []
    with pytest.raises(Interrupted):
        _write(lm, stop=lambda: asked.append(1) or len(asked) > 3)
    assert len(asked) == 4


def test_messages_that_the_template_refuses(tiny_lm: Path) -> None:
    from steelyard.inference.text import load_tokenizer

    _, tokenizer = load_tokenizer(str(tiny_lm))
    tokenizer.chat_template = "{{ raise_exception('System role not supported') }}"
    with pytest.raises(UserError, match="System role not supported") as caught:
        encode_prompt(tokenizer, _prompt("hello"))
    assert caught.value.code == "bad_messages"


def test_the_beginning_token_is_not_written_twice(tiny_lm: Path) -> None:
    from steelyard.inference.text import load_tokenizer

    _, tokenizer = load_tokenizer(str(tiny_lm))
    ids = encode_prompt(tokenizer, _prompt("hello"))
    start = tokenizer.convert_tokens_to_ids("<|im_start|>")
    assert ids.count(start) == 2
    assert tokenizer.decode(ids) == "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n"


def test_draws_follow_the_probabilities() -> None:
    wanted = torch.tensor([0.5, 0.3, 0.15, 0.05])
    places = [(n + 0.5) / 2000 for n in range(2000)]
    logits = wanted.log().expand(2000, 4)
    drawn = Counter(choose(logits, places, temperature=1.0, top_p=1.0).tolist())
    assert [drawn[token] / 2000 for token in range(4)] == pytest.approx(wanted.tolist(), abs=1e-3)


def test_top_p_leaves_the_smallest_set_that_suffices() -> None:
    logits = torch.tensor([[0.05, 0.5, 0.15, 0.3]]).log().expand(1000, 4)
    places = [n / 1000 for n in range(1000)]
    for top_p, kept in ((0.4, {1}), (0.7, {1, 3}), (0.85, {1, 2, 3}), (1.0, {0, 1, 2, 3})):
        assert set(choose(logits, places, temperature=1.0, top_p=top_p).tolist()) == kept


def test_temperature_sharpens_and_flattens() -> None:
    logits = torch.tensor([[0.8, 0.2]]).log().expand(1000, 2)
    places = [n / 1000 for n in range(1000)]
    shares = [
        1 - choose(logits, places, temperature=t, top_p=1.0).float().mean() for t in (0.5, 1, 2)
    ]
    assert shares == pytest.approx([16 / 17, 0.8, 2 / 3], abs=2e-3)


def test_the_ends_of_the_unit_interval_give_possible_tokens() -> None:
    logits = torch.tensor([[-torch.inf, 0.0, 0.0, -torch.inf]]).expand(2, 4)
    drawn = choose(logits, [0.0, 1 - 2**-53], temperature=1.0, top_p=1.0)
    assert drawn.tolist() == [1, 2]


def test_log_probabilities_agree_with_a_loop(lm: Any) -> None:
    model, tokenizer = lm
    prompts = [encode_prompt(tokenizer, prompt) for prompt in PROMPTS]
    answers = [tokenizer.encode(text) for text in ("The sea is wide.", "no", "4 = 2 + 2", "A B")]
    given = log_probabilities(
        model, [p + a for p, a in zip(prompts, answers, strict=True)], [len(p) for p in prompts]
    )
    for prompt, answer, scores in zip(prompts, answers, given, strict=True):
        ids, expected = list(prompt), []
        for token in answer:
            with torch.inference_mode():
                logits = model(torch.tensor([ids])).logits[0, -1]
            expected.append(float(torch.log_softmax(logits, -1)[token]))
            ids.append(token)
        assert scores.tolist() == pytest.approx(expected, abs=1e-4)


def test_options_are_as_probable_as_their_tokens_in_turn(lm: Any) -> None:
    model, tokenizer = lm
    prefix = encode_prompt(tokenizer, PROMPTS[1])
    options = [tokenizer.encode(text) for text in (" A", " both bad", " tie", "The sea is wide")]
    given = option_log_probabilities(model, prefix, options)
    plain = log_probabilities(model, [prefix + o for o in options], [len(prefix)] * 4)
    assert given == pytest.approx([float(p.sum()) for p in plain], abs=1e-4)
    assert option_log_probabilities(model, prefix, [[5], [6]]) == pytest.approx(
        [
            float(p.sum())
            for p in log_probabilities(model, [[*prefix, 5], [*prefix, 6]], [len(prefix)] * 2)
        ],
        abs=1e-4,
    )
