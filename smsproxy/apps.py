"""App configurations of the project: its system checks and its admin site."""

from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig as DjangoAdminConfig


class SmsproxyConfig(AppConfig):
    name = "smsproxy"

    def ready(self) -> None:
        from smsproxy.translated_models import translate_models

        # Before the admin is loaded: its forms take over the names of the fields.
        translate_models(self.apps.get_models())  # type: ignore[union-attr]
        from smsproxy import checks  # noqa: F401  (registers them)
        from smsproxy.database import clock  # noqa: F401  (defines it on SQLite)


class AdminConfig(DjangoAdminConfig):
    default_site = "smsproxy.cockpit.site.AdminSite"
