from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse
from django.utils.functional import Promise

from steelyard.runs.curves import MAX_POINTS, PANELS, curves, in_words
from steelyard.runs.models import MetricPoint, Run
from steelyard.runs.views import KINDS
from steelyard.settings import RUN_KINDS

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(project: Any, owner: Any) -> Run:
    return Run.objects.create(
        project=project, kind="train", title="Train better", state="running", created_by=owner
    )


def page_of(run: Run, name: str = "run-detail") -> str:
    return reverse(f"runs:{name}", args=[run.project.slug, run.pk])


def add_points(run: Run, name: str, values: list[float | None]) -> None:
    MetricPoint.objects.bulk_create(
        MetricPoint(run=run, name=name, step=step, value=value, time=0.0)
        for step, value in enumerate(values, start=1)
    )


def test_runs_of_every_kind_have_a_name() -> None:
    assert set(KINDS) == set(RUN_KINDS)


def test_the_list_filters_by_kind_and_state(as_user: Any, owner: Any, run: Run) -> None:
    url = reverse("runs:run-list", args=[run.project.slug])
    client = as_user(owner)
    page = client.get(url).content
    assert b"Train better" in page
    assert b"<td>Training</td>" in page
    assert b"Train better" in client.get(url, {"kind": "train", "state": "active"}).content
    for other in ({"kind": "judge"}, {"state": "failed"}):
        answer = client.get(url, other)
        assert b"Train better" not in answer.content
        assert b"No run is like that" in answer.content


def test_a_running_run_asks_for_itself_again_and_can_be_cancelled(
    as_user: Any, owner: Any, run: Run
) -> None:
    page = as_user(owner).get(page_of(run)).content.decode()
    assert "every 2s" in page
    assert "Yes, cancel this run" in page


def test_an_ended_run_is_still_and_tells_the_page_to_load_anew(
    as_user: Any, owner: Any, run: Run
) -> None:
    Run.objects.update(state="failed", error="The model has no chat template.")
    client = as_user(owner)
    page = client.get(page_of(run)).content.decode()
    assert 'hx-trigger="every' not in page
    assert "Yes, cancel" not in page
    assert "no chat template" in page
    fragment = client.get(page_of(run), headers={"HX-Request": "true"})
    assert fragment["HX-Refresh"] == "true"


def test_a_warning_of_the_result_stands_beside_the_state(
    as_user: Any, owner: Any, run: Run
) -> None:
    beta = {"mean": 2000.0, "sum": 0.122}
    said = {"warning": "The test loss ended at 3.48.", "beta": beta}
    Run.objects.update(state="succeeded", result=said)
    page = as_user(owner).get(page_of(run)).content.decode()
    state = page[page.index('id="state"') : page.index('id="curves"')]
    assert "Succeeded" in state
    assert "The test loss ended at 3.48." in state
    assert "with a warning" in state
    assert 'beta on summed errors</dt><dd class="num">0.122<' in page
    rows = as_user(owner).get(reverse("runs:run-list", args=[run.project.slug])).content.decode()
    assert "with a warning" in rows


def test_curves_stand_on_the_page_before_a_script_runs(as_user: Any, owner: Any, run: Run) -> None:
    add_points(run, "loss", [0.7, None, 0.5])
    add_points(run, "test_loss", [0.69])
    add_points(run, "something_new", [1.0])
    for side in ("chosen", "rejected"):
        add_points(run, f"rise_{side}", [0.0, 0.1])
    answer = as_user(owner).get(page_of(run))
    titles = [chart["title"] for chart in answer.context["charts"]]
    assert titles == ["Loss", "Errors less the reference’s", "Something new"]
    assert b"<svg" in answer.content


def test_of_a_gpu_nothing_is_said_where_there_is_none(as_user: Any, owner: Any, run: Run) -> None:
    add_points(run, "resource_cpu_percent", [100.0])
    client = as_user(owner)
    titles = [chart["title"] for chart in client.get(page_of(run)).context["charts"]]
    assert titles == ["Load, % of a core"]
    add_points(run, "resource_gpu_percent", [50.0])
    titles = [chart["title"] for chart in client.get(page_of(run)).context["charts"]]
    assert titles == ["Load, % of a core and of the GPU"]


