"""Make the dumps of a release, from which the upgrade test starts: small databases with all kinds of rows.

Run it with the code of that release, in a checkout of it, once for each database:

    make=PRESENT_CHECKOUT/tests/releases/make.py; to=PRESENT_CHECKOUT/tests/releases/VERSION
    git worktree add /tmp/release TAG; cd /tmp/release; make .venv/development; createdb release
    TEST_DATABASE_URL=postgres:///release .venv/bin/python $make $to
    env -u TEST_DATABASE_URL .venv/bin/python $make $to

Each writes a .sql file, and a .json file with what the test must know. The keys are those of tests/settings.py. Release
0.1.0 is commit 6ebf98f. If a later release renames what is imported here, change this file in that release.
"""

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path[0] = os.getcwd()  # The release's own code.
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

import django

django.setup()

from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from conversations.delivery import outbox
from conversations.delivery.receipts import receive_receipt
from conversations.delivery.relay import Relay
from conversations.intake.long_messages import take_in
from conversations.intake.receive import receive
from conversations.models import Conversation, OutboundMessage
from conversations.trust.blocks import block_person
from numbers.models import RealNumber
from smsproxy.api.models import ApiKey
from smsproxy.carriers import override
from smsproxy.carriers.base import InboundText, OutcomeUnknown, Receipt, ReceiptStatus
from tests.support.builders import ALICE, BOB, CHARLIE, STRANGER, ScriptedCarrier, add_numbers, members, proxies, talk

DORA, EMIL, FRITZ = (f"+44770090000{digit}" for digit in (4, 5, 6))


def main(directory: Path) -> None:
    call_command("migrate", verbosity=0)
    facts = fill()
    directory.mkdir(parents=True, exist_ok=True)
    name = connection.vendor
    (directory / f"{name}.json").write_text(json.dumps(facts, indent=2) + "\n")
    (directory / f"{name}.sql").write_text(dump_postgresql() if name == "postgresql" else dump_sqlite())


def fill() -> dict[str, Any]:
    """Fill the empty database, and return what the test must know of it."""
    key, secret = ApiKey.objects.issue("rides-backend")
    add_numbers(6)
    carrier = ScriptedCarrier()
    with override(carrier):
        main_talk = talk(ALICE, BOB, created_by=key)
        _text("in-1", ALICE, main_talk, "first: sent and delivered")
        _text("in-2", ALICE, main_talk, "second: sent")
        Relay().send_due()
        receive_receipt(Receipt(carrier_message_id="sent-1", client_ref="", status=ReceiptStatus.DELIVERED))
        carrier.script = [OutcomeUnknown("no answer")]
        outbox.queue_notice(members(talk(ALICE, EMIL))[1], "perhaps sent")
        Relay().send_due()
    cooling = talk(ALICE, CHARLIE)
    cooling.close()
    stopped = talk(CHARLIE, DORA)
    _text("in-stop", DORA, stopped, "STOP", author=1)
    OutboundMessage.objects.filter(kind="keyword_answer").delete()
    block_person(RealNumber.objects.get_or_create_many([STRANGER])[STRANGER], reason="threats", actor="sam")
    long_talk = talk(EMIL, FRITZ)
    _text("in-part-1", EMIL, long_talk, "half of it, ", concat_ref="7", part=1, parts=2)
    for place in (3, 4, 5):
        _text(f"in-{place}", ALICE, main_talk, f"queued, message {place}")
    queued = OutboundMessage.objects.filter(state="queued").order_by("pk")
    return {
        "made_at": timezone.now().isoformat(),
        "api_key": secret,
        "conversation": str(main_talk.public_id),
        "proxies": {"main": proxies(main_talk), "long": proxies(long_talk), "stopped": proxies(stopped)},
        "queued": [message.text for message in queued],
    }


def dump_postgresql() -> str:
    """Return the database as statements that any client can run. psql's own commands are left out."""
    command = ["pg_dump", "--inserts", "--no-owner", "--no-privileges", connection.settings_dict["NAME"]]
    dump = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return "".join(f"{line}\n" for line in dump.splitlines() if line.strip() and not line.startswith(("--", "\\")))


def dump_sqlite() -> str:
    with sqlite3.connect(connection.settings_dict["NAME"]) as file:
        return "".join(f"{line}\n" for line in file.iterdump())


def _text(carrier_message_id: str, sender: str, to: Conversation, words: str, *, author: int = 0, **part: Any) -> None:
    recipient = members(to)[author].proxy_number.number
    text = InboundText(carrier_message_id=carrier_message_id, sender=sender, recipient=recipient, text=words, **part)
    (take_in if part else receive)(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
