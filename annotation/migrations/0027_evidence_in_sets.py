from django.db import migrations, models


class Migration(migrations.Migration):
    """Rankings point into their outputs as judgments do."""

    dependencies = [
        ("annotation", "0026_votes_emptied"),
    ]

    operations = [
        migrations.AddField(
            model_name="ranking",
            name="evidence",
            field=models.JSONField(
                blank=True,
                default=list,
                help_text="As of a judgment, with the number of an output in place of a side.",
            ),
        ),
    ]
