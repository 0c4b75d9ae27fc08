from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from django.urls import reverse

from tests.sweeps import make_sweep
from training.sweeps.models import Sweep, TrialRun

pytestmark = pytest.mark.django_db


@pytest.fixture
def url(project: Any) -> str:
    return reverse("training:sweep-new", args=[project.slug])


@pytest.fixture
def done(project: Any, make_version: Any, base: Any) -> Sweep:
    return make_sweep(make_version(), base)


def filled(page: Any, **changes: Any) -> dict[str, Any]:
    """What a browser sends when the form is left as it is but for the changes."""
    form = page.context["form"]
    sent = {name: form[name].value() for name in form.fields}
    sent["recipe"] = page.context["recipe"]
    return {k: v for k, v in {**sent, **changes}.items() if v is not None and v is not False}


def test_the_form_starts_a_sweep_and_leads_to_its_page(
    as_user: Any, owner: Any, url: str, make_version: Any, base: Any
) -> None:
    version = make_version(rows=40)
    client = as_user(owner)
    page = client.get(url)
    sent = filled(
        page,
        beta="0.25",
        search_loss_type="on",
        choices_loss_type=["sigmoid", "hinge"],
        objective_2="kl:minimize",
        objective_3="win_rate:maximize",
        judge=str(base.pk),
        trials="7",
        hours="",
    )
    answer = client.post(url, sent)
    assert answer.status_code == 302, answer.context["form"].errors
    sweep = Sweep.objects.get()
    assert answer.url == sweep.get_absolute_url()
    assert (sweep.version, sweep.base, sweep.model_name) == (version, base, "tiny-dpo-v1-tuned")
    assert set(sweep.space) == {"learning_rate", "loss_type"}
    assert sweep.space["loss_type"]["choices"] == ["sigmoid", "hinge"]
    assert sweep.fixed["beta"] == 0.25
    assert "learning_rate" not in sweep.fixed
    assert sweep.measures == ["test_reward_accuracy", "kl", "win_rate"]
    assert sweep.judge == base
    assert "What the judge looks for" in client.get(url).content.decode()
    assert sweep.criteria in client.get(answer.url).content.decode()
    assert (sweep.tuning_seeds, len(sweep.test_seeds)) == ([1, 2, 3], 5)


def test_errors_stand_beside_the_field_that_caused_them(
    as_user: Any, owner: Any, url: str, make_version: Any, base: Any
) -> None:
    make_version(rows=40)
    client = as_user(owner)
    page = client.get(url)
    errors = client.post(url, filled(page, search_learning_rate=False)).context["form"].errors
    assert "at least one setting" in errors.get("__all__", [errors])[0]
    sent = filled(page, low_learning_rate="0.01", high_learning_rate="0.001")
    form = client.post(url, sent).context["form"]
    assert "lower to a higher" in form.errors["low_learning_rate"][0]
    sent = filled(page, objective_1="test_loss:minimize", search_beta="on")
    assert "beta" in client.post(url, sent).context["form"].errors["objective_1"][0]
    assert not Sweep.objects.exists()


def test_what_may_be_quoted_are_test_figures_alone(as_user: Any, owner: Any, done: Sweep) -> None:
    page = as_user(owner).get(done.get_absolute_url())
    text = page.content.decode()
    assert text.index("Result, by test seeds") < text.index("tuning figures, do not quote")
    final = page.context["finals"][0]
    measured = [
        part.measured["kl"] for part in final.trial.runs.filter(purpose="test").order_by("seed")
    ]
    assert final.measures[1].values == measured
    assert final.measures[1].low < final.measures[1].mean < final.measures[1].high
    assert [one.trial.number for one in page.context["finals"]][-1] == 0
    assert final.against[0].mean == pytest.approx(
        final.measures[0].mean - page.context["finals"][-1].measures[0].mean
    )


def test_a_winner_that_no_interval_sets_apart_is_called_no_better(
    as_user: Any, owner: Any, done: Sweep
) -> None:
    client = as_user(owner)
    page = client.get(done.get_absolute_url())
    winner = page.context["finals"][0]
    assert winner.trial.is_winner
    assert not winner.is_no_better
    assert "no better than the usual settings" not in page.content.decode()
    usual = {p.seed: p.measured for p in done.trials.get(number=0).runs.filter(purpose="test")}
    for part in TrialRun.objects.filter(trial__sweep=done, purpose="test", trial__number__gt=0):
        part.measured = usual[part.seed]
        part.save()
    page = client.get(done.get_absolute_url())
    assert page.context["finals"][0].is_no_better
    assert "no better than the usual settings" in page.content.decode()
    assert 'tag win"' not in page.content.decode()


