from django.db import migrations

from steelyard.web.sealing import opened, sealed


def seal(apps, schema_editor):
    _with_keys(apps, sealed)


def unseal(apps, schema_editor):
    _with_keys(apps, opened)


def _with_keys(apps, change):
    models = apps.get_model("registry", "ModelVersion")
    for model in models.objects.filter(options__has_key="api_key").only("options"):
        model.options = {**model.options, "api_key": change(model.options["api_key"])}
        model.save(update_fields=["options"])


class Migration(migrations.Migration):
    """Keys of endpoints lie sealed in the database."""

    dependencies = [("registry", "0004_families")]

    operations = [migrations.RunPython(seal, unseal)]
