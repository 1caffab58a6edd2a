"""Helpers that upload, import and read numbers as CSV."""

import csv
import io
from decimal import Decimal

from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from numbers.models import NumberState, VirtualNumber
from numbers.spreadsheet import import_numbers
from numbers.spreadsheet.import_numbers import export, read
from tests.support.builders import ALICE, BOB, add_numbers, talk

NEW = "+447700900600"
IMPORT, CONFIRM, EXPORT = (
    reverse(f"admin:numbers_virtualnumber_{name}") for name in ("import", "process_import", "export")
)


def upload(client, content):
    data = content if isinstance(content, bytes) else content.encode()
    return client.post(IMPORT, {"import_file": SimpleUploadedFile("n.csv", data)})


def preview(content):
    """Return what the file would change, or its errors."""
    return import_numbers.preview(read(content.encode()))


def confirm(client, answer):
    """Confirm the preview on this page, and return the next page."""
    return client.post(CONFIRM, answer.context["confirm_form"].initial, follow=True)


def take_in(client, content):
    """Upload a file, confirm the preview, and return the last page."""
    return confirm(client, upload(client, content)).content.decode()


def exported():
    return export(VirtualNumber.objects.select_related("pool"))


def table(text):
    return list(csv.DictReader(io.StringIO(text)))


def pool_of_every_kind(berlin):
    add_numbers(2, start="+4477009008")
    talk(ALICE, BOB)
    rows = add_numbers(6)
    given = [
        {"pool": berlin, "monthly_cost": Decimal("1.50"), "rate": 0.5},
        {"is_reserved": True, "type": "", "can_sms": False},
        {"state": NumberState.ORDERED, "is_rented": False},
        {"state": NumberState.RETIRED, "is_rented": False},
        {"state": NumberState.QUARANTINED, "is_rented": False, "rate": 10.0},
        {"state": NumberState.RETIRED, "monthly_cost": Decimal(0)},
    ]
    for row, fields in zip(rows, given, strict=True):
        VirtualNumber.objects.filter(pk=row.pk).update(**fields)
