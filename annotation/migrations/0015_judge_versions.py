import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


FIRST_OF_ITS_LINE = """
update annotation_annotator set family = name where kind = 'judge' and model_id is not null
"""


class Migration(migrations.Migration):
    """A judge is one version of a line, and what its runs use up is kept."""

    dependencies = [
        ('annotation', '0014_order_of_votes_from_files'),
        ('projects', '0003_webhook_events'),
        ('registry', '0004_families'),
        ('runs', '0002_pause_and_devices'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='JudgeSpending',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('calls', models.PositiveIntegerField(default=0, help_text='Answers that were paid for.')),
                ('cached', models.PositiveIntegerField(default=0, help_text='Answers known from before.')),
                ('tokens_in', models.PositiveBigIntegerField(default=0)),
                ('tokens_out', models.PositiveBigIntegerField(default=0)),
                ('cost', models.FloatField(default=0, help_text="By the judge's prices, in the currency set.")),
                ('seconds', models.FloatField(default=0, help_text='Waited for the paid answers, all together.')),
            ],
            options={
                'ordering': ['-pk'],
            },
        ),
        migrations.AddField(
            model_name='annotator',
            name='asking',
            field=models.JSONField(blank=True, default=dict, help_text='orders (both, random), samples, max_side (pixels), frames (of a clip).'),
        ),
        migrations.AddField(
            model_name='annotator',
            name='checks',
            field=models.JSONField(blank=True, default=dict, help_text='What was measured of it.'),
        ),
        migrations.AddField(
            model_name='annotator',
            name='family',
            field=models.CharField(blank=True, help_text='Of a judge: the name of all its versions.', max_length=150),
        ),
        migrations.AddField(
            model_name='annotator',
            name='limits',
            field=models.JSONField(blank=True, default=dict, help_text='Rates, caps and prices; they may change, for no verdict depends on them.'),
        ),
        migrations.AddField(
            model_name='annotator',
            name='note',
            field=models.CharField(blank=True, help_text='What is new in this version.', max_length=300),
        ),
        migrations.AddField(
            model_name='annotator',
            name='parent',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='children', to='annotation.annotator'),
        ),
        migrations.AddField(
            model_name='annotator',
            name='rubric',
            field=models.JSONField(blank=True, default=list, help_text='[{name, text}]: aspects that get a verdict of their own.'),
        ),
        migrations.AddField(
            model_name='annotator',
            name='template',
            field=models.TextField(blank=True, help_text="The project's own wording of the question; else a shipped version."),
        ),
        migrations.AddField(
            model_name='annotator',
            name='version',
            field=models.PositiveSmallIntegerField(default=1),
        ),
        migrations.RunSQL(FIRST_OF_ITS_LINE, migrations.RunSQL.noop),
        migrations.AddConstraint(
            model_name='annotator',
            constraint=models.UniqueConstraint(condition=models.Q(('family', ''), _negated=True), fields=('project', 'family', 'version'), name='annotator_version_once'),
        ),
        migrations.AddField(
            model_name='judgespending',
            name='judge',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='spendings', to='annotation.annotator'),
        ),
        migrations.AddField(
            model_name='judgespending',
            name='run',
            field=models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='spending', to='runs.run'),
        ),
    ]
