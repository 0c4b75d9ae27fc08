import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """What endpoints took to make outputs."""

    dependencies = [("annotation", "0018_juries"), ("evaluation", "0011_gamed_files")]

    operations = [
        migrations.CreateModel(
            name="OutputUsage",
            fields=[
                (
                    "output",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="usage",
                        serialize=False,
                        to="annotation.output",
                    ),
                ),
                ("tokens_in", models.PositiveIntegerField(help_text="Asked, of all turns.")),
                ("tokens_out", models.PositiveIntegerField(help_text="Answered.")),
                (
                    "counted",
                    models.BooleanField(
                        help_text="Whether the endpoint said them; else they are guessed from the "
                        "characters."
                    ),
                ),
            ],
        ),
    ]
