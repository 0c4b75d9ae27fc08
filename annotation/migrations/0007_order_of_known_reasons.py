from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("annotation", "0006_sets_in_each_order"),
    ]

    operations = [
        migrations.AddField(
            model_name="pair",
            name="known_first",
            field=models.CharField(
                blank=True,
                choices=[("a", "a"), ("b", "b")],
                db_default="",
                default="",
                help_text=(
                    "Which side that reason speaks of as the first; empty where there is no reason."
                ),
                max_length=1,
            ),
        ),
    ]
