from django.db import migrations, models


class Migration(migrations.Migration):
    """A draw says on how many of its pairs each judge had a verdict."""

    dependencies = [("evaluation", "0012_output_usage")]

    operations = [
        migrations.AddField(
            model_name="routing",
            name="covered",
            field=models.JSONField(
                blank=True,
                default=dict,
                help_text="On how many of the pairs each judge had a verdict, by its name.",
            ),
        ),
    ]
