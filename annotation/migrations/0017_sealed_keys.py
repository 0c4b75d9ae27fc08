from django.db import migrations

from steelyard.web.sealing import opened, sealed


def seal(apps, schema_editor):
    _with_keys(apps, sealed)


def unseal(apps, schema_editor):
    _with_keys(apps, opened)


def _with_keys(apps, change):
    annotators = apps.get_model("annotation", "Annotator")
    for scorer in annotators.objects.filter(scorer__has_key="api_key").only("scorer"):
        scorer.scorer = {**scorer.scorer, "api_key": change(scorer.scorer["api_key"])}
        scorer.save(update_fields=["scorer"])


class Migration(migrations.Migration):
    """Keys of scorers over HTTP lie sealed in the database."""

    dependencies = [("annotation", "0016_votes_know_their_models")]

    operations = [migrations.RunPython(seal, unseal)]
