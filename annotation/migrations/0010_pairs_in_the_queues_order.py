from django.db import migrations, models


class Migration(migrations.Migration):
    """The page of a project's pairs is read in the order of the queue by an index of its own."""

    dependencies = [
        ("annotation", "0009_lists_newest_first"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="pair",
            index=models.Index(fields=["project", "-priority", "id"], name="pair_in_queue_order"),
        ),
    ]
