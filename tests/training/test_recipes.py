"""Every objective is a form and a call."""

from __future__ import annotations

from typing import Any

import pytest

from training.models import TrainingJob

pytestmark = pytest.mark.django_db
NEW = ("simpo", "orpo", "kto", "rationale_dpo", "rationale_orpo", "srpo")


def test_each_is_started_by_a_call(
    as_user: Any, owner: Any, project: Any, make_version: Any, base: Any
) -> None:
    version, client = make_version(), as_user(owner)
    for recipe in NEW:
        made = client.post(
            f"/api/v1/projects/{project.slug}/training-jobs",
            {"version": version.pk, "base": "tiny", "recipe": recipe, "model_name": f"by {recipe}"},
            content_type="application/json",
        )
        assert made.status_code == 201, made.json()
        assert made.json()["recipe"] == recipe
    assert TrainingJob.objects.count() == len(NEW)


@pytest.mark.parametrize(
    ("recipe", "setting"),
    [("rationale_dpo", "rationale_control"), ("kto", "desirable_weight"), ("srpo", "srpo_alpha")],
)
def test_each_has_a_form(
    as_user: Any, owner: Any, project: Any, make_version: Any, base: Any, recipe: str, setting: str
) -> None:
    make_version()
    page = as_user(owner).get(f"/p/{project.slug}/train/", {"recipe": recipe})
    assert page.status_code == 200
    assert f'name="{setting}"' in page.content.decode()
