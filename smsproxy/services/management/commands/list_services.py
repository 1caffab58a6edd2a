"""List the services."""

from typing import Any

from django.core.management.base import BaseCommand

from smsproxy.services.models import Service
from smsproxy.text_table import table

_HEADINGS = ["name", "pool", "ttl", "geography", "late messages", "language", "created"]


class Command(BaseCommand):
    help = "List the services with the defaults of their conversations. -: the setting of the installation."

    def handle(self, **options: Any) -> None:
        services = Service.objects.select_related("pool").order_by("name")
        for line in table([_HEADINGS, *(_row(service) for service in services)]):
            self.stdout.write(line)


def _row(service: Service) -> list[str]:
    return [
        service.name,
        str(service.pool or "-"),
        "-" if service.ttl is None else f"{service.ttl} s",
        service.geography or "-",
        service.late_messages or "-",
        service.language or "-",
        f"{service.created_at:%Y-%m-%d}",
    ]
