"""A test with transaction=True leaves the database as `migrate` makes it."""

import pytest
from django.apps import apps
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.db import connection

from conversations.models import Conversation
from numbers.models import Pool
from smsproxy.services.models import Service
from tests.support.builders import ALICE, BOB, add_numbers, talk
from tests.support.empty_database import KEPT, empty_database

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("again", [False, True])
def test_a_test_sees_no_row_of_the_one_before(again):
    assert not Conversation.objects.exists()
    add_numbers(2)
    talk(ALICE, BOB)


def test_every_table_is_emptied_but_permissions_stay():
    permissions, types = set(Permission.objects.values_list()), set(ContentType.objects.values_list())
    add_numbers(2)
    talk(ALICE, BOB)

    empty_database()

    emptied = [model for model in apps.get_models() if model._meta.db_table not in KEPT]
    assert [model for model in emptied if model._default_manager.exists()] == [Service]
    assert [service.name for service in Service.objects.all()] == ["default"]
    assert set(Permission.objects.values_list()) == permissions
    assert set(ContentType.objects.values_list()) == types
    assert len(permissions) > len(types) > len(emptied) / 2


@pytest.mark.parametrize("again", [False, True])
def test_a_test_knows_no_content_type_of_the_one_before(again):
    """A test of migrations may have made them again, with other ids."""
    assert not ContentType.objects._cache  # type: ignore[attr-defined]
    ContentType.objects.get_for_model(Pool)


@pytest.mark.postgres
def test_the_space_of_many_rows_is_freed():
    Pool.objects.bulk_create(Pool(name=f"pool-{index}") for index in range(6000))

    empty_database()

    assert not Pool.objects.exists()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_relation_size(%s::regclass)", [Pool._meta.db_table])
        assert cursor.fetchone() == (0,)
