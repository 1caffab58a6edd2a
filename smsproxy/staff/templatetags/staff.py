"""Times in the viewer's zone, and links."""

from datetime import UTC, datetime

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

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
