"""People's real numbers for staff."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from numbers.models import RealNumber
from smsproxy.staff.admin import AuditedViewAdmin


@admin.register(RealNumber)
class RealNumberAdmin(AuditedViewAdmin):
    """People's numbers, masked. No search by number, since search terms end up in URLs, and so in logs."""

    list_display = ["__str__", "country", "line_type", "looked_up_with", "looked_up_at", "created_at"]
    list_filter = ["country", "line_type", "looked_up_at"]
    readonly_fields = ["masked", "in_full"]
    ordering = ["-id"]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        shown = "in_full" if self._may_reveal(request) else "masked"
        return [shown, "country", "line_type", "looked_up_with", "looked_up_at", "created_at"]

    @admin.display(description="number")
    def masked(self, number: RealNumber) -> str:
        return str(number)

    @admin.display(description="number")
    def in_full(self, number: RealNumber) -> str:
        return number.number

    def describe_disclosure(self, request: HttpRequest, row: Any) -> str:
        return "the number in full" if self._may_reveal(request) else ""

    def _may_reveal(self, request: HttpRequest) -> bool:
        return request.user.has_perm("numbers.reveal_realnumber")
