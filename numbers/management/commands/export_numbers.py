"""Write the pool as CSV."""

from typing import Any

from django.core.management.base import BaseCommand

from numbers.models import VirtualNumber
from numbers.spreadsheet.import_numbers import export


class Command(BaseCommand):
    help = "Write the pool as CSV to standard output. manage.py import_numbers reads it."

    def handle(self, **options: Any) -> None:
        self.stdout.write(export(VirtualNumber.objects.select_related("pool")), ending="")
