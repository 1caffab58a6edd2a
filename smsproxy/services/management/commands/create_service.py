"""Create a service: a marketplace, brand or environment with keys and conversations of its own."""

from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError, CommandParser

from smsproxy.arguments import argument
from smsproxy.services.forms import ServiceForm


def _pool(name: str) -> Any:
    # No import: services are below numbers.
    return apps.get_model("numbers", "Pool").objects.named(name)


class Command(BaseCommand):
    help = "Create a service: a marketplace, brand or environment. The admin sets all of its values."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="its name in commands and in the admin, such as rides")
        parser.add_argument(
            "--pool", type=argument(_pool), help="the pool of its conversations (default: the common one)"
        )
        parser.add_argument(
            "--ttl", default="", metavar="SECONDS", help="after which its conversations end (default: never)"
        )
        parser.add_argument("--language", default="", help="the language of its texts, such as pt-BR")

    def handle(self, *, name: str, pool: Any, ttl: str, language: str, **options: Any) -> None:
        form = ServiceForm({"name": name, "pool": pool and pool.pk, "ttl": ttl, "language": language})
        if not form.is_valid():
            wrong = [f"{field}: {' '.join(map(str, errors))}" for field, errors in form.errors.items()]
            raise CommandError(f"No service was created. {' '.join(wrong)}")
        service = form.save()
        self.stdout.write(f"Created the service {service}. Next: manage.py create_api_key NAME --service {service}")
