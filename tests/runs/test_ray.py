"""Runs on a Ray cluster of two nodes, both simulated on this machine.

Starting Ray takes half a minute, so these tests are run only when asked for: ``pytest -m ray``.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from steelyard.lib.engine import Stop
from steelyard.lib.errors import UserError
from steelyard.lib.records import write_parquet
from steelyard.lib.rundir import RunDir
from steelyard.runs import launchers, ray_launcher
from tests.training_engine.rows import make_record, metrics_of, train_spec

ON_RAY = {"launcher": "ray", "processes": 2, "device": "cpu"}


@pytest.fixture(scope="module")
def cluster(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a cluster whose two nodes have a CPU each."""
    if "ray" not in request.config.option.markexpr:
        pytest.skip("starts a Ray cluster; run it with -m ray")
    os.environ |= {"RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 1, "include_dashboard": True, "dashboard_port": 0}
    started = Cluster(initialize_head=True, head_node_args=head)
    started.add_node(num_cpus=1)
    yield f"http://{started.head_node.webui_url}"
    started.shutdown()


def make(folder: Path, tiny_lm: Path, **config: Any) -> RunDir:
    rundir = RunDir(folder)
    rundir.create(train_spec(tiny_lm, config))
    write_parquet([make_record(n) for n in range(1, 13)], rundir.data / "rows.parquet")
    return rundir


def wait_until_it_ends(job: launchers.Job, rundir: RunDir, seconds: float = 600) -> None:
    end = time.monotonic() + seconds
    while job.is_alive():
        assert time.monotonic() < end, rundir.log_tail()
        time.sleep(0.5)


@pytest.mark.ray
@pytest.mark.slow
def test_two_nodes_train_to_the_losses_of_one_process(
    cluster: str, settings: Any, tmp_path: Path, tiny_lm: Path
) -> None:
    from training.engine import text

    settings.RAY_ADDRESS = cluster
    options = {"accumulation": 2, "max_steps": 5, "eval_every": 3}
    one = make(tmp_path / "one", tiny_lm, **options)
    text.train(one, Stop(one))
    two = make(tmp_path / "two", tiny_lm, **options, **ON_RAY)
    job = launchers.launch("training.engine", two)
    found = launchers.find(two)
    assert found is not None
    assert found.is_alive()
    wait_until_it_ends(job, two)
    result = two.result()
    assert result is not None, two.log_tail()
    assert result["status"] == "succeeded", result
    told = (two.path / "workers.jsonl").read_text().splitlines()
    workers = [json.loads(line) for line in told]
    assert sorted(worker["rank"] for worker in workers) == [0, 1]
    assert len({worker["node"] for worker in workers}) == 2
    ours, theirs = metrics_of(one), metrics_of(two)
    for name in ("loss", "test_loss", "grad_norm"):
        assert theirs[name] == pytest.approx(ours[name], rel=1e-3, abs=2e-5), name

    # the same start asked for twice is one job
    (two.path / ray_launcher.FILE).unlink()
    again = ray_launcher.launch("training.engine", two, {}, workers=2, on_gpu=False)
    assert again.submission_id == found.submission_id  # type: ignore[attr-defined]
    assert not again.is_alive()


@pytest.mark.ray
@pytest.mark.slow
def test_a_job_is_stopped_in_peace_or_by_force_and_waits_only_for_so_long(
    cluster: str, settings: Any, tmp_path: Path, tiny_lm: Path
) -> None:
    settings.RAY_ADDRESS = cluster
    rundir = make(tmp_path / "run", tiny_lm, max_steps=100_000, **{**ON_RAY, "processes": 1})

    def started(job: launchers.Job) -> None:
        end = time.monotonic() + 600
        while (rundir.read_progress() or {"done": 0})["done"] < 3:
            assert job.is_alive(), rundir.log_tail()
            assert time.monotonic() < end, rundir.log_tail()
            time.sleep(0.2)

    job = launchers.launch("training.engine", rundir)
    started(job)
    job.signal(signal.SIGTERM)
    wait_until_it_ends(job, rundir)
    assert rundir.stopped.exists()
    assert list(rundir.checkpoints.glob("step-*"))
    (rundir.path / "progress.json").unlink()
    job = launchers.launch("training.engine", rundir)
    started(job)
    job.signal(signal.SIGKILL)
    wait_until_it_ends(job, rundir)
    assert rundir.result() is None
    # three workers never find room on two nodes of a CPU each
    large = make(tmp_path / "large", tiny_lm, **{**ON_RAY, "processes": 3})
    job = launchers.launch("training.engine", large)
    settings.RAY_QUEUE_MINUTES = 0
    with pytest.raises(UserError, match="had no room"):
        wait_until_it_ends(job, large, 60)
    job.signal(signal.SIGKILL)


def test_without_a_cluster_the_run_is_refused_with_what_to_do(
    settings: Any, tmp_path: Path, tiny_lm: Path
) -> None:
    rundir = make(tmp_path / "run", tiny_lm, **ON_RAY)
    settings.RAY_ADDRESS = ""
    with pytest.raises(UserError, match="STEELYARD_RAY_ADDRESS") as caught:
        launchers.launch("training.engine", rundir)
    assert (caught.value.code, caught.value.field) == ("no_ray", "launcher")


def test_a_missing_library_is_told(
    settings: Any, tmp_path: Path, tiny_lm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray.job_submission", None)
    settings.RAY_ADDRESS = "http://127.0.0.1:1"
    with pytest.raises(UserError, match=r"pip install 'ray\[default\]'"):
        launchers.launch("training.engine", make(tmp_path / "run", tiny_lm, **ON_RAY))
