"""Outputs made in the background: which prompts and seeds, what comes of them, and their page."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse
from PIL import Image

from annotation.models import Output, Pair, Prompt
from evaluation import round_runner
from evaluation.services_round import start_generation
from steelyard.lib.errors import UserError
from steelyard.projects.models import Membership
from steelyard.runs.models import Run
from tests.factories import make_model, make_project, make_prompt
from tests.tiny_pictures import make_tiny_class_unet

pytestmark = pytest.mark.django_db
CALL = "application/json"


@pytest.fixture
def pictures(owner: Any, member: Any) -> Any:
    """A project of pictures with a held-out prompt and two that may be trained on."""
    made = make_project(modality="image")
    Membership.objects.create(project=made, user=owner, role="admin")
    Membership.objects.create(project=made, user=member, role="annotator")
    for text, held_out in (("A cat.", False), ("A dog.", False), ("A fox.", True)):
        make_prompt(made, text, held_out=held_out)
    return made


@pytest.fixture
def painters(pictures: Any) -> list[Any]:
    return [
        make_model(pictures, name, family="stable_diffusion", source="/x")
        for name in ("one", "two")
    ]


def png(number: int) -> bytes:
    data = BytesIO()
    Image.new("RGB", (16, 8), (number * 9 % 256, 30, 60)).save(data, "PNG")
    return data.getvalue()


def paint(run: Run, *, leave_out: int = 0) -> list[dict[str, Any]]:
    """Lay into the run's folder what the engine would."""
    run.dir.create(round_runner.prepare(run))
    spec = run.dir.spec()
    lines = []
    for prompt in spec["prompts"]:
        for model in spec["models"]:
            for sample in range(spec["samples"]):
                name = f"media/{len(lines):064x}.png"
                (run.dir.path / name).write_bytes(png(len(lines)))
                line = {"prompt": prompt["key"], "model": model["name"], "sample": sample}
                lines.append(line | {"seed": len(lines), "parameters": {}, "media": name})
    lines = lines[: len(lines) - leave_out]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (run.dir.path / "outputs.jsonl").write_text(text)
    return lines


@pytest.mark.parametrize(
    ("pairing", "samples", "pairs"),
    # of two prompts: two models' outputs of each sample; neighbours of three of each model
    [("models", 2, 2 * 2), ("seeds", 3, 2 * 2 * 2), ("none", 2, 0)],
)
def test_outputs_come_in_the_pairs_that_were_asked_for(
    pictures: Any, painters: Any, owner: Any, pairing: str, samples: int, pairs: int
) -> None:
    asked = {"models": painters, "samples": samples, "pairing": pairing, "by": owner}
    run = start_generation(project=pictures, **asked)
    assert round_runner.prepare(run)["same_seeds"] is False
    made = paint(run)
    for _ in range(2):  # again is the same
        round_runner.finish(run, {})
        assert Output.objects.count() == len(made) == 2 * 2 * samples
        assert Pair.objects.open().count() == pairs
    told = {frozenset((p.output_a.model.name, p.output_b.model.name)) for p in Pair.objects.all()}
    wanted = {"models": {frozenset(("one", "two"))}, "none": set()}
    assert told == wanted.get(pairing, {frozenset(("one",)), frozenset(("two",))})


def test_prompts_are_typed_held_out_or_those_that_a_version_tests_with(
    project: Any, owner: Any, monkeypatch: Any
) -> None:
    from annotation.recipe import Recipe
    from annotation.services.versions import publish_version
    from steelyard.lib.records import read_parquet
    from tests.factories import make_judgment, make_pair

    model = make_model(project, "m", family="endpoint", source="http://127.0.0.1:9/v1")
    make_prompt(project, "Held out?", held_out=True)
    for _ in range(8):
        make_judgment(make_pair(project))
    recipe = Recipe(test_fraction=0.5)
    version = publish_version(project=project, dataset_name="All", recipe=recipe, by=owner)

    def asked(**said: Any) -> set[str]:
        run = start_generation(project=project, models=[model], pairing="none", by=owner, **said)
        return {prompt["key"] for prompt in round_runner.prepare(run)["prompts"]}

    rows = read_parquet(version.files)
    tested = {row.prompt_key for row in rows if row.split == "test"}
    assert tested
    assert asked(prompt_set={"version": version.pk}) == tested
    assert asked(prompt_set={"held_out": True}) == {Prompt.objects.get(held_out=True).key}
    before = Prompt.objects.count()
    typed = asked(prompts=["Held out?", " New one? ", "", "New one?"])
    assert Prompt.objects.count() == before + 1
    assert Prompt.objects.get(key__in=typed, held_out=False).text == "New one?"


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"models": []}, "invalid"),
        ({"pairing": "seeds"}, "no_pairs"),
        ({"one": True}, "no_pairs"),
        ({"prompts": ["  "]}, "no_prompts"),
        ({"prompts": ["x"] * 2 + ["y" * 9000]}, "too_many_prompts"),
        ({"prompt_set": {"category": "none such"}}, "no_prompts"),
        ({"prompt_set": {"version": 0x7FFF}}, "unknown_version"),
        ({"samples": 65, "pairing": "none"}, "invalid"),
    ],
)
def test_what_cannot_be_made_is_refused(
    pictures: Any, painters: Any, owner: Any, said: dict[str, Any], code: str
) -> None:
    said = {"models": painters[: 1 if said.pop("one", False) else 2], **said}
    with pytest.raises(UserError) as caught:
        start_generation(project=pictures, by=owner, **said)
    assert caught.value.code == code
    assert not Run.objects.exists()


