from django.db import migrations, models


class Migration(migrations.Migration):
    """Annotators may be scorers: what one is and how its numbers become verdicts."""

    dependencies = [("annotation", "0012_known_orders")]

    operations = [
        migrations.AddField(
            model_name="annotator",
            name="scorer",
            field=models.JSONField(
                blank=True,
                db_default={},
                default=dict,
                help_text=(
                    "Of a scorer: kind, source, weights, dimension, tie_band, frames, api_key."
                ),
            ),
        ),
    ]
