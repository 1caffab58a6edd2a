"""A migration operation that renames a constraint, which Django has none for."""

from typing import Any

from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState
from django.db.models import UniqueConstraint


class RenameConstraint(Operation):
    """Rename a constraint at once on PostgreSQL; dropping and adding it would scan the table under a lock."""

    def __init__(self, model_name: str, old_name: str, new_name: str) -> None:
        self.model_name = model_name
        self.old_name = old_name
        self.new_name = new_name

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        key = app_label, self.model_name.lower()
        options = state.models[key].options
        options["constraints"] = [
            self._renamed(each, self.new_name) if each.name == self.old_name else each
            for each in options["constraints"]
        ]
        state.reload_model(*key, delay=True)

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        self._rename(from_state.apps.get_model(app_label, self.model_name), schema_editor, self.old_name, self.new_name)

    def database_backwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        self._rename(from_state.apps.get_model(app_label, self.model_name), schema_editor, self.new_name, self.old_name)

    def _rename(self, model: Any, schema_editor: BaseDatabaseSchemaEditor, old: str, new: str) -> None:
        constraint = next(each for each in model._meta.constraints if each.name == old)
        if schema_editor.connection.vendor != "postgresql":
            schema_editor.remove_constraint(model, constraint)
            schema_editor.add_constraint(model, self._renamed(constraint, new))
            return
        quote = schema_editor.quote_name
        if isinstance(constraint, UniqueConstraint) and constraint.condition is not None:
            # Django stores it as a partial unique index.
            schema_editor.execute(f"ALTER INDEX {quote(old)} RENAME TO {quote(new)}")
        else:
            table = quote(model._meta.db_table)
            schema_editor.execute(f"ALTER TABLE {table} RENAME CONSTRAINT {quote(old)} TO {quote(new)}")

    def _renamed(self, constraint: Any, name: str) -> Any:
        renamed = constraint.clone()
        renamed.name = name
        return renamed

    def describe(self) -> str:
        return f"Rename constraint {self.old_name} on {self.model_name} to {self.new_name}"
