"""Models that SRPO has trained keep the words by which they have learnt to improve an answer."""

from __future__ import annotations

from typing import Any

from django.db import migrations

ASKED = (
    "Write a better answer to my message above: more correct, clearer, closer to what was asked. "
    "If your last answer cannot be improved, write it again. Write the answer alone."
)
"""The only words so far."""


def keep(apps: Any, editor: Any) -> None:
    models = apps.get_model("registry", "ModelVersion").objects
    for model in models.filter(made_by__training_job__recipe="srpo").iterator():
        if "revising" not in model.options:
            model.options = {**model.options, "revising": ASKED}
            model.save(update_fields=["options"])


def forget(apps: Any, editor: Any) -> None:
    models = apps.get_model("registry", "ModelVersion").objects
    # those with revisions could not be asked without
    rows = models.filter(options__has_key="revising").exclude(options__has_key="revisions")
    for model in rows.iterator():
        model.options = {k: v for k, v in model.options.items() if k != "revising"}
        model.save(update_fields=["options"])


class Migration(migrations.Migration):
    dependencies = [("training", "0004_win_rate"), ("registry", "0006_pipelines")]
    operations = [migrations.RunPython(keep, forget)]
