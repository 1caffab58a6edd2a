"""List the API keys."""

from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from smsproxy.api.models import ApiKey
from smsproxy.services.arguments import add_service_argument
from smsproxy.services.models import Service
from smsproxy.text_table import table

_HEADINGS = ["name", "service", "prefix", "scopes", "created", "last used", "expires", "status"]


class Command(BaseCommand):
    help = "List the API keys: whose they are, what they may do, and when they were last used. Times are UTC."

    def add_arguments(self, parser: CommandParser) -> None:
        add_service_argument(parser, "only the keys of this service")

    def handle(self, *, service: Service | None, **options: Any) -> None:
        keys = ApiKey.objects.select_related("service").order_by("service__name", "name", "created_at")
        if service is not None:
            keys = keys.filter(service=service)
        now = timezone.now()
        rows = [_row(key, now) for key in keys]
        if not rows:
            self.stdout.write("There are no keys. Run manage.py create_api_key NAME.")
            return
        for line in table([_HEADINGS, *rows]):
            self.stdout.write(line)


def _row(key: ApiKey, now: datetime) -> list[str]:
    return [
        key.name,
        str(key.service),
        key.prefix,
        key.scopes.replace(" ", ","),
        _minute(key.created_at),
        _minute(key.last_used_at),
        _minute(key.expires_at),
        key.status(now).value,
    ]


def _minute(moment: datetime | None) -> str:
    return "never" if moment is None else f"{moment:%Y-%m-%d %H:%M}"
