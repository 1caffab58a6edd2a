"""The pages of the admin that are not a model's. Each room of the list has a function that returns the URLs of its own.

The rooms are listed by name: those that register models can be imported only once the site exists.
"""

from collections.abc import Iterator

from django.contrib.admin import AdminSite
from django.urls import URLPattern
from django.utils.module_loading import import_string

# Each is called with the site, and wraps its views in site.admin_view.
ROOMS = (
    "smsproxy.cockpit.technical.urls",
    "smsproxy.cockpit.find.urls",
    "smsproxy.cockpit.home.pauses.urls",
    "smsproxy.staff.reveal_pages.urls",
    "smsproxy.sign_in.pages.urls",
    "numbers.admin.pool_page.urls",
    "conversations.admin.inbox.urls",
)


def page_urls(site: AdminSite) -> Iterator[URLPattern]:
    """Yield the URLs of all rooms."""
    for room in ROOMS:
        yield from import_string(room)(site)
