from django.db import migrations

from smsproxy.staff.append_only import add_triggers, drop_triggers


ACCEPTED = {"runs-python": "creates triggers on two new tables, which are empty"}


class Migration(migrations.Migration):
    dependencies = [("staff", "0001_audit")]

    operations = [
        migrations.RunPython(
            lambda apps, schema_editor: add_triggers(schema_editor.connection),
            lambda apps, schema_editor: drop_triggers(schema_editor.connection),
        ),
    ]
