from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_delete, post_migrate, post_save
from django.utils.translation import gettext_lazy as _


class ServicesConfig(AppConfig):
    name = "smsproxy.services"
    label = "services"
    verbose_name = _("Services")

    def ready(self) -> None:
        from smsproxy.services import known, models  # Models are loaded after the apps.

        post_migrate.connect(_ensure_default_service, sender=self)
        for change in (post_save, post_delete):
            for model in (models.Service, models.ServiceText):
                change.connect(known.forget_services, sender=model)


def _ensure_default_service(using: str, **kwargs: Any) -> None:
    """Restore the default service after `flush`, which empties its table."""
    from smsproxy.services.models import Service  # Models are loaded after the apps.

    Service.objects.using(using).ensure_default()
