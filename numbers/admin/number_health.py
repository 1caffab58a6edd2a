"""The health of virtual numbers for staff: a column of the list, and a table on the page of each number."""

from collections import defaultdict
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join

from numbers.health import Health, format_window, measure
from numbers.models import NumberState, VirtualNumber


class HealthAdminMixin(admin.ModelAdmin):
    """Adds `worst_share` to the list of virtual numbers, and `health` and `in_quarantine` to their pages."""

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        changelist = super().get_changelist_instance(request)
        healths = defaultdict(list)
        for each in measure():  # Once for all rows of the page.
            healths[each.number_id].append(each)
        for number in changelist.result_list:
            number.healths = healths[number.pk]
        return changelist

    @admin.display(description="not delivered")
    def worst_share(self, number: VirtualNumber) -> str | None:
        """Return the share of undelivered messages on the number's worst network."""
        healths: list[Health] = getattr(number, "healths", [])
        return f"{_percent(healths[0].share)} of {healths[0].sent}" if healths else None

    @admin.display(description="health")
    def health(self, number: VirtualNumber) -> str:
        if not settings.HEALTH_WINDOW_SECONDS:
            return "not measured: HEALTH_WINDOW_SECONDS is 0"
        rows = [
            (each.network, each.sent, each.lost, _percent(each.share), _percent(each.others_share))
            for each in measure()
            if each.number_id == number.pk
        ]
        if not rows:
            return f"no delivery receipts within {format_window()}"
        return format_html(
            "<table><caption>SMS with a delivery receipt within {}</caption><thead><tr><th>network</th><th>SMS</th>"
            "<th>not delivered</th><th>share</th><th>the others’ share</th></tr></thead><tbody>{}</tbody></table>",
            format_window(),
            format_html_join("", "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>", rows),
        )

    @admin.display(description="in quarantine")
    def in_quarantine(self, number: VirtualNumber) -> str:
        """Return since when and why the number is in quarantine, otherwise "no"."""
        if number.state != NumberState.QUARANTINED:
            return "no"
        event = number.events.entering(NumberState.QUARANTINED).first()
        return f"since {event.created_at:%Y-%m-%d %H:%M} UTC: {event.reason}" if event else "yes"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.0%}"