def test_the_usual_settings_as_winner_are_no_better_than_themselves(
    as_user: Any, owner: Any, done: Sweep
) -> None:
    done.trials.update(is_winner=False)
    done.trials.filter(number=0).update(is_winner=True)
    page = as_user(owner).get(done.get_absolute_url()).content.decode()
    assert "no better than the usual settings" in page
    assert 'tag win"' not in page


def test_no_axis_of_shares_goes_beyond_1(as_user: Any, owner: Any, done: Sweep) -> None:
    for trial in done.trials.complete():
        trial.values = [1.0, trial.values[1]]
        trial.save()
    for part in TrialRun.objects.filter(trial__sweep=done, state="done"):
        part.measured["test_reward_accuracy"] = 1.0
        part.save()
    page = as_user(owner).get(done.get_absolute_url())
    labels = [tick["label"] for tick in page.context["charts"][0]["y_ticks"]]
    assert labels[-1] == "1"
    assert page.context["trade_off"]["x_ticks"][-1]["label"] == "1"


def test_the_form_says_how_many_runs_it_asks_for(
    as_user: Any, owner: Any, url: str, make_version: Any, base: Any
) -> None:
    make_version(rows=40)
    client = as_user(owner)
    page = client.get(url)
    assert page.context["form"].runs["total"] == 20 * 3 + 2 * 5
    several = filled(page, objective_2="kl:minimize", tuning_count="1", trials="4", winners="2")
    page = client.post(url, several)
    assert page.context["form"].errors["tuning_count"]
    assert page.context["form"].runs == {
        "total": 4 + 3 * 5,
        "trials": 4,
        "tuning": 1,
        "tested": 3,
        "test": 5,
    }
    assert "From 2 to 50; 3 or more are better" in page.content.decode()


def test_while_it_goes_on_only_the_part_that_changes_is_sent(
    as_user: Any, owner: Any, make_version: Any, base: Any
) -> None:
    sweep = make_sweep(make_version(), base, state="tuning", trials=4)
    client = as_user(owner)
    assert b"Not beaten so far" in client.get(sweep.get_absolute_url()).content
    part = client.get(sweep.get_absolute_url(), headers={"HX-Request": "true"})
    assert b"<html" not in part.content
    assert "HX-Refresh" not in part
    Sweep.objects.update(state="done")
    assert client.get(sweep.get_absolute_url(), headers={"HX-Request": "true"})["HX-Refresh"]


def test_a_pause_and_a_cancel_are_asked_on_the_page(
    as_user: Any, owner: Any, project: Any, make_version: Any, base: Any
) -> None:
    sweep = make_sweep(make_version(), base, state="tuning", trials=1)
    client = as_user(owner)
    pause = reverse("training:sweep-pause", args=[project.slug, sweep.pk])
    client.post(pause, {"paused": "1"})
    assert b"Paused" in client.get(sweep.get_absolute_url()).content
    client.post(pause, {"paused": "0"})
    client.post(reverse("training:sweep-cancel", args=[project.slug, sweep.pk]))
    sweep.refresh_from_db()
    assert (sweep.paused, sweep.state) == (False, "cancelled")
    again = client.post(pause, {"paused": "1"}, follow=True)
    assert b"has ended already" in again.content


def test_tuning_figures_leave_with_the_words_that_they_are(
    as_user: Any, owner: Any, project: Any, done: Sweep
) -> None:
    answer = as_user(owner).get(reverse("training:sweep-trials", args=[project.slug, done.pk]))
    head, *lines = csv.reader(io.StringIO(answer.content.decode()))
    assert len(lines) == 12 * 3
    assert {line[-1] for line in lines} == {"tuning figure, do not quote"}
    assert head[:3] == ["trial", "state", "seed"]
    assert {"learning_rate", "kl", "run"} < set(head)


@pytest.mark.parametrize("name", ["list", "new", "detail", "trials", "pause", "cancel"])
def test_only_the_projects_staff_sees_and_asks(
    as_user: Any, owner: Any, member: Any, stranger: Any, project: Any, done: Sweep, name: str
) -> None:
    of = [project.slug] if name in ("list", "new") else [project.slug, done.pk]
    url = reverse(f"training:sweep-{name}", args=of)
    verb = "post" if name in ("pause", "cancel") else "get"
    for user in (member, stranger):
        assert getattr(as_user(user), verb)(url).status_code == 404
    assert getattr(as_user(owner), verb)(url).status_code in (200, 302)


def test_a_trials_run_leads_to_its_sweep_and_does_not_crowd_the_version(
    as_user: Any, owner: Any, project: Any, done: Sweep
) -> None:
    client = as_user(owner)
    part = done.trials.get(number=1).runs.first()
    run = reverse("training:job-of-run", args=[project.slug, part.job.run_id])
    assert done.get_absolute_url() in client.get(run).content.decode()
    version = reverse("training:jobs-for-version", args=[project.slug, done.version_id])
    assert "tuned-1-tuning" not in client.get(version).content.decode()
