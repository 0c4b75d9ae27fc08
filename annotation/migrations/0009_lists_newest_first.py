import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """Lists of a project are read newest first by an index of their own, which stands in for that of
    the project alone."""

    dependencies = [
        ("projects", "0001_initial"),
        ("annotation", "0008_flags_on_sets"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="prompt",
            index=models.Index(fields=["project", "id"], name="prompt_listed"),
        ),
        migrations.AddIndex(
            model_name="prompt",
            index=models.Index(fields=["project", "category", "id"], name="prompt_in_category"),
        ),
        migrations.AddIndex(
            model_name="output",
            index=models.Index(fields=["project", "id"], name="output_listed"),
        ),
        migrations.AddIndex(
            model_name="pair",
            index=models.Index(fields=["project", "id"], name="pair_listed"),
        ),
        migrations.AddIndex(
            model_name="judgment",
            index=models.Index(fields=["project", "id"], name="judgment_listed"),
        ),
        migrations.AlterField(
            model_name="prompt",
            name="project",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="prompts",
                to="projects.project",
            ),
        ),
        migrations.AlterField(
            model_name="output",
            name="project",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="outputs",
                to="projects.project",
            ),
        ),
        migrations.AlterField(
            model_name="pair",
            name="project",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="pairs",
                to="projects.project",
            ),
        ),
        migrations.AlterField(
            model_name="judgment",
            name="project",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="judgments",
                to="projects.project",
            ),
        ),
    ]
