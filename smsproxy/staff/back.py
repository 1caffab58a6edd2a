"""Where a page leads back to: the address in `next`, if it is one of ours."""

from django.http import HttpRequest
from django.utils.http import url_has_allowed_host_and_scheme


def back_to(request: HttpRequest, default: str, *, below: str = "/") -> str:
    """Return the `next` of the form or of the URL if it is a path of this site below this one, or the default.

    A whole URL is refused, even with our own host.
    """
    target = request.POST.get("next") or request.GET.get("next") or ""
    is_ours = target.startswith(below) and url_has_allowed_host_and_scheme(target, allowed_hosts=None)
    return target if is_ours else default
