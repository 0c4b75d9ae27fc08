from django.db import migrations, models
from django.db.models import BigIntegerField, Case, F, Q, When
from django.db.models.functions import Greatest, Least


def battle() -> models.GeneratedField:
    fits = Q(battle_prompt__lt=2**29, battle_a__lt=2**16, battle_b__lt=2**16)
    in_order = Q(battle_a__lt=F("battle_b"))
    for_low = (Q(outcome="a") & in_order) | (Q(outcome="b") & ~in_order)
    result = Case(
        When(for_low, then=0),
        When(Q(outcome__in=("a", "b")), then=1),
        When(Q(outcome="tie"), then=2),
        When(Q(outcome="both_bad"), then=3),
        default=None,
        output_field=BigIntegerField(null=True),
    )
    low, high = Least("battle_a", "battle_b"), Greatest("battle_a", "battle_b")
    compared = (F("battle_prompt") * 2**16 + low) * 2**16 + high
    return models.GeneratedField(
        expression=Case(
            When(fits, then=compared * 4 + result),
            default=None,
            output_field=BigIntegerField(null=True),
        ),
        output_field=BigIntegerField(null=True),
        db_persist=True,
    )


class Migration(migrations.Migration):
    """What a leaderboard reads of a vote is one number, in an index in the order of these."""

    dependencies = [
        ("annotation", "0021_machine_rationales"),
    ]

    operations = [
        migrations.RemoveIndex("judgment", "judgment_counted"),
        migrations.AddField("judgment", "battle", battle()),
        migrations.AddIndex(
            "judgment",
            models.Index(
                condition=Q(is_current=True) & ~Q(outcome="skip") & ~Q(battle_a=F("battle_b")),
                fields=["project", "battle"],
                include=[
                    "annotator",
                    "battle_prompt",
                    "battle_a",
                    "battle_b",
                    "created_at",
                    "outcome",
                ],
                name="judgment_battles",
            ),
        ),
    ]
