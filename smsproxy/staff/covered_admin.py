"""Pages of records with personal data, which stay covered until staff reveal them for a reason."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from django.http import HttpRequest, HttpResponse

from smsproxy.staff.model_admin import AuditedViewAdmin
from smsproxy.staff.models import Reveal, RevealKind
from smsproxy.staff.reveal import active_reveal


class CoveredAdmin(AuditedViewAdmin):
    """A record with personal data. It is shown on its own page only, under a reveal, to staff with the permissions.

    needs: the permissions to see each field with personal data, under the reveal that `reveal_of` names.
    """

    needs: ClassVar[Mapping[str, Sequence[str]]] = {}
    change_form_template = "admin/covered_change_form.html"

    def reveal_of(self, row: Any) -> tuple[RevealKind, int] | None:
        """Return the reveal that uncovers this row: its kind and object id. None: nothing does."""
        raise NotImplementedError

    def shown(self, request: HttpRequest, row: Any) -> Reveal | None:
        """Return the reveal by which the user sees this row now, or None. It is looked up once for each request."""
        found: dict[Any, Reveal | None] = request.__dict__.setdefault("_reveals", {})
        what = self.reveal_of(row)
        if what is None:
            return None
        if what not in found:
            found[what] = active_reveal(request, *what)
        return found[what]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        fields = super().get_fields(request, obj)
        return [field for field in fields if field not in self.needs or self._sees(request, obj, str(field))]

    def describe_disclosure(self, request: HttpRequest, row: Any) -> str:
        seen = [field for field in self.get_fields(request, row) if field in self.needs and getattr(row, field)]
        return f"its {' and '.join(seen)}" if seen else ""

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> HttpResponse:
        if obj is not None and self._has_covered(obj) and (what := self.reveal_of(obj)):
            context["reveal_kind"], context["reveal_id"] = what[0].value, what[1]
            context["revealed"] = self.shown(request, obj)
        return super().render_change_form(request, context, add, change, form_url, obj)

    def _sees(self, request: HttpRequest, row: Any, field: str) -> bool:
        return row is not None and request.user.has_perms(self.needs[field]) and self.shown(request, row) is not None

    def _has_covered(self, row: Any) -> bool:
        return any(getattr(row, field) for field in self.needs)
