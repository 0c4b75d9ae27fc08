from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("runs", "0002_pause_and_devices")]

    operations = [
        migrations.AddField(
            model_name="run",
            name="said",
            field=models.JSONField(
                blank=True,
                default=dict,
                help_text="Code and values of title, status_text and error where they were said "
                "by code.",
            ),
        ),
    ]
