"""Revoke an API key, at once."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Q

from smsproxy.api.models import ApiKey
from smsproxy.services.arguments import add_service_argument
from smsproxy.services.models import Service
from smsproxy.states import StaleState


class Command(BaseCommand):
    help = "Revoke an API key: from now on it is rejected."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("key", metavar="NAME|PREFIX", help="its name, or its prefix: the part between sp_ and _")
        add_service_argument(parser, "only a key of this service")

    def handle(self, *, key: str, service: Service | None, **options: Any) -> None:
        found = _find(key, service)
        try:
            found.revoke()
        except StaleState:
            raise CommandError("Another process has just revoked the key.") from None
        self.stdout.write(f"Revoked the key {found.name} ({found.prefix}) of the service {found.service}.")


def _find(text: str, service: Service | None) -> ApiKey:
    """Return the one key that this text names. Raises CommandError."""
    if text.startswith("sp_"):  # A whole key, which no error may repeat.
        text = text.split("_")[1]
    keys = ApiKey.objects.filter(revoked_at=None).select_related("service")
    if service is not None:
        keys = keys.filter(service=service)
    named = list(keys.filter(Q(prefix=text) | Q(name=text)).order_by("service__name", "created_at"))
    if len(named) == 1:
        return named[0]
    if not named:
        raise CommandError(
            f"Nothing was revoked: expected the name or prefix of a key that is not revoked, found {text!r}. "
            "Run manage.py list_api_keys to see the keys."
        )
    choices = ", ".join(f"{each.prefix} (service {each.service})" for each in named)
    raise CommandError(
        f"Nothing was revoked: {len(named)} keys have the name {text!r}. Name one by its prefix: {choices}."
    )
