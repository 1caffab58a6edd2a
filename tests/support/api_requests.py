"""Requests to the API for conversations, and readers of its answers."""

from collections import Counter
from itertools import count

from rest_framework.test import APIClient

from conversations.models import Conversation, OutboundMessage, Participant
from numbers.models import Pool, VirtualNumber
from smsproxy.api.models import ApiKey
from smsproxy.services.models import Service
from tests.support.builders import ALICE, BOB, add_numbers

_names = count(1)
URL = "/api/v1/conversations/"


def client_of(service="default", **options):
    """Return a client of the API with a new key of the service of this name."""
    row, _ = Service.objects.get_or_create(name=service)
    _, key = ApiKey.objects.issue(f"key-{next(_names)}", service=row, **options)
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {key}")
    return client


def asked_for(*numbers, **fields):
    people = [{"number": each} if isinstance(each, str) else each for each in numbers or (ALICE, BOB)]
    return {"participants": people, "notify": False} | fields


def ride_request(**changes):
    """Return a complete request for a conversation of a rider and a driver, with these changes."""
    return {
        "participants": [{"number": ALICE, "label": "Rider"}, {"number": BOB, "label": "Driver"}],
        "reference": "order-42",
        "ttl": 86400,
        "notify": True,
        **changes,
    }


def people(*numbers):
    return [{"number": number} for number in numbers]


def given(answer):
    """Check that a conversation was created, and return its proxy numbers in order."""
    assert answer.status_code == 201, answer.content
    return [each["proxy_number"] for each in answer.json()["participants"]]


def chosen_by(answer):
    return [each["chosen_by"] for each in answer.json()["participants"]]


def of_pool(name, how_many, country="GB", *, start):
    pool, _ = Pool.objects.get_or_create(name=name)
    numbers = add_numbers(how_many, country, start=start)
    VirtualNumber.objects.filter(pk__in=[number.pk for number in numbers]).update(pool=pool)
    return [number.number for number in numbers]


def is_refused(answer, status, code):
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert code in {body["code"], *(error["code"] for error in body.get("errors", ()))}
    return body


def counts_are_right():
    """Check that each number's stored count of live pairs is correct."""
    pairs = Counter(Participant.objects.unreleased().values_list("proxy_number", flat=True))
    assert {
        number.pk: number.live_pair_count for number in VirtualNumber.objects.filter(live_pair_count__gt=0)
    } == dict(pairs)
    return True


def nothing_exists():
    return not (Conversation.objects.exists() or Participant.objects.exists() or OutboundMessage.objects.exists())
