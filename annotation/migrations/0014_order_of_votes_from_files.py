from django.db import migrations, models

FROM_FILES = """
update annotation_judgment judgment set swapped = null
from annotation_annotator annotator
where annotator.id = judgment.annotator_id and annotator.user_id is null
    and annotator.model_id is null and judgment.run_id is null
"""
"""Nobody who has no account here and is no model saw these pairs on a screen of ours."""
NO_ORDER = "update annotation_judgment set swapped = false where swapped is null"


class Migration(migrations.Migration):
    """Of votes that came in a file it is not known which answer was shown first."""

    dependencies = [("annotation", "0013_scorers")]

    operations = [
        migrations.AlterField(
            model_name="judgment",
            name="swapped",
            field=models.BooleanField(
                help_text=(
                    "Whether output b was shown first; null where that is not known, as of votes "
                    "that came in a file."
                ),
                null=True,
            ),
        ),
        migrations.RunSQL(FROM_FILES, NO_ORDER),
    ]
