"""A person's page shows what staff need in one place, masked, and asks for a reason before it does anything."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from conversations.models import Block, Conversation, InboundMessage, LimitUsage, OutboundMessage, OutboundState
from conversations.models.limit_usage import messages_subject
from conversations.trust.blocks import block_pair, block_person, block_prefix
from numbers.models import RealNumber, VirtualNumber
from smsproxy.staff.models import AuditEntry
from tests.support.builders import ALICE, BOB, CHARLIE, STRANGER, add_numbers, proxies, talk
from tests.support.message_api import write
from tests.support.staff_members import log_in, signed_in

pytestmark = pytest.mark.django_db

SEES = ["view_realnumber", "view_conversation", "view_block", "view_inboundmessage", "view_outboundmessage"]


@pytest.fixture
def ride():
    add_numbers(4)
    return talk(ALICE, BOB, reference="ride-43", notify=True)


def person_of(number):
    return RealNumber.objects.with_number(number).get()


def url_of(number):
    return reverse("admin:numbers_realnumber_change", args=[person_of(number).pk])


def test_it_shows_the_conversations_with_the_number_that_the_person_texts(ride, client):
    page = log_in(client, *SEES).get(url_of(ALICE)).content.decode()

    assert "+44 ••• 01" in page
    assert "ride-43" in page
    assert f"as Alice, texts {proxies(ride)[0]}" in page
    assert ALICE not in page
    assert BOB not in page


def test_older_conversations_are_on_further_pages(ride, client):
    person, number = person_of(ALICE), VirtualNumber.objects.all()[0]
    rows = Conversation.objects.bulk_create(Conversation(reference=f"old-{index:02}") for index in range(25))
    for row in rows:
        at = timezone.now()
        row.participants.create(position=0, real_number=person, proxy_number=number, released_at=at)
    log_in(client, *SEES)

    first = client.get(url_of(ALICE)).content.decode()
    place = first.split("?before=")[1].split("#")[0]
    second = client.get(url_of(ALICE), {"before": place}).content.decode()

    assert ["old-24" in first, "old-05" in first, "old-04" in first] == [True, True, False]
    assert ["old-04" in second, "ride-43" in second, "Older conversations" in second] == [True, True, False]


@pytest.mark.parametrize("place", ["x", "-1", "9" * 30, "٣"])
def test_a_wrong_place_shows_the_newest(ride, client, place):
    assert "ride-43" in log_in(client, *SEES).get(url_of(ALICE), {"before": place}).content.decode()


def test_it_shows_texts_without_a_conversation_and_never_their_words(ride, client):
    write(STRANGER, proxies(ride)[0], "who is this")
    text = InboundMessage.objects.latest("pk")

    page = log_in(client, *SEES).get(url_of(STRANGER)).content.decode()

    assert reverse("admin:conversations_inboundmessage_change", args=[text.pk]) in page
    assert "who is this" not in page


def test_it_shows_what_did_not_arrive_in_the_last_30_days(ride, client):
    lately = OutboundMessage.objects.filter(recipient=person_of(ALICE)).latest("pk")
    OutboundMessage.objects.filter(pk=lately.pk).update(state=OutboundState.UNDELIVERED, error_code="6")
    before = OutboundMessage.objects.get(pk=lately.pk)
    before.pk, before.client_ref, before.dedup_key = None, "0" * 32, None
    before.created_at = timezone.now() - timedelta(days=31)
    before.save(force_insert=True)

    page = log_in(client, *SEES).get(url_of(ALICE)).content.decode()

    assert page.count("undelivered") == 1
    assert "(code 6)" in page


def test_it_shows_limits_in_use(ride, client):
    person = person_of(ALICE)
    later = timezone.now().timestamp() + 3600
    LimitUsage.objects.create(scope="person", subject_id=messages_subject(None, person.pk), long_ready_at=later)
    LimitUsage.objects.filter(scope="confirmations", subject_id=person.pk).update(short_ready_at=1, long_ready_at=1)

    page = log_in(client, *SEES, "view_limitusage").get(url_of(ALICE)).content.decode()

    assert "messages of a person, default" in page
    assert "confirmations to a person" not in page


def test_it_shows_blocks_and_that_a_prefix_covers_the_number(ride, client):
    alice, bob = person_of(ALICE), person_of(BOB)
    block_pair(bob, alice, reason="quarrel", actor="kim")
    block_person(alice, reason="spam", actor="kim").end(reason="over", actor="kim")
    block_prefix("+44770", reason="fraud", actor="kim")

    page = log_in(client, *SEES, "reveal_realnumber").get(url_of(ALICE)).content.decode()

    assert page.index("quarrel") < page.index("spam")
    assert "towards +44 ••• 02" in page
    assert "An active block of a prefix covers this number." in page
    assert "fraud" not in page


def test_no_page_tells_whom_a_prefix_covers_without_the_right_to_the_number(ride, client):
    pages = [url_of(ALICE), reverse("admin:conversations_conversation_change", args=[ride.pk])]
    log_in(client, *SEES, "add_block")
    before = [client.get(page).text.lower().count("block") for page in pages]

    block_prefix("+44770", reason="fraud", actor="kim")

    assert [client.get(page).text.lower().count("block") for page in pages] == before
    trust = signed_in("conversations.view_conversation", "numbers.reveal_realnumber", name="tina")
    assert "blocked by the beginning of the number" in trust.get(pages[1]).text


def test_staff_block_a_person_for_a_reason_and_end_the_block(ride, client):
    log_in(client, *SEES, "add_block", "change_block")
    person = person_of(ALICE)
    block_url = reverse("admin:conversations_block_person", args=[person.pk])
    assert block_url in client.get(url_of(ALICE)).content.decode()
    assert "queued ones are cancelled" in client.get(block_url).content.decode()

    page = client.post(block_url, {"reason": "spam, ticket 4711"}, follow=True).content.decode()
    block = Block.objects.get()
    end_url = reverse("admin:conversations_block_end", args=[block.pk])
    assert (block.person, block.reason, block.created_by) == (person, "spam, ticket 4711", "sam")
    assert end_url in page
    assert block_url not in page
    again = client.post(block_url, {"reason": "spam"}, follow=True).content.decode()
    assert "active already" in again

    ended = client.post(f"{end_url}?person={person.pk}", {"reason": "sorry"}, follow=True)
    block.refresh_from_db()
    assert (block.ended_by, block.ended_reason) == ("sam", "sorry")
    assert ended.redirect_chain[-1][0] == url_of(ALICE)
    done = AuditEntry.objects.filter(people__person_id=person.pk, action="did").order_by("pk")
    assert [(entry.detail, entry.reason) for entry in done] == [("block", "spam, ticket 4711"), ("end_block", "sorry")]


def test_the_end_of_a_block_says_if_another_block_of_the_person_is_active(ride, client):
    log_in(client, *SEES, "change_block")
    alice, bob = person_of(ALICE), person_of(BOB)
    blocks = [block_person(alice, reason="spam", actor="kim"), block_pair(bob, alice, reason="quarrel", actor="kim")]
    urls = [reverse("admin:conversations_block_end", args=[block.pk]) for block in blocks]

    first, last = (client.post(url, {"reason": "sorry"}, follow=True).text for url in urls)

    assert "The block has ended, but another block of +44 ••• 01 is active." in first
    assert "The block has ended: new messages are passed on again." in last


def test_each_part_is_only_for_those_who_may_see_it(ride, client):
    page = log_in(client, "view_realnumber").get(url_of(ALICE)).content.decode()

    assert "Receives messages." in page
    assert [
        word for word in ("ride-43", "Blocks", "Limits", "What staff saw", "Block this person") if word in page
    ] == []


@pytest.mark.parametrize("name", ["conversations_block_person", "conversations_block_end"])
def test_blocking_and_unblocking_need_their_rights(ride, client, name):
    block = block_person(person_of(ALICE), reason="spam", actor="kim")
    subject = block.person_id if name.endswith("person") else block.pk

    answer = log_in(client, *SEES).post(reverse(f"admin:{name}", args=[subject]), {"reason": "x"})

    assert answer.status_code == 403
    assert Block.objects.active().count() == 1


def test_the_page_is_a_fixed_number_of_queries(ride, client):
    log_in(client, *SEES, "view_limitusage", "view_auditentry", "add_block", "change_block", "end_opt_out")
    person = person_of(ALICE)
    client.get(url_of(ALICE))  # Fills Django's cache of content types.
    counts = []
    for round_ in range(2):
        talk(ALICE, CHARLIE, reference=f"more-{round_}")
        for _ in range(3):
            write(ALICE, proxies(ride)[0])
            block_person(person, reason="spam", actor="kim").end(reason="over", actor="kim")
        with CaptureQueriesContext(connection) as queries:
            client.get(url_of(ALICE))
        counts.append(len(queries))

    assert counts[0] == counts[1] <= 20
