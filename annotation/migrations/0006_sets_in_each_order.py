from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("annotation", "0005_withdrawals"),
    ]

    operations = [
        migrations.RenameIndex(
            model_name="outputset",
            new_name="output_set_in_order",
            old_name="output_set_open",
        ),
        migrations.AddIndex(
            model_name="outputset",
            index=models.Index(
                condition=models.Q(("closed", False), ("judged__lt", models.F("wanted"))),
                fields=["project", "-priority", "key"],
                name="output_set_shuffled",
            ),
        ),
        migrations.AddIndex(
            model_name="outputset",
            index=models.Index(
                condition=models.Q(("closed", False), ("judged__lt", models.F("wanted"))),
                fields=["project", "-priority", "-judged", "id"],
                name="output_set_finish_first",
            ),
        ),
        migrations.AddIndex(
            model_name="outputset",
            index=models.Index(
                condition=models.Q(("closed", False), ("judged__lt", models.F("wanted"))),
                fields=["project", "-priority", "judged", "id"],
                name="output_set_spread",
            ),
        ),
    ]
