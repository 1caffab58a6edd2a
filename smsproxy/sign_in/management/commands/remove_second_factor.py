"""`manage.py remove_second_factor USER`: for the last administrator who has lost phone and recovery codes."""

from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from smsproxy.sign_in import second_factor
from smsproxy.sign_in.sessions import end_sessions
from smsproxy.staff.audit import record_for
from smsproxy.staff.models import AuditAction


class Command(BaseCommand):
    help = "Remove the second factor of a user, and end the user's sessions. The audit records it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username", help="the user name")

    def handle(self, *, username: str, **options: Any) -> None:
        user = get_user_model().objects.filter(username=username).first()
        if user is None:
            raise CommandError(f"No user is named {username}.")
        with transaction.atomic():
            if not second_factor.remove(user):
                raise CommandError(f"{username} has no second factor.")
            end_sessions(user)
            record_for("manage.py", AuditAction.DID, user, detail="remove_second_factor")
        self.stdout.write(f"The second factor of {username} is removed. The password alone signs in now.")
