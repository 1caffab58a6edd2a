"""One box finds conversations, messages, numbers, pools, services and orders. It puts no person's number into a URL."""

import uuid

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from conversations.models import Conversation, InboundMessage, OutboundMessage
from numbers.models import NumberOrder, Pool, RealNumber
from smsproxy.opaque_ids import IdKind, public_id
from smsproxy.services.models import Service
from smsproxy.staff.models import AuditEntry
from tests.support.builders import ALICE, BOB, STRANGER, add_numbers, members, proxies, talk
from tests.support.message_api import write
from tests.support.staff_members import log_in

FIND = "/admin/find/"
PARTS_PERMISSIONS = ["view_conversation", "view_virtualnumber", "view_pool", "view_service", "view_numberorder"]

pytestmark = pytest.mark.django_db


@pytest.fixture
def ride():
    add_numbers(2)
    return talk(ALICE, BOB, reference="ride-43", notify=True)


def thread(conversation):
    return reverse("admin:conversations_conversation_change", args=[conversation.pk])


def type_in(client, text):
    """Type the text into the box, and return the last answer before a page that is not the box's."""
    answer = client.post(FIND, {"q": text})
    if answer.status_code == 302 and answer.url.startswith(FIND):
        answer = client.get(answer.url)
    return answer


def leads_to(client, text):
    answer = type_in(client, text)
    assert answer.status_code == 302, answer.content.decode()
    return answer.url


def test_a_whole_reference_or_id_leads_straight_to_the_conversation(ride, admin_client):
    message = OutboundMessage.objects.latest("pk")
    text = write(ALICE, proxies(ride)[0]) or InboundMessage.objects.latest("pk")
    names = [
        "ride-43",
        " ride-43 ",
        str(ride.public_id),
        ride.public_id.hex,
        message.client_ref,
        f"{message.client_ref}.1",
        public_id(IdKind.OUTBOUND_MESSAGE, message.pk),
        public_id(IdKind.INBOUND_MESSAGE, text.pk),
        text.carrier_message_id,
    ]

    assert {leads_to(admin_client, name) for name in names} == {thread(ride)}


@pytest.mark.parametrize("beginning", [lambda ride: "ride", lambda ride: str(ride.public_id)[:10]])
def test_the_beginning_lists_what_begins_so(ride, admin_client, beginning):
    talk(ALICE, BOB, reference="taxi-1")

    page = type_in(admin_client, beginning(ride)).content.decode()

    assert thread(ride) in page
    assert "taxi-1" not in page


@pytest.mark.parametrize("text", ["RIDE-43", "Ride"])
def test_capital_and_small_letters_differ_in_a_reference(ride, admin_client, text):
    assert "Nothing begins with this." in type_in(admin_client, text).text
    assert leads_to(admin_client, "ride-43") == thread(ride)


def test_the_beginning_of_a_client_ref_lists_the_message(ride, admin_client):
    message = OutboundMessage.objects.latest("pk")
    # A random one may begin with nine digits, which are read as a phone number.
    OutboundMessage.objects.filter(pk=message.pk).update(client_ref="3f9a6c21b7d84e5f9a0b1c2d3e4f5a6b")

    page = type_in(admin_client, "3f9a6c21b").content.decode()

    assert "confirmation to +44" in page
    assert message.recipient.number not in page
    assert thread(ride) in page


def test_a_reference_that_several_conversations_have_lists_them_newest_first(ride, admin_client):
    later = talk(ALICE, BOB, reference="ride-43")

    page = type_in(admin_client, "ride-43").content.decode()

    assert page.index(thread(later)) < page.index(thread(ride))


def test_a_list_is_short_and_says_that_more_exist(admin_client):
    Conversation.objects.bulk_create(Conversation(reference=f"order-{index}") for index in range(30))

    answer = type_in(admin_client, "order-")

    assert len(answer.context["groups"][0]["rows"]) == 20
    assert "There are more: type more of it." in answer.content.decode()


@pytest.mark.parametrize("spelling", ["+447700900500", "447700900500", "07700 900500", "0044 7700 900-500"])
def test_a_virtual_number_shows_the_conversations_that_use_it(ride, admin_client, spelling):
    number = min(each.proxy_number.number for each in members(ride))
    assert number == "+447700900500"

    page = type_in(admin_client, spelling).content.decode()

    assert f"Conversations that use {number}" in page
    assert thread(ride) in page


@pytest.mark.parametrize("beginning", ["+4477009005", "44770", "07700 900"])
def test_the_beginning_of_virtual_numbers_lists_them(ride, admin_client, beginning):
    page = type_in(admin_client, beginning).content.decode()

    assert "+447700900500" in page
    assert "+447700900501" in page


