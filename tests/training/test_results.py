"""What a training run leaves: a model with its card and files, samples, and a box to ask it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse

from steelyard.lib.hashing import sha256_file
from steelyard.registry.services import register_model
from steelyard.runs.models import Run
from training import runner
from training.compare import compared
from training.models import TrainingJob
from training.services import start_training

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def job(project: Any, make_version: Any, base: Any, owner: Any, short: Any) -> TrainingJob:
    return start_training(
        project=project,
        version=make_version(),
        base=base,
        recipe="dpo",
        config=short,
        model_name="better",
        by=owner,
    )


@pytest.fixture
def made(job: TrainingJob) -> Any:
    """The model of a job whose engine has ended, without the minutes of an engine."""
    run = job.run
    run.dir.create(runner.prepare(run))
    run.dir.model.mkdir()
    (run.dir.model / "adapter_config.json").write_text("{}")
    (run.dir.model / "adapter_model.safetensors").write_bytes(bytes(range(200)))
    result = {
        "status": "succeeded",
        "form": "adapter",
        "digest": "d" * 64,
        "metrics": {"loss": 0.5, "test_reward_accuracy": 0.75},
        "counts": {"train": 16},
    }
    runner.finish(run, result)
    job.refresh_from_db()
    Run.objects.filter(pk=run.pk).update(state="succeeded", result=result)
    return job.result


def test_the_models_card_tells_all_that_it_came_from(made: Any, job: TrainingJob) -> None:
    card = (Path(made.adapter) / "README.md").read_text()
    assert card.startswith('---\nbase_model: "tiny"\nlibrary_name: peft\n')
    for told in (
        job.version.digest,
        "Base: tiny",
        "Objective: `dpo`, loss `sigmoid`",
        "β: 0.1 on the log-probability of an answer, summed over its tokens",
        "Trained: a LoRA adapter of rank 2 (alpha 4)",
        "- Data: not said",
        '"batch_size": 2',
        "test reward accuracy: 0.75",
        "python -m training.engine RUN_DIR",
        "torch",
        "PeftModel.from_pretrained",
        # a folder of this server is a placeholder, told by what its weights are
        'base = "FOLDER OF tiny"',
        sha256_file(Path(job.base.source) / "model.safetensors"),
    ):
        assert told in card
    snippet = card.partition("```python\n")[2].partition("```")[0]
    snippet = snippet.replace("FOLDER OF tiny", job.base.source)
    bare = "\n".join(line for line in snippet.splitlines() if "Peft" not in line)
    said: dict[str, Any] = {}
    exec(bare, said)
    assert said["tokenizer"].chat_template
    spec = json.loads((Path(made.adapter) / "training_run.json").read_text())
    assert spec["recipe"] == "dpo"
    assert spec["cache"].endswith("cache/reference")
    runner.finish(job.run, {"form": "adapter"})
    assert TrainingJob.objects.get().result == made


def test_files_of_a_model_are_downloaded_in_parts_by_the_projects_staff(
    as_user: Any, owner: Any, member: Any, stranger: Any, project: Any, made: Any
) -> None:
    name = "adapter_model.safetensors"
    page = reverse("registry:model-file", args=[project.slug, made.pk, name])
    call = f"/api/v1/projects/{project.slug}/models/{made.pk}/files"
    client = as_user(owner)
    listed = {file["name"]: file["size"] for file in client.get(call).json()}
    assert listed[name] == 200
    assert set(listed) == {"README.md", "adapter_config.json", name, "training_run.json"}
    part = client.get(f"{call}/{name}", HTTP_RANGE="bytes=10-19")
    assert (part.status_code, part.getvalue()) == (206, bytes(range(10, 20)))
    assert client.get(page).getvalue() == bytes(range(200))
    assert page in client.get(made.get_absolute_url()).content.decode()
    assert client.get(f"{call}/../secret_key").status_code == 404
    for user in (member, stranger):
        assert as_user(user).get(page).status_code == 404
        assert as_user(user).get(call).status_code == 404
        assert as_user(user).get(f"{call}/{name}").status_code == 404


def test_a_folder_that_somebody_named_is_not_handed_out(
    as_user: Any, owner: Any, project: Any, base: Any, job: TrainingJob, tiny_lm: Path
) -> None:
    call = f"/api/v1/projects/{project.slug}/models"
    assert as_user(owner).get(f"{call}/{base.pk}/files").json() == []
    foreign = register_model(
        project=project,
        name="foreign",
        modality="text",
        family="causal_lm",
        source=str(tiny_lm),
        made_by=job.run,
    )
    assert as_user(owner).get(f"{call}/{foreign.pk}/files/config.json").status_code == 404


def test_samples_of_a_run_are_shown_the_newest_first(
    as_user: Any, owner: Any, member: Any, stranger: Any, project: Any, job: TrainingJob
) -> None:
    job.run.dir.create({"kind": "train"})
    prompt = [{"role": "user", "content": "Why?"}]
    lines = [
        {"step": step, "prompt": prompt, "text": f"After {step}.", "reference_text": "Before."}
        for step in (0, 10, 20)
    ]
    lines[1]["reference_text"] = " "
    text = "\n".join(json.dumps(line) for line in lines) + "\n"
    (job.run.dir.path / "samples.jsonl").write_text(text)
    page = reverse("training:samples-of-run", args=[project.slug, job.run_id])
    call = f"/api/v1/projects/{project.slug}/training-jobs/{job.pk}/samples"
    shown = as_user(owner).get(page).content.decode()
    assert shown.index("After 20.") < shown.index("After 10.")
    assert "Before." in shown
    assert shown.count("(empty)") == 1
    assert [line["step"] for line in as_user(owner).get(call).json()] == [0, 10, 20]
    for user in (member, stranger):
        assert as_user(user).get(page).status_code == 404
        assert as_user(user).get(call).status_code == 404


def test_a_model_is_asked_something_beside_its_base(
    as_user: Any,
    owner: Any,
    member: Any,
    stranger: Any,
    project: Any,
    base: Any,
    tiny_lm: Path,
    settle: Any,
) -> None:
    child = register_model(
        project=project,
        name="child",
        modality="text",
        family="causal_lm",
        source=str(tiny_lm),
        base=base,
        options={"sampling": {"max_new_tokens": 4}},
    )
    page = reverse("training:try-model", args=[project.slug, child.pk])
    call = f"/api/v1/projects/{project.slug}/models/{child.pk}/tries"
    for user in (member, stranger):
        assert as_user(user).post(page, {"prompt": "Why?"}).status_code == 404
        assert as_user(user).post(call, {"prompt": "Why?"}).status_code == 404
    client = as_user(owner)
    assert b"at most 8000 characters" in client.post(page, {"prompt": "  "}).content
    assert (
        b"Waiting for a place" in client.post(page, {"prompt": "Why?", "beside_base": "1"}).content
    )
    run = settle(Run.objects.get(kind="try"))
    assert run.state == "succeeded", run.error
    answer = client.get(reverse("training:try-answer", args=[project.slug, run.pk]))
    assert b"child" in answer.content
    told = client.get(f"/api/v1/projects/{project.slug}/tries/{run.pk}").json()
    assert [one["model"] for one in told["answers"]] == ["child", "tiny"]
    made = client.post(call, {"prompt": "Why?"}, content_type="application/json")
    assert (made.status_code, made.json()["answers"]) == (201, [])


def test_runs_are_compared_by_what_differs(
    as_user: Any,
    owner: Any,
    member: Any,
    stranger: Any,
    project: Any,
    base: Any,
    job: TrainingJob,
    short: Any,
) -> None:
    other = start_training(
        project=project,
        version=job.version,
        base=base,
        recipe="dpo",
        config={**short, "beta": 0.4},
        model_name="bolder",
        by=owner,
    )
    for one, loss in ((job, 0.7), (other, 0.6)):
        one.run.points.create(name="loss", step=1, value=loss, time=1.0)
        one.run.points.create(name="resource_rss_mib", step=1, value=100, time=1.0)
    found = compared([job, other])
    assert [chart["title"] for chart in found["charts"]] == ["loss"]
    assert [row["name"] for row in found["settings"] if row["differs"]] == ["beta"]
    page = reverse("training:compare", args=[project.slug])
    shown = as_user(owner).get(page, {"run": [job.run_id, other.run_id]}).content.decode()
    assert "0.4" in shown
    assert "bolder" in shown
    assert shown.index("Settings that differ") < shown.index("What came out")
    other.run.points.create(name="grad_norm", step=1, value=1.0, time=1.0)
    answer = as_user(owner).get(page, {"run": [job.run_id, other.run_id, 10**9, "x"]})
    assert answer.context["colours"] == {job.model_name: 0, "bolder": 1}
    told = answer.content.decode()
    assert told.count('<li class="series-1">bolder') == 3  # of the page and of both charts
    assert "1000000000, x" in told
    assert "unknown" not in shown
    for user in (member, stranger):
        assert as_user(user).get(page).status_code == 404
