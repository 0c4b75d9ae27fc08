"""The whole loop on real votes: brought in, frozen, trained on, and each row led back to its votes.

Crowd comparisons by Dmitry Ustalov and llmonitor.com, CC BY 4.0.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from annotation.formats import llmfao
from annotation.models import Judgment
from annotation.recipe import Recipe
from annotation.services.importing import import_records
from annotation.services.versions import publish_version
from steelyard.inference.text import load_causal_lm
from steelyard.lib.records import read_parquet
from tests import factories
from training.services import start_training

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]
FOLDER = Path(__file__).resolve().parents[3] / "shared" / "data" / "llmfao"


@pytest.mark.skipif(not FOLDER.is_dir(), reason="the crowd comparisons are not beside the checkout")
def test_dpo_learns_from_a_version_of_the_crowds_votes(tiny_lm: Path, settle: Any) -> None:
    project = factories.make_project()
    import_records(project=project, records=llmfao.read(FOLDER), by=None)
    recipe = Recipe(min_agreement=0.6, test_fraction=0.2)
    version = publish_version(project=project, dataset_name="crowd", recipe=recipe, by=None)
    base = factories.make_model(project, "tiny", family="causal_lm", source=str(tiny_lm))
    config = {"max_steps": 4, "batch_size": 8, "max_length": 256, "drop_too_long": True}

    job = start_training(
        project=project,
        version=version,
        base=base,
        recipe="dpo",
        config=config,
        model_name="taught by the crowd",
        by=None,
    )
    run = settle(job.run, timeout=300)

    assert run.state == "succeeded", run.error
    job.refresh_from_db()
    assert job.result.trained_on == version
    load_causal_lm(base.source, adapters=job.result.adapters())
    counts = run.result["counts"]
    assert counts["train"] + counts["dropped_too_long"] + counts["dropped_identical"] > 700
    first = run.points.filter(name="loss").order_by("step").first()
    assert first.value == pytest.approx(0.6931, abs=0.01)
    assert_rows_lead_to_votes(version)


def assert_rows_lead_to_votes(version: Any) -> None:
    rows = read_parquet(version.dir / version.manifest["files"][0]["name"])
    assert len(rows) == version.counts["rows"] > 900
    named = [vote["judgment"] for row in rows for vote in row.votes]
    found = Judgment.objects.by_people().filter(uuid__in=named, project=version.project)
    assert found.count() == len(named) == version.counts["votes"]
