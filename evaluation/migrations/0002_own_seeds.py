from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("evaluation", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="evaluation",
            name="same_seeds",
            field=models.BooleanField(
                db_default=True,
                default=True,
                help_text="Whether all models draw from the same seeds; misleads with pictures "
                "and clips.",
            ),
        ),
    ]
