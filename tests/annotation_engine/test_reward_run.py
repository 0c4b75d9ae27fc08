"""From rewrites of a question, by the probability of its known answer, to pairs in a version."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from django.urls import reverse

from annotation.bm25 import K1, B, Index
from annotation.models import Annotator, Judgment, Output, Retrieved
from annotation.recipe import Recipe
from annotation.services.files import import_file
from annotation.services.judging import pairs_for, start_judging
from annotation.services.rewards import create_reward
from annotation.services.transfer import receive, start_import
from annotation.services.versions import publish_version
from steelyard.inference.scorers.answers import AnswerProbability, Reading, asked_of
from steelyard.inference.text import encode_prompt, load_causal_lm
from steelyard.lib.errors import UserError
from steelyard.lib.records import read_parquet
from tests.factories import make_model, make_pair, make_project, make_prompt
from tests.tiny_models import make_tiny_lm

pytestmark = pytest.mark.django_db(transaction=True)

TALK = [
    {"role": "user", "content": "What is a steelyard?"},
    {"role": "assistant", "content": "A balance with two arms."},
    {"role": "user", "content": "Which of them is longer?"},
]
PASSAGES = [
    {"text": "The long arm carries a weight that slides.", "score": 11.0},
    {"text": "The capital of France is Paris.", "score": 10.2},
    {"text": "A balance has a beam.", "score": 3.0},
]


@pytest.fixture(scope="module")
def lm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_lm(tmp_path_factory.mktemp("lm"), context=1024)


def scorer(lm: Path, top_k: int = 2) -> AnswerProbability:
    model = {"family": "causal_lm", "name": "tiny", "source": str(lm), "adapters": []}
    return AnswerProbability({"name": "tiny", "model": model, "top_k": top_k})


def by_hand(lm: Path, reading: Reading, top_k: int) -> tuple[float, float]:
    """The formulas with one forward pass of transformers for each passage."""
    model, tokenizer = load_causal_lm(str(lm))
    kept = reading.passages[:top_k]
    shares = torch.tensor([one["score"] for one in kept], dtype=torch.float64).softmax(0)
    answer = tokenizer.encode(reading.answer, add_special_tokens=False)
    reward = whole = 0.0
    for share, one in zip(shares.tolist(), kept, strict=True):
        prompt = encode_prompt(tokenizer, asked_of(reading.messages, one["text"]))
        with torch.no_grad():
            logits = model(torch.tensor([prompt + answer])).logits[0].double().log_softmax(-1)
        said = [logits[len(prompt) + at - 1, token].item() for at, token in enumerate(answer)]
        reward += share * math.exp(sum(said) / len(said))
        whole += share * math.exp(sum(said))
    return reward, math.log(whole)


def test_the_reward_is_the_answers_probability_over_the_best_passages(lm: Path) -> None:
    both = [
        Reading(TALK, "The long one.", PASSAGES),
        Reading(TALK[2:], "The capital of France is Paris.", PASSAGES[1:]),
    ]
    for reading, found in zip(both, scorer(lm).score(both), strict=True):
        reward, whole = by_hand(lm, reading, 2)
        assert found["reward"] == pytest.approx(reward, rel=1e-5)
        assert found["log_probability"] == pytest.approx(whole, rel=1e-5)


def test_what_cannot_be_read_is_refused_by_itself(lm: Path) -> None:
    asked = scorer(lm)
    for reading, code in (
        (Reading(TALK, "Yes.", []), "no_passages"),
        (Reading(TALK, "Yes.", [{"text": "far " * 1200, "score": 1.0}]), "prompt_too_long"),
    ):
        with pytest.raises(UserError) as refused:
            asked.score([reading])
        assert refused.value.code == code


def test_passages_are_searched_by_the_words_that_both_have() -> None:
    texts = ["the long arm", "a beam and an arm", "Paris", "the the the"]
    query = "The arm, the beam"
    mean = 12 / 4

    def weight(times: int, length: int, holding: int) -> float:
        norm = K1 * (1 - B + B * length / mean)
        rare = math.log(1 + (4 - holding + 0.5) / (holding + 0.5))
        return rare * times * (K1 + 1) / (times + norm)

    found = Index(texts).scores(query)
    assert found.tolist() == pytest.approx(
        [
            2 * weight(1, 3, 2) + weight(1, 3, 2),
            weight(1, 5, 2) + weight(1, 5, 1),
            0,
            2 * weight(3, 3, 2),
        ]
    )
    assert [place for place, _ in Index(texts).best(query, 9)] == sorted(
        (0, 1, 3), key=lambda place: -found[place]
    )


def lines(*rows: Any) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def bring(project: Any, owner: Any, *rows: Any) -> None:
    upload = receive(
        project=project, name="rewrites.jsonl", data=io.BytesIO(lines(*rows)), by=owner
    )
    start_import(project=project, upload=upload, said={}, by=owner, background=False)


REWRITES = ["Which arm of a steelyard is longer?", "Which arm?", "longer"]


@pytest.mark.cold_start
def test_rewrites_become_the_pairs_of_a_version(
    project: Any, owner: Any, lm: Path, settle: Callable[..., Any]
) -> None:
    """The farthest apart of each question, as the numbers say; the others make no verdict."""
    found = [PASSAGES, PASSAGES[1:], PASSAGES[2:]]
    told = [
        {"text": text, "model": "rewriter", "passages": passages}
        for text, passages in zip(REWRITES, found, strict=True)
    ]
    bring(
        project,
        owner,
        {"prompt": TALK, "answer": "The long one.", "rewrites": told},
        {"prompt": "And the short?", "answer": "It carries the load.", "rewrites": told[:2]},
    )
    assert (Retrieved.objects.count(), project.pairs.count()) == (5, 4)
    model = make_model(project, "tiny", family="causal_lm", source=str(lm))
    judge = create_reward(project=project, name="answers", model=model)
    run = start_judging(judge=judge, pairs=pairs_for(judge=judge, which="unjudged"), by=owner)
    run = settle(run)
    assert run.state == "succeeded", run.dir.log_tail()
    assert pairs_for(judge=judge, which="unjudged") == []

    readings = {
        text: Reading(TALK, "The long one.", passages)
        for text, passages in zip(REWRITES, found, strict=True)
    }
    by_text = {text: by_hand(lm, reading, 5)[0] for text, reading in readings.items()}
    best, worst = max(by_text, key=by_text.__getitem__), min(by_text, key=by_text.__getitem__)
    votes = Judgment.objects.filter(annotator=judge)
    assert votes.count() == 4
    assert votes.exclude(outcome="skip").count() == 2
    vote = votes.exclude(outcome="skip").get(pair__prompt__messages=TALK)
    sides = {"a": vote.pair.output_a.text, "b": vote.pair.output_b.text}
    assert (sides.pop(vote.outcome), sides.popitem()[1]) == (best, worst)
    assert abs(vote.details["difference"]) == pytest.approx(
        by_text[best] - by_text[worst], rel=1e-4
    )
    left = votes.filter(outcome="skip").values_list("details__left_out", flat=True)
    assert set(left) == {"not the farthest apart of its prompt"}

    recipe = Recipe(annotators="judges", test_fraction=0)
    version = publish_version(project=project, dataset_name="rewrites", recipe=recipe, by=owner)
    records = read_parquet(version.files)
    assert len(records) == 2
    rows = [(row.chosen, row.rejected) for row in records if row.prompt == TALK]
    assert rows == [(best, worst)]


def test_a_collection_is_searched_for_what_came_without_passages(project: Any, owner: Any) -> None:
    told = [{"text": text} for text in REWRITES]
    bring(project, owner, {"prompt": TALK, "answer": "The long one.", "rewrites": told})
    passages = [{"text": one["text"], "title": "Balances"} for one in PASSAGES]
    done = import_file(project=project, kind="passages", data=lines(*passages), by=owner)
    assert (done.records, done.searched) == (3, 2)  # “longer” stands in none of them
    kept = Retrieved.objects.get(output__text="Which arm?").passages
    assert [one["text"] for one in kept] == [f"Balances\n{PASSAGES[0]['text']}"]
    # what has passages keeps them
    other = lines({"text": "Which arm is longer is told here."})
    assert import_file(project=project, kind="passages", data=other, by=owner).searched == 1
    assert Retrieved.objects.get(output__text="Which arm?").passages == kept
    with pytest.raises(UserError, match="No output wants passages"):
        import_file(project=make_project(), kind="passages", data=other, by=owner)
    with pytest.raises(UserError, match="Line 1: “text” is blank"):
        import_file(project=project, kind="passages", data=lines({"text": " "}), by=owner)


def test_an_output_may_be_read_itself_and_a_margin_is_kept(
    project: Any, owner: Any, lm: Path, settle: Callable[..., Any]
) -> None:
    prompt = make_prompt(project, "Which?", reference_answer="The long one.")
    pair = make_pair(project, prompt=prompt)
    model = make_model(project, "tiny", family="causal_lm", source=str(lm))
    made = {
        margin: create_reward(
            project=project, name=f"m {margin}", model=model, reads="output", margin=margin
        )
        for margin in (0.0, 1.0)
    }
    for judge in made.values():
        assert settle(start_judging(judge=judge, pairs=[pair], by=owner)).state == "succeeded"
    vote = Judgment.objects.get(annotator=made[0.0])
    own = [{"text": pair.output_a.text, "score": 0.0}]
    reward, _ = by_hand(lm, Reading(prompt.messages, "The long one.", own), 5)
    assert vote.details["scores"]["a"]["reward"] == pytest.approx(reward, rel=1e-4)
    assert Judgment.objects.get(annotator=made[1.0]).details["left_out"] == "closer than the margin"


def test_it_is_made_on_its_page_and_by_the_api(
    project: Any, owner: Any, as_user: Callable[..., Any], tiny_lm: Path
) -> None:
    make_model(project, "tiny", family="causal_lm", source=str(tiny_lm))
    endpoint = make_model(project, "far", family="endpoint", source="http://127.0.0.1:9/v1")
    browser = as_user(owner)
    calls = f"/api/v1/projects/{project.slug}/scorers"
    said = {"name": "by api", "kind": "answer_probability", "source": "tiny", "top_k": 3}
    made = browser.post(calls, said, content_type="application/json")
    assert made.status_code == 201, made.content
    assert (made.json()["scorer"]["top_k"], made.json()["model"]) == (3, "tiny")
    for wrong, field in (
        ({"source": endpoint.name}, "source"),
        ({"source": "nobody"}, "source"),
        ({"top_k": 0}, "top_k"),
        ({"weights": "/x.bin"}, "weights"),
        ({"dimension": "beauty"}, "dimension"),
    ):
        refused = browser.post(
            calls, {**said, "name": "x", **wrong}, content_type="application/json"
        )
        assert (refused.status_code, field in refused.content.decode()) == (400, True), wrong
    page = reverse("annotation:judge-new-scorer", args=[project.slug])
    form = {"name": "by page", "model": made.json()["id"], "top_k": 5, "margin": 0}
    form |= {"model": project.models.get(name="tiny").pk, "reads": "output", "choose": "all"}
    assert browser.post(page, {**form, "dimension": "reward"}).status_code == 302
    judge = Annotator.objects.get(name="by page")
    run = browser.post(
        reverse("annotation:judge-run", args=[project.slug, judge.pk]), {"which": "unjudged"}
    )
    assert "No prompt of these pairs has a reference answer" in run.content.decode()
    assert Output.objects.count() == 0
