import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    """Leaderboards can be published; the style of outputs is measured once."""

    dependencies = [
        ("annotation", "0016_votes_know_their_models"),
        ("evaluation", "0007_arenas"),
        ("projects", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="OutputMeasure",
            fields=[
                (
                    "output",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="measure",
                        serialize=False,
                        to="annotation.output",
                    ),
                ),
                ("length", models.PositiveIntegerField(help_text="characters")),
                ("headers", models.PositiveIntegerField()),
                ("bold", models.PositiveIntegerField(help_text="passages")),
                ("list_items", models.PositiveIntegerField()),
            ],
        ),
        migrations.CreateModel(
            name="PublishedBoard",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("number", models.PositiveIntegerField()),
                ("title", models.CharField(max_length=200)),
                ("note", models.TextField(blank=True)),
                (
                    "options",
                    models.JSONField(help_text="Which votes were counted, and by which rule."),
                ),
                (
                    "result",
                    models.JSONField(
                        help_text="Rows, and all that was said of them, as the API has it."
                    ),
                ),
                ("votes", models.PositiveIntegerField(help_text="How many votes it was made of.")),
                (
                    "digest",
                    models.CharField(
                        help_text="SHA-256 of the sorted UUIDs of those votes, one a line.",
                        max_length=64,
                    ),
                ),
                (
                    "ballots",
                    models.BinaryField(help_text="Primary keys of those votes, packed."),
                ),
                ("code_version", models.CharField(max_length=64)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "created_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="published_boards",
                        to="projects.project",
                    ),
                ),
            ],
            options={"ordering": ["-created_at", "-pk"]},
        ),
        migrations.AddConstraint(
            model_name="publishedboard",
            constraint=models.UniqueConstraint(
                fields=("project", "number"), name="published_board_once"
            ),
        ),
    ]