def test_pools_services_and_orders_are_found_by_name_and_id(admin_client):
    pool = Pool.objects.create(name="berlin")
    service = Service.objects.create(name="Taxi", language="en")
    order = NumberOrder.objects.create(country="GB", count=3, features="SMS")

    assert leads_to(admin_client, "Berlin") == reverse("admin:numbers_pool_change", args=[pool.pk])
    assert leads_to(admin_client, "taxi") == reverse("admin:services_service_change", args=[service.pk])
    assert (
        reverse("admin:numbers_numberorder_change", args=[order.pk])
        in type_in(admin_client, str(order.pk)).content.decode()
    )


@pytest.mark.parametrize(
    "spelling",
    [
        ALICE,
        "+44 7700 900001",
        "07700 900001",
        "447700900001",
        "７７００ ９００００１",
        "+44_7700_900001",
        "+44*7700*900001",
        "07700,900,001",
        "07700’900’001",
        "07700|900001",
    ],
)
def test_a_persons_number_leads_to_their_page_and_into_no_address(ride, admin_client, spelling):
    with CaptureQueriesContext(connection) as queries:
        answer = admin_client.post(FIND, {"q": spelling})

    person = RealNumber.objects.with_number(ALICE).get()
    assert answer.url == reverse("admin:numbers_realnumber_change", args=[person.pk])
    assert AuditEntry.objects.filter(action="found", object_id=str(person.pk)).exists()
    assert not [each["sql"] for each in queries if "900001" in each["sql"]]


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("text", [STRANGER, "call +447700900099 now", "Anna ٠٧٧٠٠٩٠٠٠٩٩", "+44_7700_900099"])
def test_an_unknown_number_is_explained_and_not_repeated(ride, admin_client, method, text):
    with CaptureQueriesContext(connection) as queries:
        answer = getattr(admin_client, method)(FIND, {"q": text}, follow=True)

    page = answer.content.decode()
    assert answer.status_code == 200
    assert "looks like a phone number" in page
    assert "900099" not in page
    assert not [each["sql"] for each in queries if "900099" in each["sql"]]


def test_without_the_right_a_persons_number_finds_nobody(ride, client):
    page = log_in(client, "view_conversation").post(FIND, {"q": ALICE}).content.decode()

    assert "needs the right numbers.view_realnumber" in page
    assert not AuditEntry.objects.filter(action="found").exists()


def test_a_reference_of_digits_is_found_with_ref_before_it(admin_client):
    add_numbers(2)
    ride = talk(ALICE, BOB, reference="202611281234")

    assert leads_to(admin_client, "ref:202611281234") == thread(ride)


def test_nothing_found_says_what_the_box_knows(admin_client):
    page = type_in(admin_client, "no-such-ride").content.decode()

    assert "Nothing begins with this." in page
    assert str(uuid.uuid4()) not in page


@pytest.mark.parametrize("text", ["", " ", "\x00", "%", "_", "x" * 500, "\U0001f600", "0" * 32, "ref:", "-----"])
def test_any_text_is_answered(ride, admin_client, text):
    assert admin_client.get(FIND, {"q": text}).status_code == 200


def test_everybody_finds_only_what_they_may_see(ride, client):
    Pool.objects.create(name="ride-pool")
    log_in(client, "view_pool")

    page = client.get(FIND, {"q": "ride"}).content.decode()

    assert "ride-pool" in page
    assert "ride-43" not in page


def test_nobody_finds_anything_without_a_right(client):
    assert log_in(client, "view_worker").get(FIND, {"q": "ride"}).status_code == 403


@pytest.mark.parametrize("text", ["ride", "ride-43", "deadbeef", "+4477009005", "+447700900500", "7"])
def test_a_search_is_a_fixed_number_of_queries(ride, client, text):
    log_in(client, *PARTS_PERMISSIONS)
    counts = []
    for more in range(2):
        Conversation.objects.bulk_create(Conversation(reference=f"ride-{more}{index}") for index in range(30))
        with CaptureQueriesContext(connection) as queries:
            client.get(FIND, {"q": text})
        counts.append(len(queries))

    assert counts[0] == counts[1] <= 20


def test_the_box_and_the_callers_link_are_in_the_header(ride, admin_client, client):
    page = admin_client.get("/admin/").content.decode()
    assert 'id="find"' in page
    assert "Find a caller" in page

    page = log_in(client, "view_worker").get("/admin/").content.decode()
    assert 'id="find"' not in page
    assert "Find a caller" not in page