def test_samples_stand_above_the_curves(as_user: Any, owner: Any, run: Run) -> None:
    Run.objects.filter(pk=run.pk).update(kind="train")
    page = as_user(owner).get(page_of(run)).content.decode()
    assert 0 < page.index("/samples/") < page.index('id="curves"')


def test_words_of_charts_follow_the_language() -> None:
    assert all(isinstance(title, Promise) for title, _ in PANELS)
    words = [in_words(name) for name in ("best_validation_agreement", "grad_norm")]
    assert words == ["best agreement so far", "grad norm"]


def test_metrics_are_given_from_a_step_on(as_user: Any, owner: Any, run: Run) -> None:
    add_points(run, "loss", [0.7, None, 0.5])
    client = as_user(owner)
    url = page_of(run, "run-metrics")
    body = client.get(url).json()
    assert body["curves"]["loss"] == {"steps": [1, 2, 3], "values": [0.7, None, 0.5]}
    assert body["active"] is True
    assert body["panels"] == [{"title": "Loss", "names": ["loss"]}]
    assert body["words"] == {"loss": "loss"}
    assert client.get(url, {"after": "3"}).json()["curves"]["loss"]["steps"] == [3]
    assert client.get(url, {"after": "99"}).json()["curves"] == {}
    assert client.get(url, {"after": "x"}).status_code == 200


def test_long_curves_are_thinned_and_keep_their_spikes(run: Run) -> None:
    values: list[float | None] = [1.0] * 20_000
    values[7777], values[12_345] = 99.0, None
    add_points(run, "loss", values)
    points = curves(run)["loss"]
    assert len(points) <= MAX_POINTS
    assert (7778, 99.0) in points
    assert (12_346, None) in points
    assert [p[0] for p in points] == sorted(p[0] for p in points)


def test_the_log_shows_levels_and_what_a_failed_process_printed(
    as_user: Any, owner: Any, run: Run
) -> None:
    run.dir.create({"kind": "train"})
    run.dir.event("started")
    run.dir.event("<b>row 3</b> is cut", "warning")
    run.dir.log.write_text("Traceback: out of memory")
    client = as_user(owner)
    log = client.get(page_of(run, "run-log")).content.decode()
    assert "started" in log
    assert "&lt;b&gt;row 3" in log
    assert "<strong>warning</strong>" in log
    assert "Traceback" not in log
    Run.objects.update(state="failed")
    assert "Traceback" in client.get(page_of(run, "run-log")).content.decode()


def test_cancelling_needs_a_post(as_user: Any, owner: Any, run: Run) -> None:
    client = as_user(owner)
    assert client.get(page_of(run, "run-cancel")).status_code == 405
    assert client.post(page_of(run, "run-cancel")).url == run.get_absolute_url()
    run.refresh_from_db()
    assert run.state == "cancelling"


def test_cancelling_what_has_ended_is_told(as_user: Any, owner: Any, run: Run) -> None:
    Run.objects.update(state="succeeded")
    answer = as_user(owner).post(page_of(run, "run-cancel"))
    assert answer.status_code == 409
    assert b"succeeded already" in answer.content


@pytest.mark.parametrize("name", ["run-detail", "run-metrics", "run-log", "run-cancel", "run-list"])
def test_only_the_projects_staff_reaches_runs(
    as_user: Any, owner: Any, member: Any, stranger: Any, run: Run, name: str
) -> None:
    url = reverse("runs:run-list", args=[run.project.slug]) if name == "run-list" else None
    url = url or page_of(run, name)
    ask = "post" if name == "run-cancel" else "get"
    for user in (member, stranger):
        assert getattr(as_user(user), ask)(url).status_code == 404
    run.refresh_from_db()
    assert run.state == "running"
    assert getattr(as_user(owner), ask)(url).status_code in (200, 302)


def test_trying_again_is_not_pressed_upon_anybody_where_it_will_fail_again(
    as_user: Any, owner: Any, run: Run
) -> None:
    client = as_user(owner)
    for code, pressed in (("nan_loss", False), ("disk_full", True)):
        Run.objects.update(state="failed", error="It failed.", error_code=code)
        page = client.get(page_of(run)).content.decode()
        assert ('<button type="submit">Try again' in page) is pressed
