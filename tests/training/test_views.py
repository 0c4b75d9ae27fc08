from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse

from steelyard.lib.errors import UserError
from steelyard.registry.models import ModelVersion
from steelyard.registry.services import register_model
from tests.factories import make_project, make_user
from training.engine.config import RECIPES, TextDPOConfig, form_fields
from training.forms import label_of
from training.models import TrainingJob
from training.services import start_training

pytestmark = pytest.mark.django_db


@pytest.fixture
def url(project: Any) -> str:
    return reverse("training:training-new", args=[project.slug])


@pytest.fixture
def job(project: Any, make_version: Any, base: Any, owner: Any) -> TrainingJob:
    return start_training(
        project=project,
        version=make_version(),
        base=base,
        recipe="dpo",
        config={"beta": 0.37},
        model_name="better",
        by=owner,
    )


def filled(page: Any, **changes: Any) -> dict[str, Any]:
    """What a browser sends when the form is left as it is but for the changes."""
    form = page.context["form"]
    sent = {name: form[name].value() for name in form.fields}
    return {k: v for k, v in {**sent, **changes}.items() if v is not None and v is not False}


def test_every_recipe_of_texts_has_a_form_with_presets_that_it_takes(
    as_user: Any, owner: Any, url: str, make_version: Any, base: Any
) -> None:
    from training.presets import WHEN, presets_of
    from training.services import RECIPES_OF

    client = as_user(owner)
    for recipe in RECIPES_OF["text"]:
        page = client.get(url, {"recipe": recipe})
        assert page.context["form"].recipe == recipe
        assert str(WHEN[recipe]) in page.content.decode()
        for preset in presets_of(recipe):
            form = client.get(url, {"recipe": recipe, "preset": preset.key}).context["form"]
            assert {n: form[n].value() for n in preset.settings} == preset.settings
            RECIPES[recipe].from_dict(preset.settings)


def test_what_a_setting_needs_of_another_is_told_to_the_page(
    as_user: Any, owner: Any, url: str, make_version: Any, base: Any
) -> None:
    form = as_user(owner).get(url).context["form"]
    when = {one.field.name: one.when for _title, group in form.more for one in group}
    assert json.loads(when["tie_share"]) == {"name": "ties", "values": ["rao_kupper", "davidson"]}
    shown = [one.field.name for one in form.main] + list(when)
    assert sorted(shown) == sorted(form.settings)


def test_every_setting_of_the_recipe_has_a_field_with_its_help_text(
    as_user: Any, owner: Any, url: str, make_version: Any, base: Any
) -> None:
    page = as_user(owner).get(url)
    fields = page.context["form"].fields
    for setting in form_fields(TextDPOConfig):
        if setting.name != "frames":  # no base here sees pictures
            assert setting.help in str(fields[setting.name].help_text)


def test_settings_for_pictures_are_offered_where_a_base_sees_them(
    as_user: Any, owner: Any, url: str, project: Any, base: Any
) -> None:
    client = as_user(owner)
    page = client.get(url)
    assert "frames" not in page.context["form"].fields
    assert page.context["recipes"][-1]["name"] == "dual_dpo"
    ModelVersion.objects.create(
        project=project, name="seeing", modality="text", family="vision_language", source="x"
    )
    assert "frames" in client.get(url).context["form"].fields


def test_settings_are_named_as_they_are_written_elsewhere() -> None:
    named = {
        setting.name: label_of(setting)
        for recipe in RECIPES.values()
        for setting in form_fields(recipe)
    }
    assert named["srpo_alpha"] == "SRPO alpha"
    assert (named["rslora"], named["dora"], named["lora_rank"]) == ("rsLoRA", "DoRA", "LoRA rank")
    assert named["dtype"] == "Number format (dtype)"
    assert named["halve_on_oom"] == "Halve on out of memory"


def test_a_setting_that_is_left_empty_is_told_as_empty() -> None:
    with pytest.raises(UserError, match="names no layer; it is empty"):
        TextDPOConfig.from_dict({"lora_targets": " "})


def test_the_url_chooses_version_and_base(
    as_user: Any, owner: Any, url: str, make_version: Any, base: Any
) -> None:
    first = make_version(name="First")
    make_version(name="Second")
    page = as_user(owner).get(url, {"version": first.pk, "base": base.pk})
    form = page.context["form"]
    assert form["version"].value() == first.pk
    assert form["base"].value() == base.pk
    assert form["model_name"].value() == "tiny-dpo-v1"
    assert b"16 rows to train on, 4 to test" in page.content


