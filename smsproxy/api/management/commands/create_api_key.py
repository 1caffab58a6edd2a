"""Make an API key and print it, once."""

from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from smsproxy.api.management import arguments
from smsproxy.api.models import ApiKey
from smsproxy.api.scopes import DEFAULT_SCOPES, Scope
from smsproxy.services.arguments import add_service_argument
from smsproxy.services.models import Service


class Command(BaseCommand):
    help = "Make an API key for a marketplace backend and print it. It is shown once: only its hash is stored."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="whose key it is, for people, such as «rides-backend»")
        add_service_argument(parser, "the service whose conversations it reads and changes (default: default)")
        parser.add_argument(
            "--scopes",
            type=arguments.scopes,
            default=DEFAULT_SCOPES,
            help=f"what it may do, comma-separated: {', '.join(Scope)} (default: read,write)",
        )
        parser.add_argument(
            "--expires",
            type=arguments.expiry,
            default=None,
            metavar="WHEN",
            help="a time from now, such as 90d, or a day, at 00:00 UTC, such as 2027-03-31 (default: never)",
        )
        parser.add_argument(
            "--requests-per-minute",
            type=arguments.rate,
            default=None,
            metavar="N",
            help="its rate limit, 0 for none (default: API_REQUESTS_PER_KEY_MINUTE)",
        )

    def handle(
        self,
        *,
        name: str,
        service: Service | None,
        scopes: str,
        expires: datetime | None,
        requests_per_minute: int | None,
        **options: Any,
    ) -> None:
        try:
            _, key = ApiKey.objects.issue(
                name, service=service, scopes=scopes, expires_at=expires, requests_per_minute=requests_per_minute
            )
        except ValidationError as error:
            raise CommandError(f"No key was made: {' '.join(error.messages)}") from None
        self.stdout.write(key)
        self.stderr.write("Keep it now: it cannot be shown again.")
