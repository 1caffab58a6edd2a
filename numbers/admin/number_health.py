"""The health of virtual numbers for staff: a column of the list, and a table on the page of each number."""

from collections import defaultdict
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

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

    @admin.display(description=gettext_lazy("not delivered"))
    def worst_share(self, number: VirtualNumber) -> str | None:
        """Return the share of undelivered messages on the number's worst network."""
        healths: list[Health] = getattr(number, "healths", [])
        if not healths:
            return None
        return _("%(share)s of %(count)s") % {"share": _percent(healths[0].share), "count": healths[0].sent}

    @admin.display(description=gettext_lazy("health"))
    def health(self, number: VirtualNumber) -> str:
        if not settings.HEALTH_WINDOW_SECONDS:
            return _("not measured: HEALTH_WINDOW_SECONDS is 0")
        rows = [
            (each.network, each.sent, each.lost, _percent(each.share), _percent(each.others_share))
            for each in measure()
            if each.number_id == number.pk
        ]
        if not rows:
            return _("no delivery receipts within %(window)s; those before the last restore do not count") % {
                "window": format_window()
            }
        return format_html(
            "<table><caption>{}</caption><thead><tr><th>{}</th><th>SMS</th><th>{}</th><th>{}</th><th>{}</th></tr></thead>"
            "<tbody>{}</tbody></table>",
            _("SMS with a delivery receipt within %(window)s") % {"window": format_window()},
            _("network"),
            _("not delivered"),
            _("share"),
            _("the others’ share"),
            format_html_join("", "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>", rows),
        )

    @admin.display(description=gettext_lazy("in quarantine"))
    def in_quarantine(self, number: VirtualNumber) -> str:
        """Return since when and why the number is in quarantine, otherwise "no"."""
        if number.state != NumberState.QUARANTINED:
            return _("no")
        event = number.events.entering(NumberState.QUARANTINED).first()
        if event is None:
            return _("yes")
        return _("since %(at)s UTC: %(why)s") % {"at": f"{event.created_at:%Y-%m-%d %H:%M}", "why": event.reason}


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.0%}"
