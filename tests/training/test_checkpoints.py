"""A training run's checkpoints become models that can be evaluated, and go again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse

from steelyard.lib.errors import UserError
from tests.factories import make_output, make_prompt
from tests.training.checkpointed import end, job_in, leave
from training import runner
from training.engine.kept import kept_in, superfluous
from training.keeping import checkpoints_of, keep_checkpoints, let_go
from training.models import TrainingJob

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def job(project: Any, owner: Any, tiny_lm: Path) -> TrainingJob:
    return job_in(project, owner, tiny_lm)


def test_a_chosen_checkpoint_becomes_a_model_that_outlives_the_runs_folder(
    job: TrainingJob, owner: Any, settings: Any
) -> None:
    folder = leave(job, 3)
    leave(job, 6)
    (model,) = keep_checkpoints(job=job, steps=[3], by=owner)
    assert (model.name, model.base, model.made_by) == ("better step 3", job.base, job.run)
    assert (model.trained_on, model.step, model.digest) == (job.version, 3, f"{3:064x}")
    assert model.options["checkpoint"] == {"step": 3, "size": 102}
    place = Path(model.adapter)
    assert place.parent == Path(settings.MODELS_DIR)
    (folder / "adapter_model.safetensors").unlink()
    assert (place / "adapter_model.safetensors").read_bytes() == bytes([3]) * 100
    assert "steps: 3" in (place / "README.md").read_text()
    # again is the same, also when the run has ended meanwhile
    result = end(job)
    assert keep_checkpoints(job=job, steps=[3, 3], by=owner) == [model]
    assert [(one.step, one.model) for one in checkpoints_of(job)] == [(3, model), (6, None)]
    assert (result.name, result.step, result.steps_trained) == ("better", None, 9)


def test_what_was_asked_for_is_kept_when_the_run_ends(job: TrainingJob) -> None:
    leave(job, 3, asked=True)
    leave(job, 4)
    (leave(job, 6, asked=True) / "adapter_config.json").unlink()
    result = end(job)
    assert [one.name for one in job.run.models.exclude(pk=result.pk)] == ["better step 3"]
    assert "step 6 is damaged" in job.run.dir.last_events(1)[0]["text"]


def test_a_run_that_was_cancelled_keeps_what_it_has(job: TrainingJob) -> None:
    leave(job, 3, asked=True)
    runner.abandoned(job.run)
    assert [one.name for one in job.run.models.all()] == ["better step 3"]


def test_what_is_gone_or_half_written_is_not_kept(job: TrainingJob, owner: Any) -> None:
    with pytest.raises(UserError, match="nor of any other"):
        keep_checkpoints(job=job, steps=[3], by=owner)
    leave(job, 3)
    whole = leave(job, 6)
    partial = whole.with_name(".partial-step-00000009")
    whole.rename(partial)
    (leave(job, 8) / "kept.json").write_text('{"step": 8, "fo')
    (leave(job, 4) / "adapter_model.safetensors").write_bytes(b"short")
    assert [kept.step for kept in kept_in(job.run.dir)] == [3, 4]
    for steps, why in (([3, 9], "It has: 3, 4"), ([3, 4], "damaged"), ([], "at least one")):
        with pytest.raises(UserError, match=why):
            keep_checkpoints(job=job, steps=steps, by=owner)
    assert not job.run.models.exists()


def test_a_model_that_is_let_go_frees_its_files_unless_something_was_made_with_it(
    job: TrainingJob, project: Any, owner: Any
) -> None:
    folder = leave(job, 3)
    leave(job, 6)
    free, used = keep_checkpoints(job=job, steps=[3, 6], by=owner)
    make_output(make_prompt(project), model=used)
    with pytest.raises(UserError, match="output"):
        let_go(job=job, step=6, by=owner)
    let_go(job=job, step=3, by=owner)
    assert not Path(free.adapter).exists()
    assert not folder.exists()
    assert Path(used.adapter).exists()
    assert [one.step for one in checkpoints_of(job)] == [6]
    with pytest.raises(UserError, match="No model of step 3"):
        let_go(job=job, step=3, by=owner)


def test_the_page_keeps_and_leads_to_an_evaluation_as_training_goes(
    job: TrainingJob, project: Any, owner: Any, as_user: Any
) -> None:
    for step in (3, 6):
        leave(job, step)
    client = as_user(owner)
    page = reverse("training:checkpoints-of-run", args=[project.slug, job.run_id])
    assert "Evaluate as training goes" not in client.get(page).content.decode()
    url = reverse("training:checkpoints-keep", args=[project.slug, job.run_id])
    shown = client.post(url, {"step": ["3", "6"]}, follow=True).content.decode()
    assert "Kept as models: better step 3, better step 6." in shown
    result = end(job)
    link = client.get(page).context["evaluation_link"]
    form = client.get(link).context["form"]
    models = [*(one.model for one in checkpoints_of(job)), result]
    assert form.initial["candidates"] == [str(one.pk) for one in models if one]
    assert form.initial["baseline"] == str(job.base_id)
    assert "step 3 of <a" in client.get(models[0].get_absolute_url()).content.decode()
    gone = reverse("training:checkpoint-let-go", args=[project.slug, job.run_id, 3])
    assert "are deleted" in client.post(gone, follow=True).content.decode()
    assert "No model of step 3" in client.post(gone, follow=True).content.decode()


def test_admins_keep_researchers_look_and_others_find_nothing(
    job: TrainingJob, project: Any, owner: Any, member: Any, stranger: Any, as_user: Any
) -> None:
    leave(job, 3)
    call = f"/api/v1/projects/{project.slug}/training-jobs/{job.pk}/checkpoints"
    page = reverse("training:checkpoints-of-run", args=[project.slug, job.run_id])
    keep = reverse("training:checkpoints-keep", args=[project.slug, job.run_id])
    for user in (member, stranger):
        client = as_user(user)
        for answer in (
            client.get(call),
            client.post(call, {"steps": [3]}, content_type="application/json"),
            client.delete(f"{call}/3"),
            client.get(page),
            client.post(keep, {"step": "3"}),
        ):
            assert answer.status_code == 404
    project.memberships.filter(user=member).update(role="researcher")
    client = as_user(member)
    assert client.get(call).json() == [{"step": 3, "size": 102, "model": None}]
    assert "keep step" not in client.get(page).content.decode()
    refused = client.post(call, {"steps": [3]}, content_type="application/json")
    assert refused.status_code == 403
    assert client.delete(f"{call}/3").status_code == 403
    assert not job.run.models.exists()
    client = as_user(owner)
    made = client.post(call, {"steps": [3]}, content_type="application/json")
    assert (made.status_code, made.json()[0]["model"]) == (201, "better step 3")
    bad = client.post(call, {"steps": [5]}, content_type="application/json")
    assert (bad.status_code, bad.json()["code"]) == (404, "no_checkpoint")
    assert client.post(call, {}, content_type="application/json").status_code == 400
    models = client.get(f"/api/v1/projects/{project.slug}/models").json()["results"]
    assert {one["name"]: one["step"] for one in models}["better step 3"] == 3
    assert client.delete(f"{call}/3").status_code == 204
    assert client.delete(f"{call}/3").status_code == 404


def test_of_unasked_checkpoints_few_stay_and_lie_evenly() -> None:
    assert superfluous([], 5) == []
    assert superfluous([5, 10, 15, 20], 5) == []
    assert superfluous([5 * n for n in range(1, 10)], 5) == [5, 15, 25, 35]
    assert superfluous([10, 20, 30, 40, 45, 50], 5) == [45]
