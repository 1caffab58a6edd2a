"""All URLs of the site, and the handlers of its error pages."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("conversations.urls")),
    path("", include("smsproxy.api.urls")),
]
if settings.CARRIER == "simulator":
    urlpatterns.append(path("", include("conversations.phones.urls")))

handler400 = "smsproxy.api.problems.bad_request"
handler404 = "smsproxy.api.problems.not_found"
handler500 = "smsproxy.api.problems.server_error"
