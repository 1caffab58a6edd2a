"""Replace an API key by a new one of the same name, while both work for a time."""

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from smsproxy.api.management import arguments
from smsproxy.api.models import DEFAULT_OVERLAP, ApiKey
from smsproxy.services.arguments import add_service_argument
from smsproxy.services.models import DEFAULT_SERVICE_ID, Service
from smsproxy.states import StaleState


class Command(BaseCommand):
    help = (
        "Make a new API key with the name, service, scopes and rate of an existing one, and print it. The existing key "
        "expires after the overlap."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="the name of the key")
        add_service_argument(parser, "the service of the key (default: default)")
        parser.add_argument(
            "--overlap",
            type=arguments.duration,
            default=DEFAULT_OVERLAP,
            metavar="TIME",
            help="for how long the existing key works, such as 12h or 7d; 0h: it ends now (default: 7d)",
        )

    def handle(self, *, name: str, service: Service | None, overlap: timedelta, **options: Any) -> None:
        service = service or Service.objects.get(pk=DEFAULT_SERVICE_ID)
        key = ApiKey.objects.current().filter(name=name, service=service).first()
        if key is None:
            raise CommandError(
                f"No key was made: expected the name of a key of the service {service}, found {name!r}. "
                "Run manage.py list_api_keys to see the keys."
            )
        try:
            _, text = key.rotate(overlap=overlap)
        except StaleState:
            raise CommandError("No key was made: another process has just rotated or revoked the key.") from None
        key.refresh_from_db()
        self.stdout.write(text)
        self.stderr.write("Keep it now: it cannot be shown again.")
        self.stderr.write(f"The key {key.prefix} expires at {key.expires_at:%Y-%m-%d %H:%M} UTC.")
