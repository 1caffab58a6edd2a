"""`manage.py grant_budget`: allow another DAILY_BUDGET for today, which resumes sending."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from conversations.models import AccountRateLimit
from smsproxy.checks import TAG
from smsproxy.states import StaleState


class Command(BaseCommand):
    requires_system_checks = (TAG,)
    help = (
        "Allow messages to cost another DAILY_BUDGET today. Sending resumes if the daily budget stopped it. It can be "
        "done once 80 % of today's budget is spent."
    )

    def handle(self, **options: Any) -> None:
        try:
            account = AccountRateLimit.grant_budget(actor="manage.py grant_budget")
        except StaleState as error:
            raise CommandError(f"Nothing was granted: {error}.") from None
        self.stdout.write(f"The budget of today (UTC) is now EUR {account.budget:.2f}; {account.spent:.2f} are spent.")
