"""Helpers of the tests of long messages: the webhook of a part, and looks at what was relayed."""

from itertools import count

from conversations.models import InboundMessage, OutboundMessage
from conversations.worker.periodic_jobs import run_jobs
from tests.support.builders import ALICE
from tests.support.outbox import later
from tests.support.signing import signed_inbound

URL = "/webhooks/vonage/inbound-sms"
_ids = count(1)


def params(words, part, parts, *, sender=ALICE, to="", group="7", id=""):
    return signed_inbound(
        msisdn=sender[1:],
        to=to[1:],
        text=words,
        messageId=id or f"in-{next(_ids)}",
        concat="true",
        concat_ref=group,
        concat_part=str(part),
        concat_total=str(parts),
    )


def relayed():
    return [message.text for message in OutboundMessage.objects.filter(kind="relay").order_by("pk")]


def joined_messages():
    return list(InboundMessage.objects.filter(carrier_message_id__startswith="long:").order_by("pk"))


def pass_time(time_machine, seconds):
    later(time_machine, seconds)
    run_jobs()
