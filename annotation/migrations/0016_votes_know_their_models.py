from django.db import migrations, models
from django.db.models import F, Q

TRIGGER = """
create function annotation_judgment_battle() returns trigger language plpgsql as $$
begin
    select pair.prompt_id, a.model_id, b.model_id
    into strict new.battle_prompt, new.battle_a, new.battle_b
    from annotation_pair pair
    join annotation_output a on a.id = pair.output_a_id
    join annotation_output b on b.id = pair.output_b_id
    where pair.id = new.pair_id;
    return new;
end $$;
create trigger annotation_judgment_battle before insert on annotation_judgment
    for each row execute function annotation_judgment_battle();
"""
NO_TRIGGER = """
drop trigger annotation_judgment_battle on annotation_judgment;
drop function annotation_judgment_battle();
"""
FILL = """
update annotation_judgment judgment
set battle_prompt = pair.prompt_id, battle_a = a.model_id, battle_b = b.model_id
from annotation_pair pair
join annotation_output a on a.id = pair.output_a_id
join annotation_output b on b.id = pair.output_b_id
where pair.id = judgment.pair_id
"""


def battle() -> models.BigIntegerField:
    return models.BigIntegerField(db_default=0, default=0, editable=False)


class Migration(migrations.Migration):
    """A vote knows its prompt and its two models: the database writes them as it is inserted,
    whoever inserts it."""

    dependencies = [("annotation", "0016_arenas")]

    operations = [
        migrations.AddField("judgment", "battle_prompt", battle()),
        migrations.AddField("judgment", "battle_a", battle()),
        migrations.AddField("judgment", "battle_b", battle()),
        migrations.RunSQL(TRIGGER, NO_TRIGGER),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
        # constraints that wait for the transaction's end forbid an index before it
        migrations.RunSQL("set constraints all immediate", "set constraints all deferred"),
        migrations.AddIndex(
            "judgment",
            models.Index(
                condition=Q(is_current=True) & ~Q(outcome="skip") & ~Q(battle_a=F("battle_b")),
                fields=["project", "id"],
                include=[
                    "annotator",
                    "outcome",
                    "battle_prompt",
                    "battle_a",
                    "battle_b",
                    "created_at",
                ],
                name="judgment_counted",
            ),
        ),
    ]
