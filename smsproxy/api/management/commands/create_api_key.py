"""Make an API key and print it, once."""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from smsproxy.api.models import ApiKey


class Command(BaseCommand):
    help = "Make an API key for a marketplace backend and print it. It is shown once: only its hash is stored."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="whose key it is, for people, such as «rides-backend»")

    def handle(self, *, name: str, **options: Any) -> None:
        try:
            _, key = ApiKey.objects.issue(name)
        except ValidationError as error:
            raise CommandError(f"No key was made: {' '.join(error.messages)}") from None
        self.stdout.write(key)
        self.stderr.write("Keep it now: it cannot be shown again.")
