"""What an evaluation's method and judge were, as people asked and seats taken."""

from typing import Any

from django.db import migrations


def seat(apps: Any, schema_editor: Any) -> None:
    evaluations = apps.get_model("evaluation", "Evaluation").objects
    seats = apps.get_model("evaluation", "EvaluationJudge").objects
    evaluations.filter(method="judge").update(ask_people=False)
    for row in evaluations.filter(method="judge", judge__isnull=False).iterator():
        seats.create(evaluation=row, judge_id=row.judge_id, run_id=row.judging_id)


class Migration(migrations.Migration):
    dependencies = [("evaluation", "0003_panels")]

    operations = [migrations.RunPython(seat, migrations.RunPython.noop)]
