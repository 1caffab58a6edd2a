"""Pages of records with personal data, which only staff with permission see."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from django.http import HttpRequest

from smsproxy.staff.model_admin import AuditedViewAdmin


class PersonalDataAdmin(AuditedViewAdmin):
    """A record with personal data. It is shown on its own page only, and only to staff with permission.

    needs: the permissions to see each field with personal data.
    """

    needs: ClassVar[Mapping[str, Sequence[str]]] = {}

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        fields = super().get_fields(request, obj)
        return [field for field in fields if request.user.has_perms(self.needs.get(str(field), []))]

    def describe_disclosure(self, request: HttpRequest, row: Any) -> str:
        seen = [field for field in self.get_fields(request, row) if field in self.needs and getattr(row, field)]
        return f"its {' and '.join(seen)}" if seen else ""
