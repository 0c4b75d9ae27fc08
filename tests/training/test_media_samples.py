"""What picture and video models make while they are trained, on the run's page and beside others'
in the comparison; and the control that trains on random labels."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from PIL import Image

from steelyard.accounts.services import create_token
from steelyard.projects.models import Membership
from steelyard.runs.services import start_run
from tests.factories import make_model, make_project
from training.controls import controls_of
from training.engine.config import config_of
from training.models import TrainingJob
from training.runner import finish
from training.samples import MOST_STEPS

pytestmark = pytest.mark.django_db
PROMPT = "A digit 7 & a <cat>."


@pytest.fixture
def pictures(owner: Any, member: Any) -> Any:
    made = make_project(modality="image")
    Membership.objects.create(project=made, user=owner, role="admin")
    Membership.objects.create(project=made, user=member, role="annotator")
    return made


@pytest.fixture
def make_job(pictures: Any, owner: Any) -> Any:
    from annotation.recipe import Recipe
    from annotation.services.versions import publish_version
    from tests.factories import make_judgment, make_pair

    make_judgment(make_pair(pictures))
    recipe = Recipe(test_fraction=0.0)
    version = publish_version(project=pictures, dataset_name="All", recipe=recipe, by=owner)
    base = make_model(pictures, "base", family="stable_diffusion", source="/x")

    def make(name: str, **settings: Any) -> TrainingJob:
        run = start_run(project=pictures, kind="train", title=name, spec={}, by=owner)
        run.dir.create({"kind": "train"})
        return TrainingJob.objects.create(
            project=pictures,
            run=run,
            version=version,
            base=base,
            recipe="diffusion_dpo",
            config=config_of("diffusion_dpo", settings).as_dict(),
            model_name=name,
        )

    return make


def paint(job: TrainingJob, *steps: int, ending: str = "png", gone: str = "") -> None:
    """Lay into the run's folder what the trainer would, but for the file of a name."""
    folder = job.run.dir.path / "samples"
    folder.mkdir(exist_ok=True)
    data = BytesIO()
    Image.new("RGB", (8, 8)).save(data, "PNG")
    with (job.run.dir.path / "media_samples.jsonl").open("a") as stream:
        for step in steps:
            for seeds in ("fixed", "fresh"):
                name = f"step-{step:08d}-{seeds}-0.{ending}"
                before = f"base-fixed-0.{ending}"
                if seeds == "fresh":
                    before = f"step-{step:08d}-base-fresh-0.{ending}"
                for one in {name, before} - {gone}:
                    (folder / one).write_bytes(data.getvalue())
                    if ending == "mp4":
                        (folder / one).with_suffix(".jpg").write_bytes(b"poster")
                line = {"step": step, "prompt": PROMPT, "seed": 7 + step * (seeds == "fresh")}
                line |= {"seeds": seeds, "file": f"samples/{name}"}
                stream.write(json.dumps(line | {"reference_file": f"samples/{before}"}) + "\n")


def page_of(client: Any, name: str, project: Any, *args: Any, **query: Any) -> str:
    answer = client.get(reverse(f"training:{name}", args=[project.slug, *args]), query)
    assert answer.status_code == 200
    return answer.content.decode()


def test_samples_stand_beside_the_bases_the_newest_step_first(
    pictures: Any, owner: Any, as_user: Any, make_job: Any
) -> None:
    job = make_job("inked")
    client = as_user(owner)
    assert "Samples" not in page_of(client, "samples-of-run", pictures, job.run.pk)
    paint(job, 10, 20, gone="step-00000020-fresh-0.png")
    page = page_of(client, "samples-of-run", pictures, job.run.pk)
    assert page.index('id="samples-20" open') < page.index('id="samples-10"')
    assert "“A digit 7 &amp; a &lt;cat&gt;.” of seed 7 after step 20" in page
    assert "before training" in page
    assert "not there yet" in page
    assert page.count('class="pixelated"') == 3 + 3 + 4
    assert "seed 7, step by step" in page
    rows = client.get(f"/api/v1/projects/{pictures.slug}/training-jobs/{job.pk}/samples").json()
    assert [row["seeds"] for row in rows] == ["fixed", "fresh"] * 2
    assert rows[0]["prompt"] == [{"role": "user", "content": PROMPT}]
    assert client.get(rows[0]["file"]).status_code == 200
    assert (rows[3]["file"], rows[3]["seed"]) == (None, 27)