def test_a_run_is_cloned_with_its_settings(as_user: Any, owner: Any, url: str, job: Any) -> None:
    form = as_user(owner).get(url, {"run": job.run_id}).context["form"]
    assert form["beta"].value() == 0.37
    assert form["version"].value() == job.version_id


def test_errors_stand_beside_the_field_that_caused_them(
    as_user: Any, owner: Any, url: str, make_version: Any, base: Any
) -> None:
    make_version()
    client = as_user(owner)
    page = client.get(url)
    answer = client.post(url, filled(page, model_name="tiny", label_smoothing="0.7"))
    assert "label_smoothing" in answer.context["form"].errors
    assert answer.context["form"].more_is_open
    answer = client.post(url, filled(page, model_name="tiny"))
    assert "already" in answer.context["form"].errors["model_name"][0]
    assert not TrainingJob.objects.exists()


def test_a_taken_name_and_wrong_settings_are_told_together(
    as_user: Any, owner: Any, url: str, make_version: Any, base: Any
) -> None:
    make_version()
    client = as_user(owner)
    sent = filled(client.get(url), model_name="tiny", loss_type="ipo", label_smoothing="0.1")
    assert set(client.post(url, sent).context["form"].errors) == {"model_name", "label_smoothing"}
    sent |= {"threads": "99999"}
    answer = client.post(url, sent)
    assert set(answer.context["form"].errors) == {"model_name", "threads"}


def test_inputs_carry_the_limits_of_their_settings(
    as_user: Any, owner: Any, url: str, make_version: Any, base: Any
) -> None:
    fields = as_user(owner).get(url).context["form"].fields
    assert fields["batch_size"].widget.attrs["max"] == 4096
    assert fields["learning_rate"].widget.attrs["max"] == 1


@pytest.mark.skipif(Path("/dev/nvidia0").exists(), reason="there is a GPU")
def test_what_is_offered_without_a_gpu_is_told_as_such(
    as_user: Any, owner: Any, url: str, make_version: Any, base: Any
) -> None:
    form = as_user(owner).get(url).context["form"]
    assert form["batch_size"].value() == 2
    help_text = str(form.fields["batch_size"].help_text)
    assert "Usually 4; 2 is offered without a GPU." in help_text
    assert "Default" not in help_text


def test_without_version_or_base_the_page_says_what_to_do_first(
    as_user: Any, owner: Any, url: str
) -> None:
    page = as_user(owner).get(url).content.decode()
    assert "Freeze a dataset version" in page
    assert "Add a base model" in page


def test_a_video_project_is_offered_what_trains_on_clips(as_user: Any) -> None:
    project = make_project(modality="video")
    register_model(project=project, name="film", modality="video", family="wan", source="hub/name")
    user = make_user(project=project, role="researcher")
    page = as_user(user).get(reverse("training:training-new", args=[project.slug]))
    assert page.context["recipe"] == "diffusion_dpo"
    assert b"film</option>" in page.content
    assert b"clip_frames" in page.content
    form = page.context["form"]
    assert form["sample_every"].value() == form["checkpoint_every"].value() > 0
    assert "what the model makes" in str(form.fields["sample_every"].help_text)


def test_fragments_for_the_version_and_the_run(
    as_user: Any, owner: Any, project: Any, job: Any
) -> None:
    client = as_user(owner)
    of_version = client.get(
        reverse("training:jobs-for-version", args=[project.slug, job.version_id])
    )
    assert b"better" in of_version.content
    of_run = client.get(reverse("training:job-of-run", args=[project.slug, job.run_id]))
    assert b"0.37" in of_run.content
    assert b"<html" not in of_run.content
    assert f"?run={job.run_id}".encode() in of_run.content


@pytest.mark.parametrize("name", ["training-new", "jobs-for-version", "job-of-run"])
def test_only_the_projects_staff_sees_it(
    as_user: Any, owner: Any, member: Any, stranger: Any, project: Any, job: Any, name: str
) -> None:
    of = {"training-new": [], "jobs-for-version": [job.version_id], "job-of-run": [job.run_id]}
    url = reverse(f"training:{name}", args=[project.slug, *of[name]])
    assert as_user(owner).get(url).status_code == 200
    assert as_user(member).get(url).status_code == 404
    assert as_user(stranger).get(url).status_code == 404


@pytest.mark.parametrize("who", ["member", "stranger"])
def test_nobody_else_starts_a_run(
    request: pytest.FixtureRequest, as_user: Any, url: str, make_version: Any, base: Any, who: str
) -> None:
    version = make_version()
    sent = {"version": version.pk, "base": base.pk, "model_name": "mine"}
    assert as_user(request.getfixturevalue(who)).post(url, sent).status_code == 404
    assert not TrainingJob.objects.exists()
