"""Add or remove an index of a large table in a migration, beside traffic: the table can be written at that time."""

from typing import Any

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db.migrations import AddConstraint, AddIndex, AlterField, RemoveConstraint, RemoveIndex
from django.db.models import Index


class AddIndexBesideTraffic(AddIndexConcurrently):
    """AddIndexConcurrently on PostgreSQL, AddIndex on SQLite. The migration needs `atomic = False`.

    If the migration is stopped half-way, PostgreSQL keeps an invalid index. The next run replaces it.
    """

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if schema_editor.connection.vendor != "postgresql":
            AddIndex.database_forwards(self, app_label, schema_editor, from_state, to_state)
            return
        _drop_index(schema_editor, self.index.name)
        super().database_forwards(app_label, schema_editor, from_state, to_state)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if schema_editor.connection.vendor != "postgresql":
            AddIndex.database_backwards(self, app_label, schema_editor, from_state, to_state)
            return
        super().database_backwards(app_label, schema_editor, from_state, to_state)


class RemoveIndexBesideTraffic(RemoveIndexConcurrently):
    """RemoveIndexConcurrently on PostgreSQL, RemoveIndex on SQLite. The migration needs `atomic = False`."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if schema_editor.connection.vendor != "postgresql":
            RemoveIndex.database_forwards(self, app_label, schema_editor, from_state, to_state)
            return
        super().database_forwards(app_label, schema_editor, from_state, to_state)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if schema_editor.connection.vendor != "postgresql":
            RemoveIndex.database_backwards(self, app_label, schema_editor, from_state, to_state)
            return
        super().database_backwards(app_label, schema_editor, from_state, to_state)


class AddUniqueBesideTraffic(AddConstraint):
    """Add a UniqueConstraint with a condition, which is a unique index, concurrently on PostgreSQL.

    The migration needs `atomic = False`.
    """

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        model = to_state.apps.get_model(app_label, self.model_name)
        if schema_editor.connection.vendor != "postgresql":
            super().database_forwards(app_label, schema_editor, from_state, to_state)
        elif self.allow_migrate_model(schema_editor.connection.alias, model):
            _drop_index(schema_editor, self.constraint.name)
            sql = str(self.constraint.create_sql(model, schema_editor))
            schema_editor.execute(sql.replace("CREATE UNIQUE INDEX", "CREATE UNIQUE INDEX CONCURRENTLY", 1))


class RemoveUniqueBesideTraffic(RemoveConstraint):
    """Remove a UniqueConstraint with a condition, concurrently on PostgreSQL. The migration needs `atomic = False`."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if schema_editor.connection.vendor != "postgresql":
            super().database_forwards(app_label, schema_editor, from_state, to_state)
        else:
            _drop_index(schema_editor, self.name)


class AddForeignKeyBesideTraffic(AlterField):
    """Give a field the foreign key that it was added without, `db_constraint=False`. Existing rows are checked later.

    The check of existing rows does not stop writes. The migration needs `atomic = False`.
    """

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if schema_editor.connection.vendor != "postgresql":
            super().database_forwards(app_label, schema_editor, from_state, to_state)
            return
        model = to_state.apps.get_model(app_label, self.model_name)
        field = model._meta.get_field(self.name)
        key = schema_editor._create_fk_sql(model, field, "_fk_%(to_table)s_%(to_column)s")
        table, name = (schema_editor.quote_name(each) for each in (model._meta.db_table, str(key.parts["name"])))
        schema_editor.execute(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name}")
        schema_editor.execute(f"{key} NOT VALID")
        schema_editor.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}")


class RemoveForeignKeyIndexBesideTraffic(AlterField):
    """Set `db_index=False` on a ForeignKey, as another index begins with its column. It needs `atomic = False`.

    Nothing else of the field may change. Add the other index first.
    """

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if schema_editor.connection.vendor != "postgresql":
            super().database_forwards(app_label, schema_editor, from_state, to_state)
            return
        model = from_state.apps.get_model(app_label, self.model_name)
        column = model._meta.get_field(self.name).column
        others = {index.name for index in model._meta.indexes}
        for name in schema_editor._constraint_names(model, [column], index=True, type_=Index.suffix, exclude=others):
            _drop_index(schema_editor, name)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if schema_editor.connection.vendor != "postgresql":
            super().database_backwards(app_label, schema_editor, from_state, to_state)
            return
        model = to_state.apps.get_model(app_label, self.model_name)
        fields = [model._meta.get_field(self.name)]
        _drop_index(schema_editor, schema_editor._create_index_name(model._meta.db_table, [fields[0].column]))
        schema_editor.execute(schema_editor._create_index_sql(model, fields=fields, concurrently=True))


def _drop_index(schema_editor: Any, name: str) -> None:
    schema_editor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {schema_editor.quote_name(name)}")


class AllowNullBesideTraffic(AlterField):
    """Set `null=True` on a ForeignKey. Django would drop its constraint, and check all rows to add it again.

    Nothing else of the column may change.
    """

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if schema_editor.connection.vendor != "postgresql":
            super().database_forwards(app_label, schema_editor, from_state, to_state)
            return
        model = to_state.apps.get_model(app_label, self.model_name)
        column = model._meta.get_field(self.name).column
        table, name = (schema_editor.quote_name(each) for each in (model._meta.db_table, column))
        schema_editor.execute(f"ALTER TABLE {table} ALTER COLUMN {name} DROP NOT NULL")
