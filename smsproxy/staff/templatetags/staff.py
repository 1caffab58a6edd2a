"""Times in the viewer's zone, and links."""

from datetime import UTC, datetime
from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from smsproxy.database.clock import database_now
from smsproxy.staff.models import Reveal, RevealKind
from smsproxy.staff.reveal import active_reveal
from smsproxy.staff.reveal_pages import button_context

register = template.Library()


@register.simple_tag
def moment(at: datetime | None, form: str = "datetime") -> SafeString | str:
    """Return a <time> in UTC, which staff.js rewrites in the viewer's zone. UTC stays as its title.

    form: "datetime" (2026-11-29 10:42), "seconds" (10:42:07 UTC), "day" (2026-11-29) or "both" (date and seconds).
    """
    if at is None:
        return "–"
    at = at.astimezone(UTC)
    shown = {"seconds": "%H:%M:%S", "day": "%Y-%m-%d", "both": "%Y-%m-%d %H:%M:%S"}.get(form, "%Y-%m-%d %H:%M")
    zone = "" if form == "day" else " UTC"
    return format_html(
        '<time datetime="{}" title="{} UTC" data-form="{}">{}{}</time>',
        at.isoformat(),
        f"{at:%Y-%m-%d %H:%M:%S}",
        form,
        at.strftime(shown),
        zone,
    )


@register.inclusion_tag("admin/reveal_button.html", takes_context=True)
def reveal_button(
    context: Any, kind: str, object_id: int, shown: Reveal | str | None = "", back: str = ""
) -> dict[str, Any]:
    """Show the button that uncovers this object. Under a reveal: the minutes that are left, and "Hide now".

    shown: the active reveal or None, if the page has asked for it already. back: where it leads, by default this page.
    """
    request = context["request"]
    found = active_reveal(request, RevealKind(kind), object_id) if isinstance(shown, str) else shown
    left = (found.until - database_now()).total_seconds() if found else 0
    return {
        **button_context(request, kind, object_id, found, back or request.get_full_path()),
        "minutes": max(1, round(left / 60)),
        "csrf_token": context.get("csrf_token"),
    }
