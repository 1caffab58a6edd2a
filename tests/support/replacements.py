"""Helpers of the tests of replaced numbers: a signed text, and the current number of a participant."""

from django.test import Client

from tests.support.builders import members
from tests.support.signing import signed_inbound


def text(sender, to, message_id="late-1", words="hello"):
    params = signed_inbound(msisdn=sender[1:], to=to[1:], messageId=message_id, text=words)
    assert Client().post("/webhooks/vonage/inbound-sms", params, "application/json").status_code == 200


def number_of(conversation, position=0):
    return members(conversation)[position].proxy_number