def test_clips_have_posters_and_old_steps_are_counted(
    pictures: Any, owner: Any, as_user: Any, make_job: Any
) -> None:
    job = make_job("moved")
    paint(job, *range(1, MOST_STEPS + 4), ending="mp4")
    page = page_of(as_user(owner), "samples-of-run", pictures, job.run.pk)
    assert 'poster="' in page
    assert ".jpg" in page
    assert 'preload="none"' in page
    assert "3 earlier steps are not shown" in page
    assert "<img" not in page


def test_files_of_a_run_are_for_staff_alone(
    pictures: Any, owner: Any, member: Any, stranger: Any, as_user: Any, make_job: Any
) -> None:
    job = make_job("inked")
    paint(job, 10)
    name = "samples/base-fixed-0.png"
    url = reverse("runs:run-file", args=[pictures.slug, job.run.pk, name])
    answer = as_user(owner).get(url)
    assert (answer.status_code, answer["Content-Type"]) == (200, "image/png")
    # by the API too, whose addresses a script opens with its token
    address = f"/api/v1/projects/{pictures.slug}/runs/{job.run.pk}/made/{name}"
    _, token = create_token(user=owner, name="script")
    bearer = {"HTTP_AUTHORIZATION": f"Bearer {token}"}
    assert Client().get(address, **bearer)["Content-Type"] == "image/png"
    assert Client().get(address.replace(name, "run.json"), **bearer).status_code == 404
    for user in (member, stranger):
        for one in (url, address):
            assert as_user(user).get(one).status_code == 404
    other = reverse("runs:run-file", args=[make_project().slug, job.run.pk, name])
    assert as_user(owner).get(other).status_code == 404


def test_runs_are_compared_by_what_they_make(
    pictures: Any, owner: Any, as_user: Any, make_job: Any
) -> None:
    one, other = make_job("one"), make_job("other", beta=100.0)
    paint(one, 10, 20)
    asked = {"run": [one.run.pk, other.run.pk]}
    page = page_of(as_user(owner), "compare", pictures, **asked)
    assert "What they make" in page
    assert "step 20, seed 27" in page
    assert "step 10, seed" not in page


def test_a_control_differs_by_its_labels_alone_and_each_leads_to_the_other(
    pictures: Any, owner: Any, as_user: Any, make_job: Any
) -> None:
    real, control = (
        make_job("real", beta=50.0),
        make_job("chance", beta=50.0, label_control="random"),
    )
    make_job("elsewhere", beta=60.0, label_control="random")
    assert [twin["job"] for twin in controls_of(real)["twins"]] == [control]
    client = as_user(owner)
    page = page_of(client, "job-of-run", pictures, real.run.pk)
    assert "label_control=random" in page
    assert "Its control, random labels" in page
    assert "side by side" not in page
    for job in (real, control):
        job.result = make_model(pictures, job.model_name, base=job.base)
        job.save()
    page = page_of(client, "job-of-run", pictures, control.run.pk)
    assert "With the real labels" in page
    models = f"model={control.result.pk}&amp;model={real.result.pk}&amp;baseline={real.base.pk}"
    assert models in page
    page = client.get(control.run.get_absolute_url()).content.decode()
    assert "Labels drawn at random: a control." in page
    url = reverse("training:training-new", args=[pictures.slug])
    form = client.get(url, {"run": real.run.pk, "label_control": "random"}).context["form"]
    assert (form["label_control"].value(), form["beta"].value()) == ("random", 50.0)
    assert form["model_name"].value() == "real random"


def test_what_learnt_from_reversed_labels_is_marked_wherever_it_is_met(
    pictures: Any, owner: Any, as_user: Any, make_job: Any
) -> None:
    job = make_job("backwards", label_control="reversed")
    job.run.dir.model.mkdir(parents=True)
    finish(job.run, {"form": "adapter"})
    job.refresh_from_db()
    model, client = job.result, as_user(owner)
    assert model.label_control == "reversed"
    said = client.get(job.run.get_absolute_url()).content.decode()
    assert "Labels reversed: a control." in said
    for url in (model.get_absolute_url(), reverse("registry:model-list", args=[pictures.slug])):
        assert ">control: reversed labels</span>" in client.get(url).content.decode()
    listed = client.get(f"/api/v1/projects/{pictures.slug}/models").json()["results"]
    assert {one["name"]: one["label_control"] for one in listed}["backwards"] == "reversed"
    assert "learnt from reversed labels" in (Path(model.adapter) / "README.md").read_text()
