"""What the frame of each page leads to."""

from typing import Any

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext as _


def site_link() -> dict[str, Any]:
    """Return where the frame leads outside of the admin: the phones of the simulator, or the reference of the API."""
    if settings.CARRIER == "simulator":
        return {"url": reverse("phones"), "label": _("Phones")}
    return {"url": reverse("reference"), "label": _("API reference")}
