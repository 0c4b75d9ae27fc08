"""Before a run starts its rows, its template and the machine are looked at."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone, translation

from steelyard.assets.blobs import blob_path, put_in_place
from steelyard.lib.errors import UserError
from steelyard.lib.records import tables_of
from steelyard.registry.services import commit_version, register_model
from steelyard.runs.models import MetricPoint, Run
from steelyard.runs.services import start_run
from tests.tiny_pictures import make_tiny_class_unet, noise_picture, save_picture
from tests.training.conftest import make_record
from tests.training.test_views import filled
from training.models import TrainingJob
from training.preflight import report_of
from training.preflight_runner import speed_of
from training.report import title_of
from training.services import start_preflight, start_training

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def url(project: Any) -> str:
    return reverse("training:training-new", args=[project.slug])


def found(run: Run, code: str) -> dict[str, Any]:
    report = report_of(run)
    assert report is not None
    return next(one for one in report["findings"] if one["code"] == code)


def test_the_form_looks_first_and_starts_what_nothing_stops(
    as_user: Any, owner: Any, url: str, make_version: Any, base: Any, settle: Any
) -> None:
    version, client = make_version(), as_user(owner)
    sent = filled(client.get(url), beta="0.25", model_name="mine", max_length="128")
    page = client.post(url, sent)
    look = Run.objects.get(kind="preflight")
    assert not TrainingJob.objects.exists()
    assert f"/train/preflights/{look.pk}/" in page.content.decode()
    assert settle(look).state == "succeeded", look.error
    fragment = client.get(reverse("training:preflight-report", args=[look.project.slug, look.pk]))
    assert b"Start anyway" in fragment.content
    assert b"<html" not in fragment.content
    assert found(look, "few_rows")["level"] == "look"
    assert look.result["report"]["preview"][0]["prompt"][0]["special"]
    assert found(look, "length_bias")["values"]["share"] == "0"
    # who has not been shown what was found is shown it first, though it was found before
    page = client.post(url, {**sent, "action": "start"})
    assert b"Start anyway" in page.content
    assert not TrainingJob.objects.exists()
    answer = client.post(url, {**sent, "action": "start", "seen": look.pk})
    job = TrainingJob.objects.get()
    assert answer.url == job.run.get_absolute_url()
    assert (job.version, job.base, job.model_name) == (version, base, "mine")
    assert (job.config["beta"], job.run.spec) == (0.25, {"preflight": look.pk})
    # other settings are looked at anew
    client.post(url, {**sent, "max_length": "64", "model_name": "other", "seen": look.pk})
    assert Run.objects.filter(kind="preflight").count() == 2
    # trained again with the same settings, the kept report is shown before it starts
    again = f"{url}?run={job.run_id}"
    page = client.post(again, filled(client.get(again), model_name="third", action="start"))
    assert f'name="seen" value="{look.pk}"' in page.content.decode()
    assert TrainingJob.objects.count() == 1
    # once it has trained, its time and what is kept of it are known, so it is looked at anew
    Run.objects.filter(pk=job.run_id).update(state="succeeded", finished_at=timezone.now())
    client.post(again, filled(client.get(again), model_name="third", action="start"))
    assert Run.objects.filter(kind="preflight").count() == 3


@pytest.mark.cold_start
def test_a_stop_is_mended_by_its_remedy(
    as_user: Any, owner: Any, url: str, project: Any, base: Any, settle: Any
) -> None:
    long = [{"role": "user", "content": "What is this? " * 40}]
    records = [make_record(n, **({"prompt": long} if n == 3 else {})) for n in range(1, 13)]
    counts = {"rows": 12, "train": 10, "test": 2, "ties": 0, "votes": 12}
    commit_version(
        project=project, dataset_name="Long", rows=tables_of(records), recipe={}, counts=counts
    )
    client = as_user(owner)
    sent = filled(client.get(url), max_length="96", model_name="mine")
    client.post(url, sent)
    look = settle(Run.objects.get(kind="preflight"))
    stop = found(look, "prompt_too_long")
    assert (stop["level"], [row["number"] for row in stop["rows"]]) == ("stop", [3])
    page = client.post(url, {**sent, "action": "start"})
    assert b"Start anyway" not in page.content
    assert not TrainingJob.objects.exists()
    remedy = next(one for one in stop["remedies"] if one["code"] == "drop_too_long")
    page = client.post(url, {**sent, "apply": json.dumps(remedy["set"])})
    assert page.context["form"]["drop_too_long"].value() is True
    assert Run.objects.filter(kind="preflight").latest("pk").spec["config"]["drop_too_long"]


def test_the_api_looks_too_and_a_job_may_name_the_look(
    as_user: Any, owner: Any, project: Any, make_version: Any, base: Any
) -> None:
    client, root = as_user(owner), f"/api/v1/projects/{project.slug}"
    asked = {"version": make_version().pk, "base": "tiny", "recipe": "dpo", "config": {}}
    asked["config"] = {"max_length": 128}

    def post(url: str, body: dict[str, Any]) -> Any:
        return client.post(f"{root}/{url}", body, content_type="application/json")

    made = post("preflights", asked)
    assert (made.status_code, made.json()["report"]) == (201, None)
    assert post("preflights", asked).json()["id"] == made.json()["id"]
    pk = made.json()["id"]
    job = {**asked, "model_name": "better", "preflight": pk}
    assert post("training-jobs", job).json()["code"] == "preflight_open"
    named = [{"number": n, "pair": f"{n:064x}"} for n in range(1, 11)]
    cut = {"code": "cut", "level": "look", "title": "T", "text": "t", "remedies": []}
    report = {
        "level": "look",
        "findings": [{**cut, "rows": named, "more": 30}],
        "preview": [],
        "figures": {"rows": 20},
    }
    Run.objects.filter(pk=pk).update(state="succeeded", result={"report": report})
    assert client.get(f"{root}/preflights/{pk}").json()["report"] == report
    other = post("training-jobs", {**job, "config": {"max_length": 64}})
    assert other.json()["code"] == "other_preflight"
    Run.objects.filter(pk=pk).update(
        result={
            "report": {**report, "level": "stop", "findings": [{"title": "T", "level": "stop"}]}
        }
    )
    assert post("training-jobs", job).json()["code"] == "preflight_stop"
    with translation.override("de"):
        title = title_of({"code": "no_gpu", "title": "No GPU"})
    assert title == "Keine GPU"
    Run.objects.filter(pk=pk).update(result={"report": report})
    assert post("training-jobs", job).status_code == 201


def test_speed_is_what_earlier_runs_of_the_base_came_to(
    project: Any, make_version: Any, base: Any, owner: Any, short: Any
) -> None:
    assert speed_of(base, {}) is None
    job = start_training(
        project=project,
        version=make_version(),
        base=base,
        recipe="dpo",
        config=short,
        model_name="x",
        by=owner,
    )
    began = timezone.now()
    Run.objects.filter(pk=job.run_id).update(
        state="succeeded", started_at=began, finished_at=began + timedelta(seconds=40)
    )
    MetricPoint.objects.bulk_create(
        MetricPoint(
            run=job.run,
            name="tokens_per_second",
            step=n,
            value=value,
            time=began.timestamp() + 20 + n,
        )
        for n, value in enumerate([50, 400, 410, 390, 400], 1)
    )
    speed = speed_of(base, job.config)
    # 21 s to the first number, and 15 s after the fifth
    assert speed == {
        "tokens_per_second": 400.0,
        "run": job.run_id,
        "start": pytest.approx(36, abs=0.01),
    }
    assert speed_of(base, {**job.config, "train": "all"}) is None


def test_what_cannot_go_together_is_refused_before_the_look(
    project: Any, make_version: Any, base: Any, owner: Any
) -> None:
    asked = {"project": project, "version": make_version(), "base": base, "by": owner}
    with pytest.raises(UserError, match="trains no text models"):
        start_preflight(**asked, recipe="diffusion_dpo", config={})
    with pytest.raises(UserError, match="beta"):
        start_preflight(**asked, recipe="dpo", config={"beta": -1})
    train = start_run(project=project, kind="train", title="T", spec={}, by=owner)
    with pytest.raises(UserError, match="no preflight of these settings"):
        start_training(**asked, recipe="dpo", config={}, model_name="x", preflight=train)


def test_files_of_pictures_are_looked_at_and_what_is_left_out_is_named(
    as_user: Any, owner: Any, project: Any, settle: Any, tmp_path: Path
) -> None:
    project.modality = "image"
    project.save()
    names = [save_picture(tmp_path / "media", noise_picture(i, size=24)) for i in range(6)]
    for name in names:
        put_in_place(tmp_path / "media" / name, blob_path(name))
    spoilt = blob_path(names[2])
    spoilt.write_bytes(spoilt.read_bytes()[:200])
    both = zip(names[::2], names[1::2], strict=True)
    told = {"modality": "image", "chosen": "", "rejected": "", "split": "train"}
    told["prompt"] = [{"role": "user", "content": "A cat."}]
    records = [
        make_record(n, chosen_media=one, rejected_media=other, **told)
        for n, (one, other) in enumerate(both, 1)
    ]
    counts = {"rows": 3, "train": 3, "test": 0, "ties": 0, "votes": 3}
    version = commit_version(
        project=project, dataset_name="P", rows=tables_of(records), recipe={}, counts=counts
    )
    source = str(make_tiny_class_unet(tmp_path / "model"))
    base = register_model(
        project=project, name="cats", modality="image", family="class_unet", source=source
    )
    asked = {"project": project, "version": version, "base": base, "by": owner}
    look = settle(start_preflight(**asked, recipe="diffusion_dpo", config={"max_steps": 2}))
    assert look.state == "succeeded", look.error
    assert [row["number"] for row in found(look, "unreadable")["rows"]] == [2]
    assert found(look, "encoded")["values"]["files"] == "4"
    page = reverse("training:preflight-report", args=[project.slug, look.pk])
    shown = as_user(owner).get(page).content.decode()
    assert "Files that cannot be read" in shown
    assert "4 files from 24 x 24 to 24 x 24 pixels" in shown
    assert "Rows as the model reads them" not in shown


def test_only_the_projects_staff_looks(
    as_user: Any, owner: Any, member: Any, stranger: Any, project: Any, make_version: Any, base: Any
) -> None:
    version = make_version()
    look = start_preflight(
        project=project, version=version, base=base, recipe="dpo", config={}, by=owner
    )
    page = reverse("training:preflight-report", args=[project.slug, look.pk])
    call = f"/api/v1/projects/{project.slug}/preflights"
    body = {"version": version.pk, "base": "tiny", "recipe": "dpo"}
    for user in (member, stranger):
        client = as_user(user)
        assert client.get(page).status_code == 404
        assert client.get(f"{call}/{look.pk}").status_code == 404
        assert client.post(call, body, content_type="application/json").status_code == 404
    assert as_user(owner).get(page).status_code == 200
