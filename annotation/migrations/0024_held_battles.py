import django.db.models.deletion
from django.contrib.postgres.fields import ArrayField
from django.db import migrations, models

COUNTED = "is_current and outcome <> 'skip' and battle_a <> battle_b and battle is not null"
TRIGGERS = f"""
create function annotation_battle_changes() returns trigger language plpgsql as $$
begin
    if tg_op = 'INSERT' then
        insert into annotation_battlechange (project_id, annotator_id, battle, added)
        select project_id, annotator_id, battle, true from new_rows where {COUNTED};
    elsif tg_op = 'DELETE' then
        insert into annotation_battlechange (project_id, annotator_id, battle, added)
        select project_id, annotator_id, battle, false from old_rows where {COUNTED};
    else
        insert into annotation_battlechange (project_id, annotator_id, battle, added)
        (select project_id, annotator_id, battle, false from old_rows where {COUNTED}
         except all
         select project_id, annotator_id, battle, false from new_rows where {COUNTED})
        union all
        (select project_id, annotator_id, battle, true from new_rows where {COUNTED}
         except all
         select project_id, annotator_id, battle, true from old_rows where {COUNTED});
    end if;
    return null;
end $$;
create trigger annotation_battle_inserted after insert on annotation_judgment
    referencing new table as new_rows
    for each statement execute function annotation_battle_changes();
create trigger annotation_battle_updated after update on annotation_judgment
    referencing old table as old_rows new table as new_rows
    for each statement execute function annotation_battle_changes();
create trigger annotation_battle_deleted after delete on annotation_judgment
    referencing old table as old_rows
    for each statement execute function annotation_battle_changes();
"""
NO_TRIGGERS = """
drop trigger annotation_battle_inserted on annotation_judgment;
drop trigger annotation_battle_updated on annotation_judgment;
drop trigger annotation_battle_deleted on annotation_judgment;
drop function annotation_battle_changes();
"""
GATHER = f"""
with counted as materialized (
    select vote.project_id, vote.annotator_id, battle,
           case when kind = 'person' then 0 else annotator_id end as whose
    from annotation_judgment vote join annotation_annotator one on one.id = annotator_id
    where {COUNTED}
), of_each as (
    select project_id, whose, annotator_id, count(*) as votes from counted
    group by project_id, whose, annotator_id
)
insert into annotation_heldbattles (project_id, annotators, votes, packed)
select project_id, array_agg(annotator_id), array_agg(votes),
       (select string_agg(int8send(battle), ''::bytea order by battle) from counted
        where counted.project_id = of_each.project_id and counted.whose = of_each.whose)
from of_each group by project_id, whose
"""
# numbers like these hardly shrink; unpacking them would cost more than the reading
AS_THEY_ARE = "alter table annotation_heldbattles alter packed set storage external"


def key(to: str, **more: object) -> models.ForeignKey:
    return models.ForeignKey(
        to=to,
        on_delete=django.db.models.deletion.CASCADE,
        related_name="+",
        db_constraint=False,
        **more,
    )


class Migration(migrations.Migration):
    """A leaderboard reads the numbers of all people's votes in one piece, and what has changed
    since."""

    dependencies = [
        ("annotation", "0023_sets_by_group"),
        ("projects", "__first__"),
    ]

    operations = [
        migrations.CreateModel(
            name="BattleChange",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("project", key("projects.project")),
                ("annotator", key("annotation.annotator", db_index=False)),
                ("battle", models.BigIntegerField()),
                ("added", models.BooleanField()),
            ],
        ),
        migrations.CreateModel(
            name="HeldBattles",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("project", key("projects.project")),
                (
                    "annotators",
                    ArrayField(models.BigIntegerField(), help_text="Whose votes they are."),
                ),
                ("votes", ArrayField(models.BigIntegerField(), help_text="How many of each.")),
                (
                    "packed",
                    models.BinaryField(
                        help_text="In order, eight bytes a vote, the most significant first."
                    ),
                ),
            ],
        ),
        migrations.RunSQL(AS_THEY_ARE, migrations.RunSQL.noop),
        # the triggers first: they keep votes out until all is gathered
        migrations.RunSQL(TRIGGERS, NO_TRIGGERS),
        migrations.RunSQL(GATHER, migrations.RunSQL.noop),
    ]
