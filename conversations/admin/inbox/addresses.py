"""Where a page of the inbox leads back to."""

from django.http import HttpRequest
from django.urls import reverse

from smsproxy.staff.back import back_to


def back_of(request: HttpRequest) -> str:
    """Return the address in `?next=` if it is a page of the inbox, such as a filtered list. Default: the list."""
    inbox = reverse("admin:inbox")
    return back_to(request, inbox, below=inbox)
