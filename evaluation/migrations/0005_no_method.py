from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("evaluation", "0004_seats_of_old_evaluations")]

    operations = [
        migrations.RemoveField("evaluation", "method"),
        migrations.RemoveField("evaluation", "judge"),
        migrations.RemoveField("evaluation", "judging"),
    ]
