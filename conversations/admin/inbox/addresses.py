"""Where a page of the inbox leads back to."""

from django.http import HttpRequest
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme


def back_of(request: HttpRequest) -> str:
    """Return the address in `?next=` if it is a page of the inbox, such as a filtered list. Default: the list."""
    inbox, target = reverse("admin:inbox"), request.GET.get("next", "")
    is_ours = target.startswith(inbox) and url_has_allowed_host_and_scheme(target, allowed_hosts=None)
    return target if is_ours else inbox
