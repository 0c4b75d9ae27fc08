"""Prompts that evaluations come back to, and that no model is asked what it has learnt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.urls import reverse

from annotation.models import Prompt
from annotation.recipe import Recipe
from annotation.services.versions import publish_version
from evaluation import runner
from evaluation.models import PromptSet
from evaluation.prompt_sets import delete_set, make_set, set_from_file
from evaluation.prompts import chosen_prompts
from steelyard.lib.errors import UserError
from steelyard.lib.records import read_parquet
from tests.factories import make_judgment, make_pair, make_prompt

pytestmark = pytest.mark.django_db
Start = Callable[..., Any]


def keys_of(found: PromptSet) -> list[str]:
    return list(found.items.values_list("prompt__key", flat=True))


def test_a_filter_makes_a_set_that_is_drawn_by_its_seed(project: Any, prompts: list[Any]) -> None:
    odd = make_set(project=project, name="Odd", held_out=True, category="odd", by=None)
    assert set(keys_of(odd)) == {p.key for p in prompts if p.category == "odd"}
    drawn = [
        make_set(project=project, name=f"Drawn {n}", held_out=True, draw=2, seed=seed, by=None)
        for n, seed in enumerate((1, 1, 2))
    ]
    assert keys_of(drawn[0]) == keys_of(drawn[1])
    assert len(keys_of(drawn[2])) == 2
    everything = make_set(project=project, name="All", by=None)
    assert len(keys_of(everything)) == 5
    chosen = chosen_prompts(project, {"source": "set", "set": everything.pk, "limit": 3})
    assert [prompt.key for prompt in chosen] == keys_of(everything)[:3]
    for wrong, code in (({"draw": 99}, "too_few_prompts"), ({"category": "none"}, "no_prompts")):
        with pytest.raises(UserError) as caught:
            make_set(project=project, name="Wrong", by=None, **wrong)
        assert caught.value.code == code
    with pytest.raises(UserError) as caught:
        make_set(project=project, name=" Odd ", by=None)
    assert caught.value.code == "name_taken"


def test_a_file_makes_one_and_its_new_prompts_are_held_out(project: Any) -> None:
    known = make_prompt(project, "Known?")
    lines = (
        '{"turns": ["A riddle.", "Rhyme it."], "category": "writing", "question_id": 81, '
        '"reference": ["x", "y"]}\n{"prompt": "Known?"}\n'
    )
    found = set_from_file(
        project=project, name="Bench", data=lines.encode(), filename="question.jsonl", by=None
    )
    first, second = (item.prompt for item in found.items.select_related("prompt"))
    assert [message["content"] for message in first.messages] == ["A riddle.", "Rhyme it."]
    assert (first.held_out, first.reference_answer, second.pk) == (True, "x\n\ny", known.pk)
    assert found.made_from["new"] == 1
    table = 'prompt,category\r\n"Why, then?",talk\r\nKnown?,\r\n'
    csv = set_from_file(
        project=project, name="Table", data=table.encode(), filename="a.CSV", by=None
    )
    assert [item.prompt.text for item in csv.items.select_related("prompt")] == [
        "Why, then?",
        "Known?",
    ]


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.jsonl", b'{"turns": []}', "Line 1"),
        ("a.jsonl", b'{"prompt": "x", "promt": "y"}', "promt"),
        ("a.jsonl", b"", "empty"),
        ("a.csv", b"question\nWhy?\n", "prompt"),
        ("a.csv", b"prompt\n\xff\xfe\n", "UTF-8"),
        ("a.csv", b"prompt,category\nWhy?,a,b\n", "None"),
    ],
)
def test_a_wrong_file_is_refused_by_its_line(
    project: Any, name: str, data: bytes, said: str
) -> None:
    with pytest.raises(UserError, match=said):
        set_from_file(project=project, name="Wrong", data=data, filename=name, by=None)
    assert not PromptSet.objects.exists()
    assert not Prompt.objects.exists()


@pytest.fixture
def version(project: Any, owner: Any) -> Any:
    """A frozen version of twenty prompts, some of which it tests with."""
    for number in range(20):
        make_judgment(make_pair(project, prompt=make_prompt(project, f"Learnt {number}?")), "a")
    recipe = Recipe(test_fraction=0.4)
    return publish_version(project=project, dataset_name="All", recipe=recipe, by=owner)


def test_what_a_model_was_trained_on_is_left_out_and_told(
    project: Any, owner: Any, as_user: Any, start: Start, models: list[Any], version: Any
) -> None:
    rows = read_parquet(version.files)
    train = {row.prompt_key for row in rows if row.split == "train"}
    test = {row.prompt_key for row in rows} - train
    assert train
    assert test
    models[1].base = models[2]
    models[1].save()
    models[2].trained_on = version
    models[2].save()
    on_test = start(prompt_set={"source": "version", "version": version.pk})
    asked = {prompt["key"] for prompt in runner.prepare(on_test.generation)["prompts"]}
    assert asked == test
    assert on_test.counts["trained_on"] == {}
    everything = make_set(project=project, name="All of it", held_out=False, by=owner)
    leaky = start(name="Leaky", prompt_set={"source": "set", "set": everything.pk})
    asked = {prompt["key"] for prompt in runner.prepare(leaky.generation)["prompts"]}
    assert not asked & train
    # the set also has the prompt that is in no version
    assert asked == set(keys_of(everything)) - train
    assert leaky.counts["trained_on"] == {"new": len(train)}
    leaky.state = "comparing"
    leaky.save()
    page = as_user(owner).get(leaky.get_absolute_url()).content.decode()
    assert "new was trained on them" in page
    assert f'of the set <a href="{everything.get_absolute_url()}">All of it</a>' in page
    with pytest.raises(UserError, match="stays"):
        delete_set(prompt_set=everything)


def test_a_set_of_nothing_but_learnt_prompts_is_refused(
    project: Any, owner: Any, start: Start, models: list[Any], version: Any
) -> None:
    learnt = {row.prompt_key for row in read_parquet(version.files) if row.split == "train"}
    Prompt.objects.filter(key__in=learnt).update(category="learnt")
    only = make_set(project=project, name="Learnt", category="learnt", by=owner)
    models[1].trained_on = version
    models[1].save()
    with pytest.raises(UserError) as caught:
        start(prompt_set={"source": "set", "set": only.pk})
    assert caught.value.code == "trained_on"


def test_the_pages_and_the_api_make_show_and_delete_sets_for_staff_alone(
    project: Any, owner: Any, member: Any, stranger: Any, as_user: Any, prompts: list[Any]
) -> None:
    made = make_set(project=project, name="Kept", by=owner)
    one = reverse("evaluation:prompt-set-detail", args=[project.slug, made.pk])
    new = reverse("evaluation:prompt-set-new", args=[project.slug])
    pages = [reverse("evaluation:prompt-set-list", args=[project.slug]), new, one]
    api = f"/api/v1/projects/{project.slug}/prompt-sets"
    for user in (member, stranger):
        for url in (*pages, api, f"{api}/{made.pk}"):
            assert as_user(user).get(url).status_code == 404, url
        assert as_user(user).post(new, {"name": "x", "source": "any"}).status_code == 404
        assert as_user(user).delete(f"{api}/{made.pk}").status_code == 404
        assert as_user(user).post(f"{one}delete/").status_code == 404
    client = as_user(owner)
    for url in pages:
        assert client.get(url).status_code == 200
    assert "even" in client.get(one).content.decode()
    assert "Held-out 1?" in client.get(one, {"category": "even"}).content.decode()
    sent = client.post(new, {"name": "Two", "source": "held_out", "draw": "2", "seed": "4"})
    assert sent.url == PromptSet.objects.get(name="Two").get_absolute_url()
    again = client.post(new, {"name": "Two", "source": "held_out"})
    assert "already" in again.content.decode()
    assert "Choose the file." in client.post(new, {"name": "F", "source": "file"}).content.decode()
    body = {"name": "By call", "lines": '{"prompt": "Brought?"}'}
    answer = client.post(api, body, content_type="application/json")
    assert (answer.status_code, answer.json()["size"]) == (201, 1)
    told = client.get(f"{api}/{made.pk}").json()
    assert told["prompts"] == keys_of(made)
    assert {"category": "odd", "prompts": 2} in told["categories"]
    assert [row["name"] for row in client.get(api).json()["results"]] == ["By call", "Two", "Kept"]
    assert client.delete(f"{api}/{made.pk}").status_code == 204
    client.post(reverse("evaluation:prompt-set-delete", args=[project.slug, answer.json()["id"]]))
    assert [row.name for row in PromptSet.objects.all()] == ["Two"]
