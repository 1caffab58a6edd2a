"""Requests to the API about messages, and texts and receipts that come by webhook."""

import json
from itertools import count

from django.test import Client

from tests.support.signing import signed_inbound, signed_receipt

INBOUND = "/webhooks/vonage/inbound-sms"
RECEIPTS = "/webhooks/vonage/delivery-receipt"
_ids = count(1)


def messages_url(conversation):
    return f"/api/v1/conversations/{conversation.public_id}/messages/"


def message_url(id):
    return f"/api/v1/messages/{id}/"


def send(api, conversation, text="Your driver has arrived.", *, key=None, **fields):
    """Send a text by API. author: the field `from`."""
    if "author" in fields:
        fields["from"] = fields.pop("author")
    headers = {"Idempotency-Key": key} if key else {}
    return api.post(messages_url(conversation), {"text": text, **fields}, format="json", headers=headers)


def sent(answer):
    """Check that a text was sent, and return its message."""
    assert answer.status_code == 201, answer.content
    return answer.json()


def page(api, conversation, **query):
    answer = api.get(messages_url(conversation), query)
    assert answer.status_code == 200, answer.content
    return answer.json()


def thread(api, conversation, **query):
    return page(api, conversation, **query)["results"]


def texts(api, conversation):
    return [message["text"] for message in thread(api, conversation)]


def write(sender, to, text="hello", **fields):
    """Receive a text by webhook."""
    params = signed_inbound(msisdn=sender[1:], to=to[1:], text=text, messageId=f"in-{next(_ids)}", **fields)
    answer = Client().post(INBOUND, json.dumps(params), "application/json")
    assert answer.status_code == 200, answer.content


def report(message, status="delivered", code="0"):
    """Receive a receipt for the only part of an outbound message by webhook."""
    part = message.parts.get().carrier_message_id
    params = signed_receipt(messageId=part, status=status, err_code=code, client_ref=message.carrier_ref)
    answer = Client().post(RECEIPTS, json.dumps(params), "application/json")
    assert answer.status_code == 200, answer.content
