"""A database in which every model of ours has a row, for tests that walk over all pages.

A new model gets a line in `_simple_rows`, unless a text on its way makes its row.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.apps import apps
from django.contrib.auth.models import User
from django.db import models
from django.test import Client
from django.utils import timezone

from conversations.delivery.relay import Relay
from conversations.models import Conversation, ConversationNote, InboundMessage, OutboundMessage
from numbers.models import NumberOrder, Pool, RealNumber, VirtualNumber
from smsproxy.api.models import ApiKey
from smsproxy.carriers import override
from smsproxy.crypto import EncryptedTextField
from smsproxy.services.models import Service, default_service_id
from smsproxy.simulator.models import SimulatedHandset
from smsproxy.staff.audit import record_for
from smsproxy.staff.models import AuditAction, RevealKind
from tests.support.builders import ScriptedCarrier, add_numbers, proxies, talk
from tests.support.signing import signed_inbound

OURS = ("smsproxy", "numbers", "conversations")
# Not the number that forms give as an example.
ALICE, BOB, STRANGER = "+447700900461", "+447700900462", "+447700900463"
SECRET = "meet me at the old lighthouse"
METADATA = "order of the lighthouse keeper"
INBOUND = "/webhooks/vonage/inbound-sms"


@dataclass(frozen=True, kw_only=True)
class Populated:
    """The rows that tests name. ids: of the rows that a walk opens, for models with rows of several kinds."""

    conversation: Conversation
    alice: RealNumber
    bob: RealNumber
    ids: dict[type[models.Model], list[int]]


def models_of_ours() -> list[type[models.Model]]:
    return [model for model in apps.get_models() if model.__module__.split(".")[0] in OURS]


def populate() -> Populated:
    """Let two people and a stranger text, and add a row of every other model."""
    numbers = add_numbers(3)
    Pool.objects.create(name="berlin")
    conversation = talk(ALICE, BOB, notify=True, metadata={"order": METADATA})
    to = proxies(conversation)[0]
    for params in (
        signed_inbound(msisdn=ALICE[1:], to=to[1:], text=SECRET, messageId="m1"),
        signed_inbound(msisdn=STRANGER[1:], to=numbers[2].number[1:], text=f"{SECRET}, stranger", messageId="m2"),
        signed_inbound(msisdn=ALICE[1:], to="x", text=SECRET, messageId="m3"),
        {**signed_inbound(msisdn=ALICE[1:], text=SECRET), "sig": "wrong"},
    ):
        Client().post(INBOUND, params, "application/json")
    with override(ScriptedCarrier()):
        Relay().send_due()
    alice, bob = (RealNumber.objects.with_number(number).get() for number in (ALICE, BOB))
    bob.opt_out(reason="texted STOP")
    for model, values in _simple_rows(conversation, alice):
        model._default_manager.create(**values)
    record_for("sam", AuditAction.SAW, conversation, detail="its text", reason="ticket 4711")
    relay = OutboundMessage.objects.get(kind="relay")
    ids: dict[type[models.Model], list[int]] = {
        Conversation: [conversation.pk],
        RealNumber: [alice.pk],
        # Of the conversation, a stranger's, and one that could not be decoded.
        InboundMessage: list(InboundMessage.objects.order_by("pk").values_list("pk", flat=True)),
        OutboundMessage: [relay.pk],
        VirtualNumber: [relay.sender_id],
    }
    return Populated(conversation=conversation, alice=alice, bob=bob, ids=ids)


def _simple_rows(conversation: Conversation, person: RealNumber) -> Iterator[tuple[type[models.Model], dict[str, Any]]]:
    """Yield a row for each model that no text on its way has made, after the rows that it points to."""
    now = timezone.now()
    key, _ = ApiKey.objects.issue("backend")
    message = OutboundMessage.objects.filter(conversation=conversation).earliest("pk")
    number = message.sender
    event = {"new_state": "active", "reason": "for the test"}
    service = Service.objects.get(pk=default_service_id())
    order = NumberOrder.objects.create(country="GB", count=1, features="SMS", pattern_place="anywhere")
    handset = SimulatedHandset.objects.create(number="+447700900777", name="Zoe")
    sam = User.objects.create_user("populated", is_staff=True)
    rows: dict[str, dict[str, Any]] = {
        "conversations.ConversationNote": {"conversation": conversation, "text": "She called.", "author": "sam"},
        "services.ServiceText": {"service": service, "kind": "ended"},
        "staff.Reveal": {
            "user": sam,
            "kind": RevealKind.NUMBER,
            "object_id": person.pk,
            "reason": "ticket 4711",
            "until": now + timedelta(minutes=9),
        },
        "api.IdempotencyRecord": {
            "service": service,
            "key": "k1",
            "request_hash": "x",
            "status": 201,
            "body": json.dumps({"participants": [ALICE], "text": SECRET}),
        },
        "events.FeedEvent": {"type": "conversation.created"},
        "metrics.MetricValue": {"name": "smsproxy_received_total", "value": 1},
        "simulator.SimulatedNumber": {
            "number": "+447700900888",
            "country": "GB",
            "type": "mobile",
            "features": "SMS",
            "monthly_cost": Decimal(1),
        },
        "simulator.SimulatedText": {
            "handset": handset,
            "direction": "sent",
            "virtual_number": "+447700900888",
            "text": "an invented text",
            "carrier_message_id": "s1",
        },
        "simulator.DelayedPost": {"due_at": now, "url": "https://sms.example.com/", "body": "an invented post"},
        "simulator.SimulatedFault": {"verb": "send", "kind": "refuse"},
        "numbers.TopUp": {
            "country": "GB",
            "low_threshold": 1,
            "target": 2,
            "monthly_budget": Decimal(10),
            "max_monthly_cost": Decimal(1),
        },
        "numbers.OrderEvent": {"order": order, **event},
        "numbers.PoolLevel": {"country": "GB", "free": 1, "least": 1, "measured_at": now},
        "numbers.Shortage": {
            "eligible_count": 1,
            "in_use": 1,
            "needed": 2,
            "reason": "in_use",
            "country": "GB",
            "real_number": person,
        },
        "numbers.ShortageCount": {"country": "GB", "count": 1},
        "numbers.NumberEvent": {"number": number, **event},
        "conversations.TextErasure": {"table": "conversations_inboundmessage"},
        "conversations.LimitUsage": {"scope": "new_people", "subject_id": service.pk},
        "conversations.ApiMessage": {
            "conversation": conversation,
            "created_by": key,
            "text": f"{SECRET}, by API",
        },
        "conversations.Block": {"person": person, "reason": "threats", "created_by": "sam"},
        "conversations.HostClock": {"host": "web-1", "skew_seconds": 0.1},
        "conversations.LongMessage": {
            "sender": person,
            "virtual_number": number,
            "concat_ref": "7",
            "parts": 2,
            "due_at": now,
        },
        "conversations.InboxItem": {"conversation": conversation, "taken_by": "sam", "taken_at": now},
        "conversations.HourlySample": {"hour": now, "since": now, "until": now},
        "conversations.DailySpend": {"day": now.date(), "euros": Decimal("1.25")},
        "conversations.JobLease": {"name": "periodic jobs", "holder": "web-1", "expires_at": now},
        "conversations.RecordSearch": {"pk": 1},
        "conversations.OutboundPart": {"message": message, "carrier_message_id": "p1"},
        "conversations.MessageEvent": {"message": message, **event},
        "conversations.NumberRateLimit": {"number": number},
        "conversations.DeliveryReceipt": {"carrier_message_id": "p1", "status": "delivered", "message": message},
        "conversations.RejectedWebhook": {"day": now.date(), "endpoint": "inbound-sms", "reason": "signature"},
        "conversations.RetentionMark": {"table": "conversations_inboundmessage"},
        "conversations.SiteCertificate": {"url": "https://sms.example.com", "checked_at": now},
        "conversations.TroubleEpisode": {
            "kind": "no_worker",
            "sentence": "No worker runs.",
            "version": "1",
            "began_at": now,
            "confirmed_at": now,
        },
        "conversations.UnreadableRow": {"table": "numbers_realnumber", "row_id": 4711},
        "conversations.WebhookWatch": {"endpoint": "inbound-sms"},
        "conversations.Worker": {"name": "worker-1", "concurrency": 1},
    }
    for label, values in rows.items():
        model = apps.get_model(label)
        if not model._default_manager.exists():
            yield model, values
    account = apps.get_model("conversations.AccountRateLimit")._default_manager.get_or_create(pk=1)[0]
    if not account.events.exists():
        account.record_event("sending", reason="for the test")


def secrets() -> tuple[list[str], list[str]]:
    """Return all numbers of people and all texts that the database holds, from every encrypted column.

    The simulator's phones are invented. An internal note is for the staff who may read notes.
    """
    numbers, texts = [], [SECRET, METADATA]
    for model in models_of_ours():
        if model is ConversationNote:
            continue
        for field in model._meta.fields:
            if isinstance(field, EncryptedTextField) and model._meta.app_label != "simulator":
                values = [each for each in model._default_manager.values_list(field.name, flat=True) if each]
                (numbers if field.name == "number" else texts).extend(values)
    return numbers, texts
