"""`manage.py status`: what is paused, how much waits, who works, and which troubles need a person."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from conversations.insight.status import MAX_COUNT
from conversations.management.show_status import show_status
from smsproxy.checks import TAG


class Command(BaseCommand):
    requires_system_checks = (TAG,)
    help = (
        "Show the status of sending and the active troubles. Exit code 0: all is well. Exit code 1: something needs a "
        "person; the last line on standard error says what."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--json", action="store_true", help=f"print it as JSON. Counts of messages end at {MAX_COUNT}"
        )

    def handle(self, *, json: bool, **options: Any) -> None:
        show_status(self.stdout, as_json=json)
