"""An index on a large table is built beside traffic, and again if it was stopped half-way."""

import pytest
from django.apps import apps
from django.db import connection, migrations, models
from django.db.migrations.state import ProjectState

from smsproxy.database.concurrent_index import AddIndexBesideTraffic, RemoveForeignKeyIndexBesideTraffic

pytestmark = pytest.mark.django_db(transaction=True)

TABLE = "simulator_simulatedfault"
INDEX = models.Index(fields=["remaining"], name="beside_traffic")


def run(operation, *, backwards=False):
    before = ProjectState.from_apps(apps)
    after = before.clone()
    operation.state_forwards("simulator", after)
    with connection.schema_editor(atomic=False) as editor:
        if backwards:
            operation.database_backwards("simulator", editor, after, before)
        else:
            operation.database_forwards("simulator", editor, before, after)


def exists():
    with connection.cursor() as cursor:
        return INDEX.name in connection.introspection.get_constraints(cursor, TABLE)


def test_an_index_is_added_and_removed_on_either_database():
    run(AddIndexBesideTraffic("simulatedfault", INDEX))
    assert exists()

    run(AddIndexBesideTraffic("simulatedfault", INDEX), backwards=True)
    assert not exists()


@pytest.mark.postgres
def test_what_a_stopped_migration_left_is_replaced():
    run(migrations.AddIndex("simulatedfault", INDEX))  # In the place of an invalid one, which has the same name.

    run(AddIndexBesideTraffic("simulatedfault", INDEX))

    assert exists()
    run(AddIndexBesideTraffic("simulatedfault", INDEX), backwards=True)


def test_the_index_of_a_foreign_key_is_removed_and_comes_back():
    def columns():
        with connection.cursor() as cursor:
            found = connection.introspection.get_constraints(cursor, "simulator_simulatedtext").values()
        return [each["columns"] for each in found if each["index"] and not each["primary_key"]]

    key = models.ForeignKey("simulator.SimulatedHandset", models.CASCADE, related_name="texts", db_index=False)
    before = columns()
    assert ["handset_id"] in before

    run(RemoveForeignKeyIndexBesideTraffic("simulatedtext", "handset", key))
    assert sorted([*columns(), ["handset_id"]]) == sorted(before)

    run(RemoveForeignKeyIndexBesideTraffic("simulatedtext", "handset", key), backwards=True)
    assert sorted(columns()) == sorted(before)
