"""`migrate` makes the groups."""

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from smsproxy.staff.groups import GROUPS

pytestmark = pytest.mark.django_db


def test_the_migration_makes_the_groups_with_their_rights():
    Group.objects.all().delete()
    loader = MigrationLoader(connection)
    [operation] = loader.get_migration("staff", "0003_groups").operations

    operation.code(  # type: ignore[attr-defined]
        loader.project_state([("staff", "0003_groups")]).apps, None
    )

    assert set(Group.objects.values_list("name", flat=True)) == set(GROUPS)
    support = Group.objects.get(name="Support")
    assert support.permissions.filter(codename="change_conversation").exists()
