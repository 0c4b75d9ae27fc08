from django.db import migrations

TRIGGER = """
create function annotation_battles_emptied() returns trigger language plpgsql as $$
begin
    delete from annotation_heldbattles;
    delete from annotation_battlechange;
    return null;
end $$;
create trigger annotation_battles_emptied after truncate on annotation_judgment
    for each statement execute function annotation_battles_emptied();
"""
NO_TRIGGER = """
drop trigger annotation_battles_emptied on annotation_judgment;
drop function annotation_battles_emptied();
"""


class Migration(migrations.Migration):
    """Votes that are truncated are gone from leaderboards too; no trigger on rows sees it."""

    dependencies = [
        ("annotation", "0025_rationales_of_every_verdict"),
    ]

    operations = [
        migrations.RunSQL(TRIGGER, NO_TRIGGER),
    ]
