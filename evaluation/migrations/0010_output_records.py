import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """How pipelines came to their outputs."""

    dependencies = [("annotation", "0018_juries"), ("evaluation", "0009_routings")]

    operations = [
        migrations.CreateModel(
            name="OutputRecord",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("turns", models.JSONField(help_text="A record a turn of the prompt.")),
                (
                    "output",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="record",
                        to="annotation.output",
                    ),
                ),
            ],
        ),
    ]