def test_the_page_shows_what_there_is_to_staff_alone(
    pictures: Any, painters: Any, owner: Any, member: Any, stranger: Any, as_user: Any
) -> None:
    page = reverse("evaluation:generation-new", args=[pictures.slug])
    client = as_user(owner)
    form = client.get(page, {"model": painters[0].pk}).context["form"]
    sent = {name: form[name].value() or "" for name in form.fields}
    refused = client.post(page, sent | {"source": "typed", "pairing": "none"})
    assert "Type at least one prompt" in refused.content.decode()
    refused = client.post(page, sent | {"source": "training", "pairing": "models"})
    assert "need two of them" in refused.content.decode()
    sent |= {"models": [one.pk for one in painters], "source": "training", "pairing": "models"}
    answer = client.post(page, sent)
    run = Run.objects.get()
    there = reverse("evaluation:generation-detail", args=[pictures.slug, run.pk])
    assert answer.url == there
    assert "appear here" in client.get(there).content.decode()
    first = paint(run, leave_out=1)[0]
    file = reverse("runs:run-file", args=[pictures.slug, run.pk, first["media"]])
    shown = client.get(there).content.decode()
    assert f'src="{file}"' in shown
    assert "to come" in shown
    assert 'alt="“A ' in shown
    assert b"".join(client.get(file)) == png(0)
    for name in ("media/../run.json", "media/%2e%2e/run.json", "run.json", "media/none.png"):
        assert client.get(file.replace(first["media"], name)).status_code == 404
    round_runner.finish(run, {})
    asset = Output.objects.order_by("pk").first()
    assert asset is not None
    detail = f"/api/v1/projects/{pictures.slug}/generations/{run.pk}"
    body = client.get(detail).json()
    address = f"/api/v1/projects/{pictures.slug}/runs/{run.pk}/made/{first['media']}"
    assert (body["run"]["id"], len(body["outputs"]), body["outputs"][0]["file"]) == (
        run.pk,
        3,
        address,
    )
    calls = f"/api/v1/projects/{pictures.slug}/generations"
    for user in (member, stranger):
        for url in (page, there, file, detail, address):
            assert as_user(user).get(url).status_code == 404
        assert as_user(user).post(calls, {"models": ["one"]}, CALL).status_code == 404
    body = {"models": ["one"], "samples": 2, "pairing": "seeds", "prompts": ["A cat.", "A bear."]}
    made = client.post(calls, body, CALL)
    assert (made.status_code, made.json()["kind"]) == (201, "round")
    assert Prompt.objects.filter(project=pictures).count() == 4


@pytest.mark.django_db(transaction=True)
def test_a_picture_model_paints_and_its_pictures_become_assets(
    owner: Any, tmp_path: Path, as_user: Any, settle: Callable[..., Any]
) -> None:
    project = make_project(modality="image")
    Membership.objects.create(project=project, user=owner, role="admin")
    unet = make_tiny_class_unet(tmp_path / "unet")
    model = make_model(project, "unet", family="class_unet", source=str(unet))
    run = start_generation(
        project=project,
        models=[model],
        prompts=["A cat."],
        samples=2,
        pairing="seeds",
        sampling={"steps": 1},
        by=owner,
    )
    run = settle(run)
    assert run.state == "succeeded", run.error
    assert Pair.objects.open().count() == 1
    page = reverse("evaluation:generation-detail", args=[project.slug, run.pk])
    shown = as_user(owner).get(page).content.decode()
    assets = [output.asset for output in Output.objects.all()]
    assert all(asset is not None and f'href="{asset.url}"' in shown for asset in assets)
    assert "Label the pairs" in shown
