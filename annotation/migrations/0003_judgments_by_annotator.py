from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("annotation", "0002_labelling")]

    operations = [
        migrations.AddIndex(
            model_name="judgment",
            index=models.Index(
                condition=models.Q(("is_current", True)),
                fields=["annotator", "created_at"],
                include=("outcome",),
                name="judgment_of",
            ),
        ),
    ]
