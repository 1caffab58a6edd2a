"""The option --service of commands."""

from django.core.management.base import CommandParser

from smsproxy.arguments import argument
from smsproxy.services.models import Service


def _service(name: str) -> Service:
    return Service.objects.named(name)


def add_service_argument(parser: CommandParser, help_text: str) -> None:
    """Add the option --service, which finds the service by its name."""
    parser.add_argument("--service", type=argument(_service), default=None, metavar="NAME", help=help_text)
