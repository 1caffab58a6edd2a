"""All URLs of the site, and the handlers of its error pages."""

from django.conf import settings
from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView

urlpatterns: list[URLPattern | URLResolver] = [
    path("admin/", admin.site.urls),
    path("", include("conversations.urls")),
    path("", include("smsproxy.api.urls")),
]
if settings.CARRIER == "simulator":
    urlpatterns.append(path("", include("conversations.phones.urls")))
else:
    # People who type the bare host are staff. Backends have the addresses of the API.
    urlpatterns.append(path("", RedirectView.as_view(pattern_name="admin:index")))

handler400 = "smsproxy.api.problems.bad_request"
handler403 = "smsproxy.cockpit.error_pages.forbidden"
handler404 = "smsproxy.cockpit.error_pages.not_found"
handler500 = "smsproxy.api.problems.server_error"
