from django.db import migrations

from smsproxy.staff.groups import make_groups

ACCEPTED = {"runs-python": "inserts four groups and their permissions, about 200 rows"}


class Migration(migrations.Migration):
    # After every migration that brings a model with a right of groups.RIGHTS.
    dependencies = [
        ("staff", "0002_append_only"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("conversations", "0025_find"),
        ("numbers", "0010_pool_page"),
        ("api", "0003_services"),
        ("events", "0001_initial"),
        ("metrics", "0001_initial"),
        ("services", "0001_initial"),
    ]

    operations = [
        migrations.RunPython(lambda apps, schema_editor: make_groups(apps), migrations.RunPython.noop, elidable=False),
    ]
