"""`manage.py demo`: the whole product on this machine, with simulated phones."""

import secrets
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from conversations.demo import scene, transcript
from conversations.demo.server import HOST, PortInUse, bind, serve, stop_on_signals
from conversations.lifecycle.request import CannotCreate
from smsproxy.carriers.base import CarrierError
from smsproxy.simulator import demo_environment
from smsproxy.simulator.network import WebhookNotDelivered


class Command(BaseCommand):
    help = "Run the whole product on a simulated network, with phones in the browser and a database of its own."
    # The checks warn about production, which the demo is not.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--port", type=int, default=demo_environment.DEFAULT_PORT, help="the port of the web server (default 8000)"
        )
        parser.add_argument(
            "--transcript",
            action="store_true",
            help="without a server, play a conversation, print all texts, and exit 1 if a promise was broken",
        )

    def handle(self, *, port: int, transcript: bool, **options: Any) -> None:
        if not demo_environment.is_prepared():
            raise CommandError("The demo needs its own settings: start it with `python manage.py demo`.")
        if transcript:
            self.play()
        else:
            self.serve(port)

    def play(self) -> None:
        call_command("migrate", verbosity=0)
        try:
            played = transcript.play()
        except (CarrierError, CannotCreate, WebhookNotDelivered) as error:
            raise CommandError(f"The play failed: {error}") from None
        self.stdout.write("\n".join(transcript.table(played)))
        self.stdout.write("")
        broken = 0
        for promise, is_kept in transcript.checks(played):
            self.stdout.write(f"{'✓' if is_kept else '✗'} {promise}")
            broken += not is_kept
        if broken:
            raise CommandError(f"{broken} of the promises were not kept.")

    def serve(self, port: int) -> None:
        try:
            server = bind(port)
        except PortInUse as error:
            raise CommandError(str(error)) from None
        call_command("migrate", verbosity=0)
        password = self.admit_admin()
        try:
            for step in scene.fill_pool():
                self.stdout.write(f"{step.number} {step.kind} {step.detail}".rstrip())
            scene.ensure_conversation()
        except (CarrierError, CannotCreate) as error:
            # The pages are still worth seeing.
            self.stderr.write(f"The conversation was not created: {error}")
        stop = stop_on_signals()
        self.stdout.write(
            f"\n  Phones      http://{HOST}:{port}/"
            f"\n  Admin       http://{HOST}:{port}/admin/   user admin, password {password}"
            f"\n  Stop        Ctrl-C\n"
        )
        self.stdout.flush()
        serve(server, stop)
        self.stdout.write("Stopped. The next start continues with the same data.")

    def admit_admin(self) -> str:
        """Create the user "admin" if needed, set a new password, and return it."""
        password = secrets.token_urlsafe(12)
        users = get_user_model().objects
        admin, _ = users.get_or_create(username="admin", defaults={"is_staff": True, "is_superuser": True})
        admin.set_password(password)
        admin.save(update_fields=["password"])
        return password
